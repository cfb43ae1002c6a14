"""The tables and record types of the simulated account: what exists, under which two names, of which type.

A field has a column name (SuiteQL, lower case) and a REST name (camel case). Custom fields have one name for both.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, cast

ColumnType = Literal["integer", "number", "text", "boolean", "date", "datetime"]


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One field of a table. ``rest`` is ``None`` for what only SuiteQL knows."""

    name: str
    type: ColumnType = "text"
    rest: str | None = None
    references: str | None = None
    required: bool = False
    read_only: bool = False
    length: int | None = None
    values: tuple[str, ...] = ()

    @property
    def custom(self) -> bool:
        """Whether a customer made it."""
        return self.name.startswith("cust")


@dataclass(frozen=True)
class TableSpec:
    """One SuiteQL table. ``display`` is the column that stands for a row in references."""

    name: str
    columns: dict[str, ColumnSpec]
    display: str = "id"
    modified: str | None = "lastmodifieddate"
    created: str | None = None
    lines: bool = False
    """Rows belong to a transaction: they have no record type, no stamps of their own kind and no deletions."""


@dataclass(frozen=True, slots=True)
class RecordType:
    """One type of the record API: the table behind it and, for transactions, the type code."""

    name: str
    table: str
    label: str
    code: str | None = None
    aliases: tuple[str, ...] = field(default=())


def _columns(text: str) -> dict[str, ColumnSpec]:
    """``rest_name:type[>referenced][!required][-read only]`` per word; the column is the name in lower case."""
    found = {}
    for word in text.split():
        name, _, rest = word.partition(":")
        kind, _, target = rest.rstrip("!-").partition(">")
        spec = ColumnSpec(
            name=name.lower(),
            type=cast(ColumnType, kind or "text"),
            rest=name,
            references=target or None,
            required=rest.endswith("!"),
            read_only=rest.endswith("-"),
        )
        found[spec.name] = spec
    return found


_STAMPS = "lastModifiedDate:datetime- dateCreated:datetime- externalId:text isInactive:boolean"
_TRANSACTION = (
    "id:integer- tranId:text tranDate:date! dueDate:date entity:integer>entity! currency:integer>currency "
    "exchangeRate:number memo:text createdFrom:integer>transaction status:text- voided:boolean- externalId:text "
    "lastModifiedDate:datetime- createdDate:datetime- custbody_contract_id:text custbody_statement_id:text "
    "custbody_service_from:date custbody_service_to:date custbody_invoice_id:text"
)


def tables() -> dict[str, TableSpec]:
    """The standard tables and the custom records of the partner programme, freshly made."""
    plain = {
        "customer": (
            f"id:integer- entityId:text companyName:text! url:text email:text phone:text parent:integer>customer "
            f"currency:integer>currency category:integer subsidiary:integer partner:integer>partner {_STAMPS}"
        ),
        "partner": (
            f"id:integer- entityId:text companyName:text! email:text phone:text url:text partnerCode:text "
            f"eligibleForCommission:boolean {_STAMPS}"
        ),
        "contact": (
            f"id:integer- entityId:text firstName:text lastName:text title:text email:text phone:text "
            f"company:integer>customer {_STAMPS}"
        ),
        "employee": f"id:integer- entityId:text firstName:text lastName:text email:text {_STAMPS}",
        "item": "id:integer- itemId:text displayName:text itemType:text lastModifiedDate:datetime- "
        "createdDate:datetime- externalId:text isInactive:boolean",
        "supportcase": "id:integer- caseNumber:text- title:text! company:integer>customer status:text priority:text "
        "startDate:datetime custevent_support_level:integer custevent_raised_by:text lastModifiedDate:datetime- "
        "createdDate:datetime- externalId:text",
    }
    created = {"item": "createddate", "supportcase": "createddate"}
    shown = {"customer": "entityid", "partner": "entityid", "contact": "entityid", "employee": "entityid",
             "item": "itemid", "supportcase": "casenumber"}  # fmt: skip
    found = {
        name: TableSpec(name, _columns(text), shown[name], created=created.get(name, "datecreated"))
        for name, text in plain.items()
    }
    found["currency"] = TableSpec(
        "currency",
        _columns("id:integer- name:text! symbol:text! exchangeRate:number"),
        "name",
        modified=None,
    )
    transaction = _columns(_TRANSACTION)
    for name, kind in (
        ("type", "text"),
        ("foreigntotal", "number"),
        ("foreignamountunpaid", "number"),
    ):
        transaction[name] = ColumnSpec(name, kind, None, read_only=True)  # type: ignore[arg-type]
    found["transaction"] = TableSpec("transaction", transaction, "tranid", created="createddate")
    found["transactionline"] = TableSpec(
        "transactionline",
        _columns(
            "transaction:integer>transaction id:integer lineSequenceNumber:integer mainline:boolean taxline:boolean "
            "item:integer>item itemType:text quantity:number foreignAmount:number netAmount:number memo:text "
            "custcol_kind:text lineLastModifiedDate:datetime lineCreatedDate:datetime"
        ),
        modified="linelastmodifieddate",
        created="linecreateddate",
        lines=True,
    )
    found["nexttransactionlinelink"] = TableSpec(
        "nexttransactionlinelink",
        _columns(
            "previousdoc:integer previousline:integer previoustype:text nextdoc:integer nextline:integer nexttype:text "
            "linktype:text foreignamount:number lastmodifieddate:datetime"
        ),
        lines=True,
    )
    found["deletedrecord"] = TableSpec(
        "deletedrecord",
        _columns(
            "recordid:integer recordtypeid:integer scriptid:text type:text name:text deleteddate:datetime "
            "deletedby:integer iscustomrecord:boolean"
        ),
        modified="deleteddate",
        lines=True,
    )
    for name, fields in PARTNER_RECORDS.items():
        found[name] = custom_record(name, fields)
    return found


