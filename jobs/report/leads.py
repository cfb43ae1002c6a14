"""A lead: one referral with everything that belongs to it, how far it is, and in which words that is said.

Two vocabularies are kept apart (CN-A26): the *status* a partner sees of a lead (CN-54), and the *stage* of its sale
in the pipeline (CN-66). ``engaged`` is the stage ``discovery``; ``proposal`` is ``proposal`` or ``negotiation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from jobs.report.picture import Picture, Row
from rules.facts import at
from rules.money import ZERO
from rules.potential import estimated_value
from rules.records import Account, Contract, Opportunity, Referral
from sync.verdicts import Verdict

STATUSES = ("submitted", "qualified", "engaged", "proposal", "won", "lost")
STAGES = ("discovery", "proposal", "negotiation", "won", "lost")
OPEN_STAGES = STAGES[:3]
ENDED = {"inadmissible", "returned", "rejected", "superseded", "expired", "withdrawn"}
"""States in which a claim is lost."""
QUALIFIED = {"active", "won"}
_NOT_OF_OTHERS = {
    "superseded": "another claim holds this prospect",
    "conflict": "more than one claim to this prospect was received; a person decides",
    "in_review": "a person looks at this claim",
}
_STAGE_WORDS = (("negotiation", ("negotiat", "contract")), ("proposal", ("proposal", "quote", "offer")))
"""Words in the name that a CRM gives a stage; any other open stage is discovery."""


def stage_of(opportunity: Opportunity) -> str:
    """The stage of a sale: by its outcome, else by the words of the CRM's own stage."""
    if opportunity.outcome is not None:
        return opportunity.outcome
    name = opportunity.stage.casefold()
    return next((stage for stage, words in _STAGE_WORDS if any(word in name for word in words)), "discovery")


def status_of(state: str, opportunity: Opportunity | None, *, is_won: bool) -> str:
    """The status of a lead, from its claim's state and its sale; what was won stays so while a conflict is decided (CN-54)."""
    if is_won:
        return "won"
    if state in ENDED or (opportunity is not None and opportunity.outcome == "lost"):
        return "lost"
    if state not in QUALIFIED:
        return "submitted"
    if opportunity is None:
        return "qualified"
    return "engaged" if stage_of(opportunity) == "discovery" else "proposal"


@dataclass(frozen=True)
class Lead:
    """One referral: its claim, the records that belong to it, and the entries it earned."""

    id: str
    claim: Row
    referral: Referral
    account: Account | None
    opportunities: tuple[Opportunity, ...]
    contracts: tuple[Contract, ...]
    entries: tuple[Row, ...]
    verdicts: Sequence[tuple[datetime, Verdict]]
    currency: str
    """Of its contracts, else of its sale, else the program's."""

    @property
    def opportunity(self) -> Opportunity | None:
        """Its sale: the latest one that is open, else the latest."""
        return _main_sale(self.opportunities)

    @property
    def status(self) -> str:
        """Its status as its partner sees it."""
        return status_of(self.claim["state"], self.opportunity, is_won=self.won_on is not None)

    @property
    def stage(self) -> str | None:
        """Its stage in the pipeline; ``None`` when it was never qualified."""
        if self.claim["won_on"] is not None:
            return "won"
        if self.qualified_at is None:
            return None
        if self.status == "lost":
            return "lost"
        return stage_of(self.opportunity) if self.opportunity else "discovery"

    @property
    def qualified_at(self) -> datetime | None:
        """Since when it is, or first was, qualified."""
        return next((since for since, verdict in self.verdicts if verdict.state in QUALIFIED), None)

    @property
    def won_on(self) -> date | None:
        """The day it was won."""
        return date.fromisoformat(self.claim["won_on"]) if self.claim["won_on"] else None

    @property
    def value(self) -> Decimal | None:
        """What its contracts of its currency, without renewals, are worth together; ``None`` when none says."""
        own = [each for each in self.contracts if each.renews is None and each.currency == self.currency]
        values = [contract_value(each) for each in own]
        known = [value for value in values if value is not None]
        return sum(known, ZERO) if known else None

    @property
    def expected_value(self) -> Decimal | None:
        """What it may be worth: the sale's amount, else the partner's estimate in the program's currency."""
        deal = self.opportunity
        if deal is not None and deal.amount is not None:
            return self.amount_of(deal)
        return estimated_value(self.referral.details or {})

    def amount_of(self, sale: Opportunity) -> Decimal | None:
        """A sale's amount, when it is in the lead's currency: amounts are never added across currencies."""
        return sale.amount if sale.currency == self.currency else None


def contract_value(contract: Contract) -> Decimal | None:
    """A contract's value, else the sum of its lines."""
    if contract.value is not None or not contract.lines:
        return contract.value
    return sum((line.amount for line in contract.lines), ZERO)


