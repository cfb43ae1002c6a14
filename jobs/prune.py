"""Job: let go of operational history that is older than the settings keep it. What money depends on is kept for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog

from jobs.installation import Installation
from jobs.show import console, table
from sync.retention import Keep, prunable, prune

log = structlog.get_logger("referee.prune")

EVERY = timedelta(days=1)
"""How often `referee run` does it."""

_NAMES = {
    "intent": "writes that a later one replaced", "write_event": "what happened to them",
    "enqueued_plan": "plans that no brake held", "run": "runs that brought nothing",
    "mapping_use": "mappings that those used", "read_page": "API calls that brought a page",
    "notice": "notifications that were sent, or not to be",
}  # fmt: skip


def prune_history(here: Installation, *, only_plan: bool = False) -> dict[str, Any]:
    """Count what is too old by table, and delete it unless ``only_plan``; what is older and stays is told with the reason."""
    kept = here.settings.retention.model_dump()
    found = prunable(here.store, Keep(**kept), here.clock())
    if not only_plan and any(found.counts().values()):
        number = here.store.start_run("prune", None, at=here.clock())
        prune(here.store, found)
        here.store.finish_run(number, "ok", {"rows": found.counts()}, at=here.clock())
        log.info("pruned", rows=sum(found.counts().values()))
    return {"days": kept, "pruned": not only_plan, "rows": found.counts(), "stays": dict(found.stays)}


def prune_daily(here: Installation) -> None:
    """As `referee run` does it: at most once a day, whichever process comes first; a failure is logged and tried again."""
    try:
        last = here.store.runs(job="prune", limit=1)
        if not last or here.clock() - last[0].started_at >= EVERY:
            prune_history(here)
    except Exception as error:
        log.exception("prune_failed", error=type(error).__name__)


def show_pruned(found: dict[str, Any]) -> None:
    """Print it."""
    out = console()
    rows = [(_NAMES[name], name, number) for name, number in found["rows"].items()]
    verb = "gone" if found["pruned"] else "would go"
    if rows:
        out.print(table(f"older than kept: {verb}", ("what", "table", "rows"), rows, right=("rows",)))
    if found["stays"]:
        out.print(table("older, and stays", ("what", "rows"), list(found["stays"].items()), right=("rows",)))
    days = ", ".join(f"{name} {'for ever' if n is None else f'{n} days'}" for name, n in found["days"].items())
    out.print(f"kept: {days}; records, facts, ledger, statements and what people decided for ever")
    if not found["pruned"] and any(found["rows"].values()):
        out.print("next: `referee prune` lets them go; `referee run` does it once a day")
