"""What a model has beyond Tryton's own fields: fields that the connector puts together, links by code, and keys.

Stock models have no custom fields. What a referral needs besides stands in a text field, one ``name: value`` a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.base import FieldType


@dataclass(frozen=True, slots=True)
class Computed:
    """A field that the connector puts together from ``needs``, Tryton's own fields."""

    label: str
    type: FieldType
    needs: tuple[str, ...]
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A reference that is read and written by a code of the record it points to, instead of its id.

    Reading follows ``field.code``; writing looks the record of ``model`` up whose ``code`` it is, and sets ``field``.
    """

    label: str
    field: str
    model: str
    code: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What the connector adds to a model. ``keys`` are fields that may name a record in an upsert.

    ``registered``: the model has no field for a key, so keys and reasons are kept beside it (see ``register``).
    ``replaced``: the field that names the record into which this one was merged.
    """

    computed: Mapping[str, Computed] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    registered: bool = False
    replaced: str | None = None


_MONEY_LINE = ("date", "debit", "credit", "amount_second_currency", "second_currency")
_PAYMENTS = tuple(f"{lines}.{name}" for lines in ("payment_lines", "reconciliation_lines") for name in _MONEY_LINE)
_NOTES = Computed("Lines of the comment, by name", "json", ("comment",))

KINDS: Mapping[str, Kind] = {
    "party.party": Kind(keys=frozenset({"code"}), replaced="replaced_by"),
    "party.contact_mechanism": Kind(
        links={"party_code": Link("Code of the party", "party", "party.party", "code")}, keys=frozenset({"comment"})
    ),
    "sale.opportunity": Kind({"notes": _NOTES}),
    "sale.sale": Kind(
        {"notes": _NOTES, "opportunity": Computed("Opportunity that it came from", "string", ("origin",))}
    ),
    "account.invoice": Kind(
        {
            "credit": Computed("Whether it is a credit note", "boolean", ("untaxed_amount",)),
            "payments": Computed(
                "Payments of it", "json",
                ("type", "currency", "company.currency", "reconciliation_lines.move.origin", *_PAYMENTS),
            ),
            "credits": Computed(
                "Invoices that a credit note lowers", "json",
                ("untaxed_amount", "tax_amount", "move", "lines.type", "lines.amount", "lines.origin", "lines.product.code",
                 "lines.product.type"),
            ),
        }
    ),
    "commission.plan": Kind(
        {"rate": Computed("Rate of a plan with one line `amount * rate`", "decimal",
                          ("lines.formula", "lines.product", "lines.category"))}
    ),
    "commission": Kind(
        {
            "key": Computed("Key under which Referee wrote it", "string", ("agent",), writable=True),
            "reason": Computed("Reason that Referee gave", "string", ("agent",), writable=True),
            "currency_code": Computed("Currency of the agent", "string", ("agent.currency.code",), writable=True),
            "invoiced": Computed("Whether it is on a partner's invoice", "boolean", ("invoice_line",)),
        },
        {
            "agent_code": Link("Code of the agent's party", "agent", "commission.agent", "party.code"),
            "product_code": Link("Code of the product", "product", "product.product", "code"),
        },
        frozenset({"key"}),
        registered=True,
    ),
}  # fmt: skip
PLAIN = Kind()


def kind_of(model: str) -> Kind:
    """What the connector adds to a model."""
    return KINDS.get(model, PLAIN)
