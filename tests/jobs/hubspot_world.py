"""A simulated HubSpot portal with people in it, and an installation of Referee beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from connectors.hubspot.simulator import HubSpotSimulator
from jobs.installation import Installation, installation
from jobs.stored import stored_outcome
from jobs.sync import Synced, sync
from sync.outbox import Outbox
from tests.sync.empty_store import empty_store


class Place:
    """A portal with people in it, and an installation of Referee beside it, on one clock that tests move."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
        self.portal = HubSpotSimulator(now=lambda: self.moment)
        self.portal.limits.burst = self.portal.limits.searches = None  # the clock stands still during a sync
        self.here: Installation = None  # type: ignore[assignment]

    def later(self, **time: float) -> None:
        self.moment += timedelta(**time)

    def sync(self) -> Synced:
        """One sync, opened anew as each command does; a person has allowed the first large plan."""
        return sync(self.here.store, self.here.programs, self.here.open(), self.here.clock, allow="ann")

    def waiting(self) -> int:
        """Writes that are still to be sent."""
        counts = Outbox(self.here.store).counts("crm")
        return counts.get("pending", 0) + counts.get("attempted", 0)

    def claims(self) -> dict[str, dict[str, Any]]:
        """The claims as they stand, by referral."""
        here = self.here
        with here.store.reading() as database:
            as_of = {program.id: program.calendar.date_of(self.moment) for program in here.programs}
            found = stored_outcome(database, here.programs, as_of)
        return {claim["referral"]: claim for claim in found["claims"]}


@contextmanager
def placed(folder: Path, companies: int = 40, **settings: Any) -> Iterator[Place]:
    """A seeded portal and an installation; ``settings`` are keys of its settings file. No request may meet a bug of it."""
    made = Place()
    with made.portal as portal:
        portal.seed(5, companies)
        portal.webhooks.waiting.clear()
        made.later(hours=1)
        body = {
            "programs": ["next-technik"], "log": {"level": "error"}, **settings,
            "connections": {"crm": {"system": "hubspot", "settings": portal.settings()}},
        }  # fmt: skip
        with (folder / "referee.yaml").open("w", encoding="utf-8") as out:
            YAML().dump(body, out)
        empty_store(folder / "referee.db")
        with installation(folder / "referee.yaml", clock=lambda: made.moment, sleep=lambda seconds: None) as made.here:
            yield made
    assert portal.crashes == []
