"""The records that go in: every type, strict, with errors a person can act on (docs/records.md).

A record is a *fact*: it is never edited; a later version of the same type and id replaces it from its own
``known_at`` on. Money is a decimal string with a currency beside it, dates are local dates of the program, instants
carry an offset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, get_args, get_type_hints

import orjson
from pydantic import BeforeValidator, ConfigDict, Field, GetPydanticSchema, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import core_schema

from rules.errors import RecordError
from rules.money import EXPONENTS, quantum

CONFIG = ConfigDict(extra="forbid", strict=True)


def _text_then(pattern: str, then: core_schema.CoreSchema) -> GetPydanticSchema:
    """A JSON string of this pattern, then parsed; JSON numbers are refused."""
    schema = core_schema.chain_schema([core_schema.str_schema(pattern=pattern, strict=True), then])
    return GetPydanticSchema(lambda _source, _handler: schema)


def _or(default: object) -> BeforeValidator:
    """A field that may be left out reads as its default where a record says null, too."""
    return BeforeValidator(lambda value: default if value is None else value)


_DECIMAL = core_schema.decimal_schema(strict=False)
Amount = Annotated[Decimal, _text_then(r"^-?[0-9]{1,18}(\.[0-9]{1,6})?$", _DECIMAL)]
Positive = Annotated[
    Decimal, _text_then(r"^[0-9]{1,18}(\.[0-9]{1,6})?$", core_schema.decimal_schema(strict=False, gt=Decimal(0)))
]
NotNegative = Annotated[Decimal, _text_then(r"^[0-9]{1,18}(\.[0-9]{1,6})?$", _DECIMAL)]
Rate = Annotated[
    Decimal,
    _text_then(r"^[0-9](\.[0-9]{1,12})?$", core_schema.decimal_schema(strict=False, le=Decimal(1))),
]
FxRate = Annotated[
    Decimal, _text_then(r"^[0-9]{1,12}(\.[0-9]{1,12})?$", core_schema.decimal_schema(strict=False, gt=Decimal(0)))
]
FIRST_YEAR = "1900"
_YEAR = "(?:19|[2-9][0-9])[0-9]{2}"
"""From 1900 on: an earlier year stands for "none" in other systems (0001-01-01, 1899-12-30), and is no date in every time zone."""
DAY_PATTERN = rf"^{_YEAR}-[0-9]{{2}}-[0-9]{{2}}$"
"""How a date is written."""
Day = Annotated[date, _text_then(DAY_PATTERN, core_schema.date_schema(strict=False))]
Instant = Annotated[
    datetime,
    _text_then(
        rf"^{_YEAR}-[0-9]{{2}}-[0-9]{{2}}[Tt ][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(\.[0-9]{{1,9}})?([Zz]|[+-][0-9]{{2}}:[0-9]{{2}})$",
        core_schema.datetime_schema(strict=False, tz_constraint="aware"),
    ),
]
Currency = Annotated[str, GetPydanticSchema(lambda _s, _h: core_schema.literal_schema(sorted(EXPONENTS)))]
Text = Annotated[str, Field(min_length=1)]
Id = Annotated[str, Field(min_length=1, max_length=255)]
Details = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class ContactDetails:
    """A person as a form gives them."""

    name: str | None = None
    title: str | None = None
    email: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class SupportContact:
    """The representative named at contract finalisation or by a decision."""

    name: Text
    email: str | None = None
    phone: str | None = None


LineKind = Literal[
    "saas", "services", "staff_augmentation", "project", "retainer", "managed_service", "plan", "hardware", "shipping",
    "discount",
]  # fmt: skip
ContractKind = Literal[
    "saas", "services", "staff_augmentation", "fixed_price", "retainer", "managed_service", "project", "plan"
]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class ContractLine:
    """One part of a contract's value; ``from``/``to`` are its first and last service day."""

    kind: Text
    amount: Amount
    from_: Annotated[Day | None, Field(alias="from")] = None
    to: Day | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Line:
    """One line of an invoice or credit note, net of tax."""

    kind: LineKind
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class CampaignResults:
    """What a co-op campaign brought."""

    impressions: int | None = None
    clicks: int | None = None
    leads: int | None = None
    revenue: Amount | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Fact:
    """Common to all records."""

    known_by: ClassVar[str | None] = None
    """The field that is the default of ``known_at``; ``None`` means known from the beginning."""
    events: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = ()
    """Fields that report an event, each with the fields that read as absent before it."""
    references: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Fields that point at another record, with its type."""

    id: Id
    known_at: Instant | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Partner(Fact):
    type: Literal["partner"]
    name: str
    kind: str | None = None
    country: str | None = None
    currency: Currency | None = None
    email: str | None = None
    phone: str | None = None
    website: str | None = None
    withholding_rate: Rate | None = None


Tier = Literal["bronze", "silver", "gold", "platinum"]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Enrollment(Fact):
    known_by: ClassVar[str | None] = "starts_on"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("partner", "partner"),)
    type: Literal["enrollment"]
    partner: Id
    program: Id
    role: str | None = None
    starts_on: Day
    ends_on: Day | None = None
    standing: Annotated[Literal["good", "suspended", "terminated"], _or("good")] = "good"
    agreement_signed_on: Day | None = None
    certified: bool | None = None
    trained_staff: Annotated[int, Field(ge=0)] | None = None
    existing_customer: bool | None = None
    rate: Rate | None = None
    tier: Tier | None = None
    tier_until: Day | None = None
    manager: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Account(Fact):
    references: ClassVar[tuple[tuple[str, str], ...]] = (("parent", "account"),)
    type: Literal["account"]
    name: Text
    website: str | None = None
    country: str | None = None
    tax_id: str | None = None
    parent: Id | None = None
    customer_since: Day | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Contact(Fact):
    references: ClassVar[tuple[tuple[str, str], ...]] = (("account", "account"),)
    type: Literal["contact"]
    account: Id
    name: Text
    email: str | None = None
    phone: str | None = None
    title: str | None = None
    roles: list[Literal["billing", "support", "decision_maker"]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Activity(Fact):
    known_by: ClassVar[str | None] = "at"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("account", "account"),)
    type: Literal["activity"]
    account: Id
    at: Instant
    kind: Literal["meeting", "call", "email", "demo", "proposal"]
    two_way: Annotated[bool, _or(True)] = True


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Referral(Fact):
    known_by: ClassVar[str | None] = "submitted_at"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("partner", "partner"), ("account", "account"))
    type: Literal["referral"]
    program: Id
    partner: Id
    submitted_at: Instant
    channel: Literal["portal", "web_form", "email", "crm", "api"]
    company: str
    website: str | None = None
    country: str | None = None
    tax_id: str | None = None
    contact: ContactDetails | None = None
    account: Id | None = None
    details: Details | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Review(Fact):
    known_by: ClassVar[str | None] = "at"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("referral", "referral"),)
    type: Literal["review"]
    referral: Id
    at: Instant
    outcome: Literal["approved", "returned", "rejected"]
    by: Text
    reason: str | None = None
    override: Annotated[bool, _or(False)] = False
    checks: dict[str, bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Introduction(Fact):
    known_by: ClassVar[str | None] = "at"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("referral", "referral"),)
    type: Literal["introduction"]
    referral: Id
    at: Instant
    name: Text
    title: str | None = None
    email: str | None = None
    decision_maker: bool
    relation: Literal["employee", "contractor"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Opportunity(Fact):
    known_by: ClassVar[str | None] = "created_at"
    events: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = (("closed_at", ("closed_at", "outcome")),)
    references: ClassVar[tuple[tuple[str, str], ...]] = (("account", "account"), ("referral", "referral"))
    type: Literal["opportunity"]
    account: Id
    name: str | None = None
    stage: str
    amount: Amount | None = None
    currency: Currency | None = None
    created_at: Instant
    expected_close: Day | None = None
    closed_at: Instant | None = None
    outcome: Literal["won", "lost"] | None = None
    referral: Id | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Contract(Fact):
    known_by: ClassVar[str | None] = "signed_on"
    events: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = (
        ("commenced_on", ("commenced_on",)),
        ("completed_on", ("completed_on",)),
        ("cancelled_on", ("cancelled_on",)),
    )
    references: ClassVar[tuple[tuple[str, str], ...]] = (
        ("account", "account"), ("opportunity", "opportunity"), ("referral", "referral"), ("renews", "contract"),
    )  # fmt: skip
    type: Literal["contract"]
    account: Id
    opportunity: Id | None = None
    referral: Id | None = None
    lines: list[ContractLine] | None = None
    kind: ContractKind
    plan: Literal["starter", "pro", "enterprise"] | None = None
    signed_on: Day
    starts_on: Day | None = None
    ends_on: Day | None = None
    value: NotNegative | None = None
    currency: Currency
    billing: Literal["once", "monthly", "quarterly", "annual", "milestone"] | None = None
    commenced_on: Day | None = None
    completed_on: Day | None = None
    cancelled_on: Day | None = None
    renews: Id | None = None
    support_contact: SupportContact | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Invoice(Fact):
    known_by: ClassVar[str | None] = "issued_on"
    events: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = (("voided_on", ("voided_on",)),)
    references: ClassVar[tuple[tuple[str, str], ...]] = (("account", "account"), ("contract", "contract"))
    type: Literal["invoice"]
    account: Id
    contract: Id | None = None
    issued_on: Day
    service_from: Day | None = None
    service_to: Day | None = None
    currency: Currency
    lines: Annotated[list[Line], Field(min_length=1)]
    tax: NotNegative | None = None
    voided_on: Day | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Payment(Fact):
    known_by: ClassVar[str | None] = "received_on"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("invoice", "invoice"), ("reverses", "payment"))
    type: Literal["payment"]
    invoice: Id
    received_on: Day
    amount: Positive
    currency: Currency
    reverses: Id | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class CreditNote(Fact):
    known_by: ClassVar[str | None] = "issued_on"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("invoice", "invoice"),)
    type: Literal["credit_note"]
    invoice: Id
    issued_on: Day
    amount: Positive
    tax: NotNegative | None = None
    currency: Currency
    lines: list[Line] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Refund(Fact):
    known_by: ClassVar[str | None] = "paid_on"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("invoice", "invoice"),)
    type: Literal["refund"]
    invoice: Id
    paid_on: Day
    amount: Positive
    currency: Currency


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class FxRateFact(Fact):
    known_by: ClassVar[str | None] = "on"
    type: Literal["fx_rate"]
    base: Currency
    quote: Currency
    rate: FxRate
    on: Day
    source: Text


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Case(Fact):
    known_by: ClassVar[str | None] = "opened_at"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("account", "account"),)
    type: Literal["case"]
    account: Id
    opened_at: Instant
    raised_by: Literal["customer", "partner"]
    level: Annotated[int, Field(ge=1, le=3)]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Concern(Fact):
    known_by: ClassVar[str | None] = "raised_at"
    events: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = (("closed_at", ("closed_at", "mediation")),)
    references: ClassVar[tuple[tuple[str, str], ...]] = (("account", "account"), ("partner", "partner"))
    type: Literal["concern"]
    account: Id
    partner: Id
    raised_at: Instant
    mediation: Literal["open", "resolved", "failed"] | None = None
    closed_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Certification(Fact):
    known_by: ClassVar[str | None] = "completed_on"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("partner", "partner"),)
    type: Literal["certification"]
    partner: Id
    completed_on: Day
    name: Text


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class PartnerInvoice(Fact):
    known_by: ClassVar[str | None] = "received_on"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("partner", "partner"),)
    type: Literal["partner_invoice"]
    partner: Id
    statement: Id
    received_on: Day
    amount: Positive
    tax: NotNegative | None = None
    currency: Currency


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Payout(Fact):
    known_by: ClassVar[str | None] = "paid_on"
    type: Literal["payout"]
    statement: Id
    paid_on: Day
    amount: Positive
    currency: Currency


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Dispute(Fact):
    known_by: ClassVar[str | None] = "raised_on"
    events: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = (
        ("decided_on", ("decided_on", "outcome", "adjustment")),
        ("appealed_on", ("appealed_on",)),
        ("final_on", ("final_on", "final_outcome")),
    )
    references: ClassVar[tuple[tuple[str, str], ...]] = (("partner", "partner"),)
    type: Literal["dispute"]
    partner: Id
    subject: Id
    raised_on: Day
    reason: Text
    outcome: Literal["upheld", "adjusted", "rejected"] | None = None
    adjustment: Amount | None = None
    decided_on: Day | None = None
    appealed_on: Day | None = None
    final_outcome: Literal["upheld", "adjusted", "rejected"] | None = None
    final_on: Day | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class FraudFinding(Fact):
    known_by: ClassVar[str | None] = "found_on"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("referral", "referral"),)
    type: Literal["fraud_finding"]
    referral: Id
    found_on: Day
    by: Text
    reason: Text


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Decision(Fact):
    known_by: ClassVar[str | None] = "at"
    references: ClassVar[tuple[tuple[str, str], ...]] = (("partner", "partner"),)
    type: Literal["decision"]
    about: Id
    at: Instant
    by: Text
    choice: Text
    reason: Text
    partner: Id | None = None
    amount: Amount | None = None
    currency: Currency | None = None
    rate: Rate | None = None
    until: Day | None = None
    contact: SupportContact | None = None
    detail: Any = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class CoOpRequest(Fact):
    known_by: ClassVar[str | None] = "requested_on"
    events: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = (
        ("approved_on", ("approved_on",)),
        ("documents_on", ("documents_on",)),
        ("reimbursed_on", ("reimbursed_on",)),
    )
    references: ClassVar[tuple[tuple[str, str], ...]] = (("partner", "partner"),)
    type: Literal["co_op_request"]
    partner: Id
    requested_on: Day
    use: Text
    amount: Positive
    currency: Currency
    approved_on: Day | None = None
    spent: NotNegative | None = None
    documents_on: Day | None = None
    reimbursed_on: Day | None = None
    results: CampaignResults | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class SharedLead(Fact):
    known_by: ClassVar[str | None] = "offered_at"
    events: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = (("taken_at", ("taken_at", "taken_by")),)
    references: ClassVar[tuple[tuple[str, str], ...]] = (("taken_by", "partner"), ("offers", "partner"))
    type: Literal["shared_lead"]
    program: Id
    offered_at: Instant
    source: str
    company: Text
    services: list[str] | None = None
    country: str | None = None
    offers: list[Id]
    taken_by: Id | None = None
    taken_at: Instant | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Application(Fact):
    known_by: ClassVar[str | None] = "applied_on"
    events: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = (("decided_on", ("decided_on", "outcome")),)
    type: Literal["application"]
    program: Id
    applied_on: Day
    name: Text
    kind: str | None = None
    country: str | None = None
    details: Details | None = None
    decided_on: Day | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Ticket(Fact):
    known_by: ClassVar[str | None] = "opened_at"
    events: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = (
        ("first_response_at", ("first_response_at",)),
        ("closed_at", ("closed_at",)),
    )
    references: ClassVar[tuple[tuple[str, str], ...]] = (("partner", "partner"),)
    type: Literal["ticket"]
    partner: Id
    opened_at: Instant
    subject: str
    first_response_at: Instant | None = None
    closed_at: Instant | None = None


AnyFact = (
    Partner | Enrollment | Account | Contact | Activity | Referral | Review | Introduction | Opportunity | Contract
    | Invoice | Payment | CreditNote | Refund | FxRateFact | Case | Concern | Certification | PartnerInvoice | Payout
    | Dispute | FraudFinding | Decision | CoOpRequest | SharedLead | Application | Ticket
)  # fmt: skip

RECORDS: dict[str, type[Fact]] = {get_args(get_type_hints(model)["type"])[0]: model for model in get_args(AnyFact)}
"""Every record type by its name."""

_ANY: TypeAdapter[Fact] = TypeAdapter(Annotated[AnyFact, Field(discriminator="type")])
_AMOUNTS: dict[type, tuple[tuple[str, ...], bool]] = {
    model: (
        tuple(name for name in ("amount", "value", "tax", "spent") if name in model.__dataclass_fields__),
        "lines" in model.__dataclass_fields__,
    )
    for model in (
        Opportunity,
        Contract,
        Invoice,
        Payment,
        CreditNote,
        Refund,
        PartnerInvoice,
        Payout,
        CoOpRequest,
        Decision,
    )
}
"""Of each record with money: its fields of amounts, and whether it has lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A later version with ``deleted: true``: the fact is withdrawn from ``known_at`` on."""

    type: str
    id: str
    known_at: datetime | None


def parse(line: bytes | str) -> Fact | Withdrawal:
    """Read one JSON record. Raises: ``RecordError`` with field, what was found and what is allowed."""
    try:
        fact = _ANY.validate_json(line)
    except ValidationError as error:
        withdrawal = _withdrawal(line)
        if withdrawal is not None:
            return withdrawal
        raise _explained(error, line) from None
    if fact.deleted:
        return Withdrawal(type=fact.type, id=fact.id, known_at=fact.known_at)  # type: ignore[attr-defined]
    if (amounts := _AMOUNTS.get(type(fact))) is not None:
        _check_digits(fact, *amounts)
    elif isinstance(fact, Review) and fact.override and not (fact.reason or "").strip():
        raise RecordError("reason", "nothing", "a reason: the vendor's discretion (override) is given with one (G-9)")
    return fact


def check(body: dict[str, Any]) -> Fact | Withdrawal:
    """Validate one record given as a JSON object; returns it parsed. Raises: ``RecordError``."""
    try:
        return parse(orjson.dumps(body))
    except (TypeError, orjson.JSONEncodeError) as error:
        raise RecordError("", str(error), "JSON values: text, whole numbers, booleans, lists, objects") from None


def changed(fact: Fact, values: Mapping[str, Any]) -> Any:
    """A copy with other values, taken as they are: they come from a record that was validated already."""
    copy = object.__new__(type(fact))
    for each in dataclass_fields(fact):
        object.__setattr__(copy, each.name, values[each.name] if each.name in values else getattr(fact, each.name))
    return copy


def _withdrawal(line: bytes | str) -> Withdrawal | None:
    """A tombstone may leave out the fields of its type; it may not carry unknown ones. Raises: ``RecordError``."""
    try:
        body = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict) or body.get("deleted") is not True:
        return None
    model = RECORDS.get(str(body.get("type")))
    identity, stamp = body.get("id"), body.get("known_at")
    if model is None or not isinstance(identity, str) or not identity:
        return None
    unknown = sorted(set(body) - {f.name for f in dataclass_fields(model)})
    if unknown:
        raise RecordError(unknown[0], shortened(body[unknown[0]]), _ALLOWED["extra_forbidden"])
    try:
        known_at = None if stamp is None else _INSTANT.validate_json(orjson.dumps(stamp))
    except ValidationError:
        raise RecordError("known_at", shortened(stamp), _ALLOWED["datetime_parsing"]) from None
    return Withdrawal(type=str(body["type"]), id=identity, known_at=known_at)


_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


def _check_digits(fact: Any, names: tuple[str, ...], has_lines: bool) -> None:
    """Amounts finer than the currency's smallest unit are refused: they would be rounded without a word."""
    currency = fact.currency
    if currency is None:
        return
    smallest = quantum(currency)
    for name in names:
        amount = getattr(fact, name)
        if amount is not None and not amount.same_quantum(smallest):
            _check_amount(amount, name, currency)
    if has_lines and fact.lines:
        for number, line in enumerate(fact.lines):
            if not line.amount.same_quantum(smallest):
                _check_amount(line.amount, f"lines.{number}.amount", currency)


