"""A partner's dashboard: counts, money, tier, leads, deals and payouts (CN-33, CN-54, CN-60, CN-65, CN-69..CN-73, TC-28, TC-33)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from jobs.report.figures import mean, share, total
from jobs.report.leads import Lead, by_partner, contract_value, leads, told
from jobs.report.picture import Picture, Row
from jobs.report.standing import NO_TIER, standing_of, tier_rows
from jobs.report.tables import Asked, Table
from rules.money import ZERO, plain, text

PARTNERS = Table(
    "partners",
    ("program", "partner", "name", "currency", "submitted", "qualified", "won", "lost", "open", "conversion",
     "win_rate", "pending_commission", "ytd_earnings", "total_earnings", "accrued", "held", "payable", "stated", "paid",
     "next_payout", "next_payout_by", "payment_method", "manager", "average_deal", "commission_per_deal", *NO_TIER),
    ("program", "partner", "currency"),
)  # fmt: skip
LEADS = Table(
    "leads",
    ("program", "partner", "referral", "company", "account", "status", "stage", "state", "submitted_on", "qualified_on",
     "won_on", "commenced_on", "first_earned_on", "protected_until", "value", "currency", "services", "industry",
     "contract_kinds", "tier", "contact", "details", "because"),
    ("program", "partner", "referral"),
)  # fmt: skip
DEALS = Table(
    "deals",
    ("program", "partner", "referral", "contract", "company", "kind", "signed_on", "value", "currency", "rate",
     "commission", "paid", "pending", "last_earned_on"),
    ("program", "partner", "referral", "contract", "currency"),
)  # fmt: skip
PAYOUTS = Table(
    "payouts",
    ("program", "partner", "statement", "period_from", "period_to", "payable", "withheld", "carried_forward",
     "currency", "due_on", "pay_by", "state", "paid_on", "paid", "payment_method"),
    ("program", "partner", "statement"),
)  # fmt: skip
PENDING = ("accrued", "held", "payable", "stated")
"""States of an entry that is earned and not yet paid."""


def dashboard(picture: Picture, asked: Asked) -> dict[str, list[Row]]:
    """Every partner's dashboard, or one's."""
    own = leads(picture, asked.partner)
    return {
        "partners": partner_rows(picture, asked.partner, own),
        "leads": [_lead_row(picture, lead, to_partner=asked.partner is not None) for lead in own],
        "deals": [row for lead in own for row in _deal_rows(picture, lead)],
        "payouts": list(_payout_rows(picture, asked.partner)),
    }


def partner_rows(picture: Picture, partner: str | None, own: Sequence[Lead]) -> list[Row]:
    """One row a partner and currency; a partner without money has a row in the program's currency."""
    tiers, mine_of = tier_rows(picture), by_partner(own)
    entries_of, statements_of = _by(picture.commissions, "partner"), _by(picture.rows["statements"], "partner")
    rows = []
    for name in picture.partners if partner is None else (partner,) if partner in picture.partners else ():
        mine = mine_of.get(name, [])
        entries = _by(entries_of.get(name, ()), "currency")
        statements = _by(statements_of.get(name, ()), "currency")
        for currency in sorted({*entries, *statements}) or [picture.program.currency]:
            rows.append(
                {
                    "program": picture.program.id,
                    "partner": name,
                    "name": picture.name_of(name),
                    "currency": currency,
                    **counts(mine),
                    **_earnings(picture.as_of, currency, entries.get(currency, [])),
                    **_next_payout(statements.get(currency, [])),
                    "manager": picture.manager_of(name),
                    **_per_deal(currency, mine, entries.get(currency, [])),
                    **standing_of(picture, tiers.get(name)),
                }
            )
    return rows


def counts(own: Sequence[Lead]) -> Row:
    """How many leads were submitted, qualified, won and lost, and the shares of those (CN-60, CN-73)."""
    qualified = sum(lead.qualified_at is not None for lead in own)
    won = sum(lead.won_on is not None for lead in own)
    lost = sum(lead.status == "lost" for lead in own)
    return {
        "submitted": len(own),
        "qualified": qualified,
        "won": won,
        "lost": lost,
        "open": sum(lead.status not in ("won", "lost") for lead in own),
        "conversion": share(won, len(own)),
        "win_rate": share(won, won + sum(lead.stage == "lost" for lead in own)),
    }


def _earnings(as_of: date, currency: str, entries: Sequence[Row]) -> Row:
    by_state = {
        state: text(total(row for row in entries if row["state"] == state), currency) for state in (*PENDING, "paid")
    }
    this_year = [row for row in entries if row["earned_on"][:4] == as_of.isoformat()[:4]]
    return {
        "pending_commission": text(total(row for row in entries if row["state"] in PENDING), currency),
        "ytd_earnings": text(total(this_year), currency),
        "total_earnings": text(total(entries), currency),
        **by_state,
    }


def _next_payout(statements: Iterable[Row]) -> Row:
    """The statement that is to be paid next (CN-71); how a partner is paid is not among the records."""
    waiting = sorted(
        (row["pay_by"], row["id"], row["payable"])
        for row in statements
        if row["state"] != "paid" and Decimal(row["payable"])
    )
    amount, by = (waiting[0][2], waiting[0][0]) if waiting else (None, None)
    return {"next_payout": amount, "next_payout_by": by, "payment_method": None}


