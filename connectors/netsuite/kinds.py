"""The objects that a mapping may name, and where SuiteQL has them.

Transactions are one table told apart by a type code; custom records are described by the account itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.base import FieldType
from connectors.errors import NeedsOperator

Columns = Mapping[str, FieldType]


@dataclass(frozen=True, slots=True)
class Kind:
    """One object. ``rest`` is its name in the record API; ``computed`` fields are put together by the reader.

    ``line_sign``: lines are signed debit minus credit; times this they read as on the document.
    ``tombstones``: how ``deletedrecord`` names it.
    """

    name: str
    table: str
    rest: str
    columns: Columns
    code: str | None = None
    modified: str | None = "lastmodifieddate"
    created: str | None = "datecreated"
    computed: Columns = field(default_factory=dict)
    line_sign: int = 0
    tombstones: tuple[str, ...] = ()

    @property
    def line_lists(self) -> tuple[str, ...]:
        """The computed fields that hold lines."""
        if not self.line_sign:
            return ()
        return ("lines", "credits.lines") if "credits" in self.computed else ("lines",)


def _columns(text: str) -> dict[str, FieldType]:
    """``name`` or ``name:type`` per word."""
    found: dict[str, FieldType] = {}
    for word in text.split():
        name, _, kind = word.partition(":")
        found[name] = kind or "string"  # type: ignore[assignment]  # the words below are written here
    return found


_ENTITY = "id:id entityid email phone externalid isinactive:boolean lastmodifieddate:datetime datecreated:datetime "
_TRANSACTION = _columns(
    "id:id type tranid trandate:date duedate:date entity:reference currency:reference exchangerate:decimal memo "
    "createdfrom:reference status voided:boolean externalid foreigntotal:money foreignamountunpaid:money "
    "lastmodifieddate:datetime createddate:datetime"
)
_DOCUMENT = _columns("currencycode total:money voideddate:date")
_LINES = _columns("lines:json taxtotal:money nettotal:money")
LINE_COLUMNS = _columns(
    "id:id transaction:reference linesequencenumber:integer item:reference itemtype quantity:decimal foreignamount:money "
    "netamount:money memo custcol_kind"
)
"""Columns of a line; ``amount`` beside them is the amount as on the document."""


def _entity(name: str, more: str, **options: object) -> Kind:
    columns = _columns(_ENTITY + more)
    computed = _columns("currencycode") if "currency" in columns else {}
    return Kind(name, name, name, columns, computed=computed, tombstones=(name, name.title()))


def _document(name: str, rest: str, code: str, label: str, *, line_sign: int = 0, lists: str = "") -> Kind:
    computed = {**_DOCUMENT, **(_LINES if line_sign else {}), **_columns(lists)}
    return Kind(
        name, "transaction", rest, _TRANSACTION, code, created="createddate", computed=computed, line_sign=line_sign,
        tombstones=(name, rest, code, label),
    )  # fmt: skip


_ALL = (
    _entity("customer", "companyname url parent:reference currency:reference category:reference partner:reference"),
    _entity("partner", "companyname url partnercode"),
    _entity("contact", "firstname lastname title company:reference"),
    _entity("employee", "firstname lastname"),
    Kind(
        "supportcase", "supportcase", "supportCase",
        _columns("id:id casenumber title company:reference status priority startdate:datetime externalid "
                 "lastmodifieddate:datetime createddate:datetime"),
        created="createddate", tombstones=("supportcase", "supportCase", "Support Case"),
    ),
    Kind(
        "item", "item", "item",
        _columns("id:id itemid displayname itemtype externalid isinactive:boolean lastmodifieddate:datetime createddate:datetime"),
        created="createddate", tombstones=("item", "Item"),
    ),
    Kind("currency", "currency", "currency", _columns("id:id name symbol exchangerate:decimal"), modified=None, created=None),
    _document("invoice", "invoice", "CustInvc", "Invoice", line_sign=-1),
    _document("creditmemo", "creditMemo", "CustCred", "Credit Memo", line_sign=1, lists="applications:json credits:json"),
    _document("customerpayment", "customerPayment", "CustPymt", "Payment", lists="applications:json"),
    _document("customerrefund", "customerRefund", "CustRfnd", "Customer Refund", lists="applications:json"),
    _document("vendorbill", "vendorBill", "VendBill", "Bill", line_sign=1),
    _document("vendorpayment", "vendorPayment", "VendPymt", "Bill Payment", lists="applications:json"),
)  # fmt: skip
STANDARD: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
_CUSTOM_NAME = re.compile(r"customrecord_?[a-z0-9_]{1,60}")
_CUSTOM_COLUMNS = _columns(
    "id:id name externalid isinactive:boolean lastmodified:datetime created:datetime owner:reference"
)


def kind_of(name: str) -> Kind:
    """The object of this name, in any case. Raises: ``NeedsOperator`` naming those there are."""
    lower = name.lower()
    if lower in STANDARD:
        return STANDARD[lower]
    if _CUSTOM_NAME.fullmatch(lower):
        return Kind(
            lower, lower, lower, _CUSTOM_COLUMNS, modified="lastmodified", created="created", tombstones=(lower,)
        )
    allowed = ", ".join(sorted(STANDARD))
    raise NeedsOperator(f"netsuite: there is no object {name!r}; allowed: {allowed}, customrecord_…")
