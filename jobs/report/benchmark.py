"""A partner beside the average of its tier (CN-74). Averages name nobody, and of fewer than three partners there are none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from jobs.report.dashboard import partner_rows
from jobs.report.figures import mean, share
from jobs.report.leads import leads
from jobs.report.picture import Picture, Row
from jobs.report.tables import Asked, Table
from rules.money import EXACT, ZERO

METRICS = Table(
    "metrics",
    ("program", "partner", "tier", "currency", "metric", "unit", "value", "tier_average", "difference", "partners"),
    ("program", "partner", "currency", "metric"),
)
AT_LEAST = 3
"""Partners in an average: of two, each could work the other's figure out."""
COMPARED = (
    ("submitted", "count"), ("qualified", "count"), ("won", "count"), ("conversion", "share"), ("win_rate", "share"),
    ("average_deal", "amount"), ("commission_per_deal", "amount"), ("ytd_earnings", "amount"),
)  # fmt: skip


def benchmark(picture: Picture, asked: Asked) -> dict[str, list[Row]]:
    """Each partner's figures, or one's, beside the average of its tier (of the whole program, where it has no tiers)."""
    every = partner_rows(picture, None, leads(picture))
    peers: dict[tuple[str | None, str], list[Row]] = {}
    for row in every:
        peers.setdefault((row["tier"], row["currency"]), []).append(row)
    averages = {group: _averages(rows, group[1]) for group, rows in peers.items()}
    return {
        "metrics": [
            _compared(row, metric, unit, *averages[row["tier"], row["currency"]][metric])
            for row in every
            if asked.partner in (None, row["partner"])
            for metric, unit in COMPARED
        ]
    }


def _averages(rows: Sequence[Row], currency: str) -> dict[str, tuple[str | None, int]]:
    """For each metric the average of those that have it, and how many these are; of too few none."""
    found: dict[str, tuple[str | None, int]] = {}
    for metric, unit in COMPARED:
        known = [Decimal(row[metric]) for row in rows if row[metric] is not None]
        found[metric] = (_average(known, unit, currency) if len(known) >= AT_LEAST else None, len(known))
    return found


def _compared(row: Row, metric: str, unit: str, average: str | None, count: int) -> Row:
    own = row[metric]
    ahead = None
    if own is not None and average is not None and Decimal(average):
        ahead = share(EXACT.subtract(Decimal(own), Decimal(average)), Decimal(average))
    return {
        "program": row["program"],
        "partner": row["partner"],
        "tier": row["tier"],
        "currency": row["currency"],
        "metric": metric,
        "unit": unit,
        "value": str(own) if own is not None else None,
        "tier_average": average,
        "difference": ahead,
        "partners": count if average is not None else None,
    }


def _average(known: Iterable[Decimal], unit: str, currency: str) -> str | None:
    found = list(known)
    return mean(found, currency) if unit == "amount" else share(sum(found, ZERO), len(found))