def _per_deal(currency: str, own: Sequence[Lead], entries: Sequence[Row]) -> Row:
    values = [lead.value for lead in own if lead.won_on and lead.currency == currency and lead.value is not None]
    earned: dict[str, Decimal] = {}
    for row in entries:
        if row["contract"] is not None:
            earned[row["contract"]] = earned.get(row["contract"], ZERO) + Decimal(row["amount"])
    return {"average_deal": mean(values, currency), "commission_per_deal": mean(earned.values(), currency)}


def lead_rows(picture: Picture) -> list[Row]:
    """Every lead as its own partner may read it."""
    return [_lead_row(picture, lead, to_partner=True) for lead in leads(picture)]


def _lead_row(picture: Picture, lead: Lead, *, to_partner: bool) -> Row:
    local = picture.program.calendar.date_of
    details = lead.referral.details or {}
    value = lead.value if lead.value is not None else lead.expected_value
    commenced = [each.commenced_on for each in lead.contracts if each.commenced_on]
    services = details.get("services", details.get("service_type"))
    return {
        "program": picture.program.id,
        "partner": lead.claim["partner"],
        "referral": lead.id,
        "company": lead.referral.company,
        "account": lead.claim["account"],
        "status": lead.status,
        "stage": lead.stage,
        "state": lead.claim["state"],
        "submitted_on": local(lead.referral.submitted_at).isoformat(),
        "qualified_on": local(lead.qualified_at).isoformat() if lead.qualified_at else None,
        "won_on": lead.claim["won_on"],
        "commenced_on": min(commenced).isoformat() if commenced else None,
        "first_earned_on": min((row["earned_on"] for row in lead.entries), default=None),
        "protected_until": lead.claim["protected_until"],
        "value": text(value, lead.currency) if value is not None else None,
        "currency": lead.currency,
        "services": [str(each) for each in services] if isinstance(services, list) else [services] if services else [],
        "industry": details.get("industry"),
        "contract_kinds": sorted({each.kind for each in lead.contracts}),
        "tier": picture.tier_of(lead.claim["partner"]),
        "contact": _contact(lead),
        "details": dict(details),
        "because": told(lead.verdicts[-1][1]) if to_partner else lead.claim["because"],
    }


def _contact(lead: Lead) -> Row | None:
    """The person at the prospect, as the partner named it."""
    contact = lead.referral.contact
    return {name: getattr(contact, name) for name in ("name", "title", "email", "phone")} if contact else None


def _deal_rows(picture: Picture, lead: Lead) -> Iterator[Row]:
    """The history of commission by deal (CN-70)."""
    by_contract: dict[str | None, list[Row]] = {}
    for row in lead.entries:
        by_contract.setdefault(row["contract"], []).append(row)
    signed = {contract.id: contract for contract in lead.contracts}
    for name in sorted({*signed, *(each for each in by_contract if each is not None)}):
        contract = signed.get(name) or picture.last_known("contract", name)
        entries = _by(by_contract.get(name, ()), "currency")
        for currency in sorted(entries) or [contract.currency]:
            rows = entries.get(currency, [])
            value = contract_value(contract) if contract.currency == currency else None
            rates = [row["rate"] for row in sorted(rows, key=_when) if row["rate"] is not None]
            yield {
                "program": picture.program.id,
                "partner": lead.claim["partner"],
                "referral": lead.id,
                "contract": name,
                "company": lead.referral.company,
                "kind": contract.kind,
                "signed_on": contract.signed_on.isoformat(),
                "value": text(value, currency) if value is not None else None,
                "currency": currency,
                "rate": plain(Decimal(rates[-1])) if rates else None,
                "commission": text(total(rows), currency),
                "paid": text(total(row for row in rows if row["state"] == "paid"), currency),
                "pending": text(total(row for row in rows if row["state"] in PENDING), currency),
                "last_earned_on": max((row["earned_on"] for row in rows), default=None),
            }


def _payout_rows(picture: Picture, partner: str | None) -> Iterator[Row]:
    """What is to be paid and what was, statement by statement (CN-71)."""
    payouts: dict[str, list[Any]] = {}
    for payout in picture.facts("payout").values():
        payouts.setdefault(payout.statement, []).append(payout)
    for row in picture.rows["statements"]:
        if partner is not None and row["partner"] != partner:
            continue
        made = [each for each in payouts.get(row["id"], ()) if each.currency == row["currency"]]
        yield {
            "program": picture.program.id,
            "partner": row["partner"],
            "statement": row["id"],
            **{name: row[name] for name in PAYOUTS.columns[3:12]},
            "paid_on": max(each.paid_on for each in made).isoformat() if made else None,
            "paid": text(sum((each.amount for each in made), ZERO), row["currency"]),
            "payment_method": None,
        }


def _by(rows: Iterable[Row], name: str) -> Mapping[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found


def _when(row: Row) -> tuple[str, str]:
    return row["earned_on"], row["key"]