PARTNER_RECORDS = {
    "customrecord_partner_commission": "custrecord_partner:text custrecord_program:text custrecord_referral:text "
    "custrecord_contract:text custrecord_entry_kind:text custrecord_source_type:text custrecord_source_id:text "
    "custrecord_basis:number custrecord_rate:number custrecord_amount:number custrecord_currency:text "
    "custrecord_earned_on:date custrecord_released_on:date custrecord_due_on:date custrecord_state:text "
    "custrecord_corrects:text custrecord_reason:text",
    "customrecord_partner_statement": "custrecord_st_partner:text custrecord_st_program:text "
    "custrecord_st_from:date custrecord_st_to:date custrecord_st_due_on:date custrecord_st_pay_by:date "
    "custrecord_st_currency:text custrecord_st_opening:number custrecord_st_total:number "
    "custrecord_st_withheld:number custrecord_st_payable:number custrecord_st_carried:number custrecord_st_state:text",
}
"""The custom records that the shipped mapping writes, with their fields."""


def custom_record(name: str, fields: str) -> TableSpec:
    """A custom record type with the columns that all of them have."""
    # The change stamp is in lower case in the record API too, unlike that of standard records.
    common = "id:integer- name:text externalId:text isInactive:boolean lastmodified:datetime- created:datetime- owner:integer"
    return TableSpec(
        name,
        _columns(f"{common} {fields}"),
        "name",
        modified="lastmodified",
        created="created",
    )


def with_field(table: TableSpec, column: ColumnSpec) -> TableSpec:
    """The table with one more field."""
    return replace(table, columns={**table.columns, column.name: column})


RECORD_TYPES = (
    RecordType("customer", "customer", "Customer"),
    RecordType("contact", "contact", "Contact"),
    RecordType("partner", "partner", "Partner"),
    RecordType("employee", "employee", "Employee"),
    RecordType("currency", "currency", "Currency"),
    RecordType("serviceSaleItem", "item", "Service for Sale"),
    RecordType("supportCase", "supportcase", "Support Case"),
    RecordType("invoice", "transaction", "Invoice", "CustInvc"),
    RecordType("customerPayment", "transaction", "Payment", "CustPymt"),
    RecordType("creditMemo", "transaction", "Credit Memo", "CustCred"),
    RecordType("customerRefund", "transaction", "Customer Refund", "CustRfnd"),
    RecordType("vendorBill", "transaction", "Bill", "VendBill"),
    RecordType("vendorPayment", "transaction", "Bill Payment", "VendPymt"),
)
TYPE_LABELS = {kind.code: kind.label for kind in RECORD_TYPES if kind.code}
