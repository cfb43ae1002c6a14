"""What a deal earns: the commission terms in force for it, each by its rule (G-1: a deal keeps the terms it was pinned to)."""

from __future__ import annotations

from collections.abc import Iterator

from rules.bonus import milestone_bonus
from rules.collection_share import share_of_collections
from rules.contract_share import share_of_contract
from rules.deal import Deal, Outcome
from rules.invoice_share import share_of_invoices
from rules.ledger import Ledger
from rules.pins import pins_of
from rules.terms import MilestoneBonus, ShareOfCollections, ShareOfContract, ShareOfInvoices


def earn(deal: Deal, ledger: Ledger) -> Iterator[Outcome]:
    """Post everything a deal earns to the ledger; yields the tasks of each rule. Raises: nothing."""
    kinds = {view.fact.kind for timeline in deal.contracts.values() for view in timeline if view.fact}
    for pin in pins_of(deal.program, deal.submitted_on, deal.standings, deal.contracts):
        for term in pin.terms.in_force():
            wanted = getattr(term, "contract_kinds", ())
            if wanted and not kinds & set(wanted):
                continue
            if isinstance(term, ShareOfCollections):
                for contract in deal.contracts:
                    yield share_of_collections(deal, contract, pin, term, ledger)
            elif isinstance(term, ShareOfInvoices):
                yield share_of_invoices(deal, pin, term, ledger)
            elif isinstance(term, ShareOfContract):
                yield share_of_contract(deal, pin, term, ledger)
            elif isinstance(term, MilestoneBonus):
                yield milestone_bonus(deal, pin, term, ledger)