def leads(picture: Picture, partner: str | None = None) -> list[Lead]:
    """Every referral of the program (or of one partner), in the order of their ids."""
    contracts, opportunities = _contracts(picture), _opportunities(picture)
    entries: dict[str, list[Row]] = {}
    for row in picture.rows["entries"]:
        if row["referral"] is not None:
            entries.setdefault(row["referral"], []).append(row)
    found = []
    for claim in sorted(picture.rows["claims"], key=lambda row: row["referral"]):
        if partner is not None and claim["partner"] != partner:
            continue
        name = claim["referral"]
        referral = picture.last_known("referral", name)
        account = picture.facts("account").get(claim["account"] or referral.account or "")
        deals = tuple(opportunities.get(name, ()))
        signed = tuple(contracts.get(name, ()))
        currencies = [each.currency for each in signed] + [
            each.currency for each in deals if each.currency and each.amount is not None
        ]
        currency = currencies[0] if currencies else picture.program.currency
        found.append(
            Lead(name, claim, referral, account, deals, signed, tuple(entries.get(name, ())),
                 picture.verdicts(name), currency)
        )  # fmt: skip
    return found


def by_partner(own: Iterable[Lead]) -> dict[str, list[Lead]]:
    """Leads by their partner, in the order of its id."""
    found: dict[str, list[Lead]] = {}
    for lead in own:
        found.setdefault(lead.claim["partner"], []).append(lead)
    return dict(sorted(found.items()))


def _contracts(picture: Picture) -> dict[str, list[Contract]]:
    """Contracts by the referral they belong to: the one they or their sale name, else the claim that they earn for."""
    owners: dict[str, str] = {}
    for claim in picture.rows["claims"]:
        for _, verdict in reversed(picture.verdicts(claim["referral"])):
            for name in verdict.contracts:
                owners.setdefault(name, claim["referral"])
    for row in picture.rows["entries"]:
        if row["contract"] is not None and row["referral"] is not None:
            owners.setdefault(row["contract"], row["referral"])
    own = {claim["referral"] for claim in picture.rows["claims"]}
    sales = picture.facts("opportunity")
    found: dict[str, list[Contract]] = {}
    for contract in picture.facts("contract").values():
        sale: Any = sales.get(contract.opportunity or "")
        named = contract.referral or (sale.referral if sale else None)
        owner = named if named in own else owners.get(contract.id)
        if owner is not None:
            found.setdefault(owner, []).append(contract)
    for signed in found.values():
        signed.sort(key=lambda each: (each.signed_on, each.id))
    return found


def _opportunities(picture: Picture) -> dict[str, list[Opportunity]]:
    """Sales by the referral they belong to: the one they name, else the qualified claim of their account."""
    held: dict[str, str] = {}
    for claim in sorted(picture.rows["claims"], key=lambda row: row["state"] in QUALIFIED):
        if claim["account"] is not None and _was_qualified(picture, claim):
            held[claim["account"]] = claim["referral"]
    named = {
        contract.opportunity: contract.referral
        for contract in picture.facts("contract").values()
        if contract.opportunity and contract.referral
    }
    found: dict[str, list[Opportunity]] = {}
    for sale in picture.facts("opportunity").values():
        owner = sale.referral or named.get(sale.id) or held.get(sale.account)
        if owner is not None:
            found.setdefault(owner, []).append(sale)
    return found


def _was_qualified(picture: Picture, claim: Row) -> bool:
    return any(verdict.state in QUALIFIED for _, verdict in picture.verdicts(claim["referral"]))


def statuses(picture: Picture, lead: Lead) -> list[tuple[datetime, str, str]]:
    """Every status that a lead had: since when, which, and why; two that follow one another differ."""
    sales = {each.id: picture.timelines("opportunity")[each.id] for each in lead.opportunities}
    began = lead.verdicts[0][0]
    instants = {since for since, _ in lead.verdicts} | {
        view.at for views in sales.values() for view in views if view.at > began
    }
    found: list[tuple[datetime, str, str]] = []
    for instant in sorted(instants):
        verdict = [verdict for since, verdict in lead.verdicts if since <= instant][-1]
        known = [fact for views in sales.values() if (fact := at(list(views), instant)) is not None]
        main = _main_sale(known)
        status = status_of(verdict.state, main, is_won=verdict.won_on is not None)
        if not found or found[-1][1] != status:
            is_of_sale = status in ("engaged", "proposal") or (status == "lost" and verdict.state in QUALIFIED)
            because = f"its sale is in the stage {main.stage}" if main and is_of_sale else told(verdict)
            found.append((instant, status, because))
    return found


def told(verdict: Verdict) -> str:
    """Why a claim stands so, as its partner may read it: of other partners' claims it says no more than that they are."""
    return _NOT_OF_OTHERS.get(verdict.state, verdict.because)


def _main_sale(sales: Iterable[Opportunity]) -> Opportunity | None:
    """The latest sale that is open, else the latest."""
    ordered = sorted(sales, key=lambda deal: (deal.outcome is None, deal.created_at, deal.id))
    return ordered[-1] if ordered else None