def _check_amount(amount: Decimal, field: str, currency: str) -> None:
    lowest, exponent = -EXPONENTS[currency], amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < lowest and amount != amount.quantize(Decimal(1).scaleb(lowest)):
        raise RecordError(field, f"{amount} {currency}", f"at most {-lowest} digits after the point for {currency}")


_A_DAY = "a real date, YYYY-MM-DD, from 1900 on"
_AN_INSTANT = "an instant with an offset, such as 2026-03-31T09:30:00+11:00, from 1900 on"
_ALLOWED = {
    "missing": "this field is required",
    "extra_forbidden": "only the fields of docs/records.md; free fields go into details",
    "unexpected_keyword_argument": "only the fields of docs/records.md; free fields go into details",
    "string_type": "a JSON string",
    "string_too_short": "a text that is not empty",
    "bool_type": "true or false",
    "int_type": "a whole JSON number",
    "int_from_float": "a whole JSON number",
    "list_type": "a JSON list",
    "dict_type": "a JSON object",
    "dataclass_type": "a JSON object",
    "date_parsing": _A_DAY,
    "date_from_datetime_parsing": _A_DAY,
    "datetime_parsing": _AN_INSTANT,
    "datetime_from_date_parsing": _AN_INSTANT,
    "timezone_aware": _AN_INSTANT,
    "greater_than": "an amount above zero",
    "less_than_equal": "at most the stated limit (a share is at most 1; a case level is 1, 2 or 3)",
    "greater_than_equal": "at least the stated limit (a count is 0 or more; a case level is 1, 2 or 3)",
    "too_short": "at least one element",
    "union_tag_not_found": "a record type: " + ", ".join(RECORDS),
    "union_tag_invalid": "a record type: " + ", ".join(RECORDS),
}
_CURRENCIES = ("currency", "base", "quote")
_MONEY_FIELDS = {"amount", "tax", "value", "adjustment", "spent", "revenue"}


