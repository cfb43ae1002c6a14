"""What a deal earns: the commission terms in force for it, each by its rule (G-1: a deal keeps the terms it was pinned to)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from rules.bonus import milestone_bonus
from rules.collection_share import share_of_collections
from rules.contract_share import share_of_contract
from rules.deal import Deal, Outcome, Standing
from rules.facts import View
from rules.invoice_share import share_of_invoices
from rules.ledger import Ledger
from rules.program import Program
from rules.records import Contract
from rules.terms import MilestoneBonus, ShareOfCollections, ShareOfContract, ShareOfInvoices, Terms


def earn(deal: Deal, ledger: Ledger) -> Iterator[Outcome]:
    """Post everything a deal earns to the ledger; yields the tasks of each rule. Raises: nothing."""
    pinned = pinned_terms(deal.program, deal.submitted_on, deal.standings, deal.contracts)
    if pinned is None:
        return
    day, terms = pinned
    kinds = {view.fact.kind for timeline in deal.contracts.values() for view in timeline if view.fact}
    for term in terms.in_force():
        wanted = getattr(term, "contract_kinds", ())
        if wanted and not kinds & set(wanted):
            continue
        if isinstance(term, ShareOfCollections):
            for contract in deal.contracts:
                yield share_of_collections(deal, contract, terms, term, day, ledger)
        elif isinstance(term, ShareOfInvoices):
            yield share_of_invoices(deal, terms, term, day, ledger)
        elif isinstance(term, ShareOfContract):
            yield share_of_contract(deal, terms, term, day, ledger)
        elif isinstance(term, MilestoneBonus):
            yield milestone_bonus(deal, terms, term, ledger)


def pinned_terms(
    program: Program,
    submitted_on: date,
    standings: Iterable[Standing],
    contracts: Mapping[str, Sequence[View[Contract]]],
) -> tuple[date, Terms] | None:
    """The day whose terms a deal keeps, with these terms; ``None`` while its claim was never approved."""
    approved = next((standing for standing in standings if standing.approved_at is not None), None)
    if approved is None or approved.approved_at is None:
        return None
    day = program.calendar.date_of(approved.approved_at)
    pin_at = program.on(day).values.get("terms_pin_at")
    if pin_at == "submission":
        day = submitted_on
    elif pin_at == "contract_signed":
        signed = [view.fact.signed_on for name in approved.contracts for view in contracts[name] if view.fact]
        day = min(signed, default=day)
    return day, program.on(day)
