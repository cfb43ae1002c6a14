"""Every report by its name: what makes it, and the lists it has (docs/reports.md says what each column holds)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jobs.report import (
    benchmark,
    co_op,
    dashboard,
    forecast,
    kpis,
    leaderboard,
    pipeline,
    portal,
    registry,
)
from jobs.report.picture import Picture, Row
from jobs.report.tables import Asked, Table


@dataclass(frozen=True, slots=True)
class Report:
    """A report: its rows of one program by list, and its lists; the first is the one a CSV holds unless told otherwise."""

    rows_of: Callable[[Picture, Asked], dict[str, list[Row]]]
    tables: tuple[Table, ...]


REPORTS = {
    "registry": Report(registry.registry, (registry.LEADS,)),
    "dashboard": Report(dashboard.dashboard, (dashboard.PARTNERS, dashboard.LEADS, dashboard.DEALS, dashboard.PAYOUTS)),
    "pipeline": Report(pipeline.pipeline, (pipeline.DEALS, pipeline.STAGE_ROWS, pipeline.ANALYTICS, pipeline.TREND)),
    "forecast": Report(forecast.forecast, (forecast.SCENARIOS, forecast.DEALS)),
    "kpis": Report(kpis.kpis, (kpis.KPIS,)),
    "co-op": Report(co_op.co_op, (co_op.FUNDS, co_op.REQUESTS)),
    "benchmark": Report(benchmark.benchmark, (benchmark.METRICS,)),
    "leaderboard": Report(leaderboard.leaderboard, (leaderboard.PLACES,)),
    "portal": Report(portal.portal, (portal.PROFILES, portal.FORM, portal.CONTENT)),
}
