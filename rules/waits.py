"""What of a deal waits for an exchange rate or for its contract, and what it is posted under once that is known (E12)."""

from __future__ import annotations

from typing import NamedTuple

from rules.accrual import Cause


class WaitingInvoice(NamedTuple):
    """An invoice that is not counted yet. ``missing``: the exchange rate that it lacks; empty: its contract is not known."""

    contract: str
    cause: Cause
    missing: str


class Waits:
    """Invoices that cannot be counted, and contracts on which nothing can be posted, each with the cause that came first.

    What is posted once the wait is over has that cause, and so its kind and its date, whatever happened meanwhile.
    """

    def __init__(self) -> None:
        self._invoices: dict[str, WaitingInvoice] = {}
        self._contracts: dict[str, Cause] = {}

    def put_off_invoice(self, invoice: str, contract: str, cause: Cause, missing: str = "") -> None:
        """An invoice waits; one that waits already keeps its first cause."""
        before = self._invoices.get(invoice)
        self._invoices[invoice] = WaitingInvoice(contract, before.cause if before else cause, missing)

    def put_off_contract(self, contract: str, cause: Cause) -> None:
        """A contract waits; one that waits already keeps its first cause."""
        self._contracts.setdefault(contract, cause)

    def invoices(self, contract: str | None) -> list[tuple[str, WaitingInvoice]]:
        """The invoices of a contract (``None``: of all) that wait, by id."""
        return sorted((name, one) for name, one in self._invoices.items() if contract in (None, one.contract))

    def missing_for(self, contract: str) -> str:
        """An exchange rate that invoices of a contract lack; empty: none."""
        return next((one.missing for one in self._invoices.values() if one.contract == contract and one.missing), "")

    def end_for_invoice(self, invoice: str) -> None:
        """An invoice is counted now."""
        self._invoices.pop(invoice, None)

    def end_for_contract(self, contract: str, cause: Cause) -> Cause:
        """The cause of what is posted now: the first one of a contract that waited, else ``cause``."""
        return self._contracts.pop(contract, cause)
