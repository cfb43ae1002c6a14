"""What a contract's first year is worth as of a picture: lines of the contract, else invoices, else its value (ON-13).

Net of credits, refunds and reversed payments on invoices of that year, as the ledger has it once it is trued up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from jobs.report.leads import contract_value
from jobs.report.picture import Picture
from rules.first_year import first_year
from rules.invoice_book import InvoiceBook
from rules.money import ZERO
from rules.net import Net, all_but
from rules.records import Contract, Invoice
from rules.terms import CommissionTerm, ShareOfContract


def first_year_term(picture: Picture) -> ShareOfContract | None:
    """The program's commission on a first year, when one is in force."""
    return _of_first_year(picture.terms.in_force())


def first_year_registered(picture: Picture) -> ShareOfContract | None:
    """Which first year the registry shows: also that of a setting by which commission is paid as it is collected (ON-13, ON-A3)."""
    return _of_first_year(picture.terms.commission)


def _of_first_year(terms: Iterable[CommissionTerm]) -> ShareOfContract | None:
    return next((term for term in terms if isinstance(term, ShareOfContract) and term.basis == "first_year"), None)


def first_year_revenue(
    picture: Picture, contract: Contract, term: ShareOfContract, *, signed_only: bool = False
) -> Decimal | None:
    """Its first year's net revenue of the term's line kinds; ``None`` when neither contract nor invoices say.

    With ``signed_only`` what the contract alone says, as on the day it was signed.
    """
    kinds = term.included_lines
    books = [] if signed_only else list(_books(picture, contract))
    receipts = [book.first_receipt for book in books if book.first_receipt is not None]
    anchor = str(picture.terms.values.get("first_year_anchor", "subscription_start"))
    invoices = [book.invoice for book in books if book.invoice is not None]
    year = first_year(anchor, contract, invoices, kinds, min(receipts, default=None))
    inside = [book for book in books if book.invoice is not None and year.holds(book.invoice)]
    billed = [book for book in inside if book.invoice and any(line.kind in kinds for line in book.invoice.lines)]
    net = Net(picture.terms, all_but(kinds))
    if contract.lines:
        value: Decimal | None = year.worth(contract.lines, kinds, net)
    elif billed:
        value = sum((net.of(book.invoice, ())[0] for book in billed if book.invoice), ZERO)
    else:
        value = contract_value(contract) if contract.kind in kinds else None
    if value is None:
        return None
    taken = sum((sum(book.given_back(net, released_on=date.min), ZERO) for book in inside), ZERO)
    return max(value - taken, ZERO)


def _books(picture: Picture, contract: Contract) -> Iterator[InvoiceBook]:
    """The contract's invoices with what was paid, credited and given back of each."""
    named = picture.grouped("invoice", "contract").get(contract.id, {})
    silent = {
        name: invoice
        for name, invoice in picture.grouped("invoice", "account").get(contract.account, {}).items()
        if invoice.contract is None and _latest_before(picture, invoice) == contract.id
    }
    for name, invoice in {**named, **silent}.items():
        if invoice.voided_on is None:
            own: list[Any] = [
                picture.grouped(kind, "invoice").get(name, {}) for kind in ("payment", "credit_note", "refund")
            ]
            yield InvoiceBook(name, invoice, *own)


def _latest_before(picture: Picture, invoice: Invoice) -> str | None:
    """The account's latest contract that was signed by the day an invoice without one was issued."""
    signed = picture.grouped("contract", "account").get(invoice.account, {}).values()
    days = [(each.signed_on, each.id) for each in signed if each.signed_on <= invoice.issued_on]
    return max(days)[1] if days else None
