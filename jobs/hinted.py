"""Following hints: what they name is read from its system, within half of the day's calls."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from jobs.clock import Clock
from jobs.connections import Open
from sync import hints, mapping_versions
from sync.drift import paused_fields
from sync.pull import PullResult, pull_hinted
from sync.store import Store

log = structlog.get_logger("referee.hints")

AT_ONCE = 2000
"""Hints that one early pull follows; more wait for the next one."""
LEFT_TO_POLLS = 0.5
"""Part of our share of the day's calls that early pulls do not touch."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of hints; ``left`` are those whose object could not be read, for the next time."""

    pulled: PullResult
    left: tuple[hints.Waiting, ...]

    @property
    def news(self) -> bool:
        """Whether anything was not as we held it."""
        return any(
            one.records.new or one.records.changed or one.records.deleted or one.replayed.facts
            for one in self.pulled.streams
        )


def follow_hints(store: Store, each: Open, clock: Clock, *, allow: str | None = None) -> Followed | None:
    """Read what the hints of a connection name, under its lease; ``None`` when none wait. ``allow``: the person who lets it
    past the brakes of a pull.

    Raises: ``LeaseLost``, ``StoreUnavailable``, ``ConnectorError``.
    """
    taken = hints.waiting(store, each.name, limit=AT_ONCE)
    if not taken:
        return None
    run = store.start_run("hints", each.name, at=clock())
    with store.transaction() as db:
        mapping_versions.use(db, each.name, each.mapping, run, clock())
    with each.budget.keeping(LEFT_TO_POLLS):
        pulled, settled = pull_hinted(
            store, each.name, each.connector, each.mapping, taken, now=clock, run_id=run,
            paused=paused_fields(store, each.name), limits=each.brakes, allow=allow,
        )  # fmt: skip
    hints.done(store, each.name, settled)
    note = "; ".join(stream.why for stream in pulled.streams if stream.why) or None
    store.finish_run(run, pulled.state, pulled.counts(), at=clock(), note=note)
    log.info("hints_followed", connection=each.name, hints=len(taken), settled=len(settled), state=pulled.state)
    return Followed(pulled, tuple(hint for hint in taken if hint not in settled))