_BROKEN = {
    "EOF": "the end of the line inside an object, a list or a text that is not closed",
    "trailing comma": "a comma before a closing bracket",
    "trailing characters": "something after the object",
    "key must be a string": "a name without double quotes",
    "expected `,`": 'no comma or closing bracket where one belongs (a double quote inside a text is written \\")',
    "expected `:`": "no colon after a name",
    "invalid unicode": "bytes that are not UTF-8 text",
}
"""What a parser says of a line that is not JSON, and what that means."""


def _not_json(said: str, line: bytes | str) -> str:
    """Where a line stops being JSON, in words; ``said`` is what the parser told."""
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    text = text.rstrip("\r\n")
    meant = next((words for key, words in _BROKEN.items() if key in said), "text that is not JSON")
    place = re.search(r"line 1 column (\d+)", said)
    if place is None:
        return f"{meant}: …{text[-30:]}"
    column = max(int(place[1]), 1)
    from_column = 1 if column <= 3 else column
    rest = text[from_column - 1 :]
    return f"{meant}, from column {from_column}: {rest[:30]}{'…' if len(rest) > 30 else ''}"


def _explained(error: ValidationError, line: bytes | str) -> RecordError:
    """The first thing wrong, in words."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        said = str(first["ctx"]["error"])
        return RecordError(
            "", _not_json(said, line), 'one JSON object a line, such as {"type": "partner", "id": "p1", …}'
        )
    tags = set(RECORDS)
    path = [str(part) for part in first["loc"]]
    record = str(first["loc"][0]) if first["loc"] else ""
    if path and path[0] in tags:
        path = path[1:]
    if first["type"].startswith("union_tag"):
        path = ["type"]
    path = [part for part in path if not part.startswith(("function-", "chain", "constrained-", "nullable"))]
    kind, field = first["type"], ".".join(path)
    last = path[-1] if path else ""
    allowed = _ALLOWED.get(kind) or first["msg"][:1].lower() + first["msg"][1:]
    if kind in ("string_type", "string_pattern_mismatch", "decimal_parsing"):
        if last in _MONEY_FIELDS:
            allowed = 'a decimal string such as "1500.00", without a sign unless the field may be negative'
        elif record == "fx_rate" and last == "rate":
            allowed = 'a decimal string above zero such as "1.0825"'
        elif last in ("rate", "withholding_rate"):
            allowed = 'a share as a decimal string from "0" to "1", such as "0.12"'
        elif last.endswith("_at") or last == "at":
            allowed = _AN_INSTANT
        elif last.endswith(("_on", "_from", "_to", "until", "_since", "expected_close")) or last in (
            "on",
            "from",
            "to",
        ):
            allowed = _A_DAY
    if kind == "literal_error":
        allowed = "an ISO 4217 currency code such as AUD" if last in _CURRENCIES else first["ctx"]["expected"]
    found = "nothing" if kind == "missing" else shortened(_value_at(line, path, first))
    return RecordError(field, found, allowed)


def _value_at(line: bytes | str, path: list[str], first: Any) -> Any:
    """What stands at that place of the record as given; the parser may already have transformed its own copy."""
    try:
        value = orjson.loads(line)
        for part in path:
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (orjson.JSONDecodeError, KeyError, ValueError, IndexError, TypeError):
        return (
            first["input"]
            if first["type"] != "json_invalid"
            else str(first.get("ctx", {}).get("error", "text that is not JSON"))
        )
    return value


def shortened(value: Any) -> str:
    """A value as JSON, short enough for a message."""
    shown = (
        orjson.dumps(value).decode()
        if isinstance(value, (str, int, float, bool, list, dict)) or value is None
        else str(value)
    )
    return shown if len(shown) <= 80 else shown[:77] + "..."
