"""Figures of reports: shares, means and sums as decimal text. Money stays exact and in its currency."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal

from jobs.report.picture import Row
from rules.money import EXACT, ZERO, plain, text

FOUR_DIGITS = Decimal("0.0001")


def share(part: Decimal | int, whole: Decimal | int) -> str | None:
    """``part / whole`` to four digits, half to even; ``None`` when there is no whole."""
    if not whole:
        return None
    return plain(EXACT.divide(Decimal(part), Decimal(whole)).quantize(FOUR_DIGITS, ROUND_HALF_EVEN, EXACT))


def growth(now: Decimal, before: Decimal) -> str | None:
    """By which share ``now`` is above (or below) ``before``; ``None`` without a positive ``before``."""
    return share(now - before, before) if before > 0 else None


def mean(amounts: Iterable[Decimal], currency: str) -> str | None:
    """The mean of amounts at the currency's digits; ``None`` of none."""
    found = list(amounts)
    return text(EXACT.divide(sum(found, ZERO), Decimal(len(found))), currency) if found else None


def mean_days(days: Iterable[int]) -> str | None:
    """The mean of whole days to one digit; ``None`` of none."""
    found = list(days)
    if not found:
        return None
    exact = EXACT.divide(Decimal(sum(found)), Decimal(len(found)))
    return plain(exact.quantize(Decimal("0.1"), ROUND_HALF_EVEN, EXACT))


def amount_of(row: Row, name: str = "amount") -> Decimal:
    """An amount of an outcome row as a number; nothing counts as zero."""
    return Decimal(row[name]) if row[name] is not None else ZERO


def total(rows: Iterable[Row], name: str = "amount") -> Decimal:
    """The sum of one amount over rows of one currency."""
    return sum((amount_of(row, name) for row in rows), ZERO)


def shown(amount: str | None) -> str:
    """An amount with thousands apart; its digits stay."""
    return "" if amount is None else format(Decimal(amount), ",f")
