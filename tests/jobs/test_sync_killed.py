"""Killed anywhere and run again, a sync leaves store and systems as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from connectors.simulation import Fault, SimRequest
from jobs.ledger import verify
from tests.jobs.sync_world import Killable, Office, differences, office, writes

POINTS = (
    "after_fetch", "after_stage", "after_commit", "after_stream", "before_complete", "after_settle", "after_enqueue",
    "before_send", "after_send", "before_ack_commit", "after_ack_commit",
)  # fmt: skip
PULLING = ("statement of the pull", "statement of settling", "some time")
WAYS = (*POINTS, *PULLING, "request lost", "answer lost")
WRITING = POINTS[POINTS.index("before_send") :]
DAYS = (1, 20, 24, 31, 40, 48, 55)
KILLS_A_DAY = 7


class Watched:
    """Where an uninterrupted sync passes: crash points by name, statements of SQL, seconds."""

    def __init__(self, place: Office) -> None:
        self.passed: Counter[str] = Counter()
        self.statements: dict[str, int] = {}
        self.failed: list[str] = []
        started = time.monotonic()
        engine = place.here.store.engine
        event.listen(engine, "before_cursor_execute", self._statement)
        self.failed = place.sync(crashpoint=self._point).failed
        event.remove(engine, "before_cursor_execute", self._statement)
        self.seconds = time.monotonic() - started

    def _statement(self, *_: Any) -> None:
        self.passed["statement"] += 1

    def _point(self, name: str) -> None:
        self.passed[name] += 1
        self.statements[name] = self.passed["statement"]


def kill(way: str, child: Killable, place: Office, watched: Watched, chance: random.Random) -> bool:
    """Let one process sync the place and die in this way; false when it came through."""
    match way:
        case "some time":
            return child.run(place, seconds=chance.uniform(0.02, watched.seconds))
        case "statement of the pull":
            return child.run(place, "statement", chance.randint(1, watched.statements["before_complete"]))
        case "statement of settling":
            first, last = watched.statements["before_complete"], watched.statements["after_settle"]
            return child.run(place, "statement", chance.randint(first + 1, last))
        case "request lost" | "answer lost":
            child.start(place)
            system = chance.choice([place.world.crm, place.world.erp])

            def kills(request: SimRequest) -> bool:
                if writes(request):
                    os.kill(child.pid, signal.SIGKILL)
                return writes(request)

            system.faults.add(Fault(kills, kind="drop" if way == "request lost" else "lose_answer"))
            killed = child.wait()
            system.faults.clear()
            return killed
    most = 2 if way in WRITING else max(watched.passed[way], 1)
    return child.run(place, way, chance.randint(1, most))


@pytest.mark.slow
def test_killed_anywhere_a_sync_ends_as_an_uninterrupted_one(tmp_path: Path, child: Killable) -> None:
    chance = random.Random(7)
    kills: Counter[str] = Counter()
    ways = list(WAYS) * (len(DAYS) * KILLS_A_DAY // len(WAYS) + 1)
    with office(tmp_path / "whole") as whole, office(tmp_path / "killed") as killed:
        for day in DAYS:
            whole.morning(day)
            killed.morning(day)
            watched = Watched(whole)
            assert watched.failed == []
            for way in sorted(ways[:KILLS_A_DAY], key=WAYS.index):
                kills[way] += kill(way, child, killed, watched, chance)
            del ways[:KILLS_A_DAY]
            assert not child.run(killed)
            while killed.waiting():  # what got no answer twice waits some seconds before it is sent again
                for place in (whole, killed):
                    place.later(minutes=1)
                    assert place.sync().failed == []
            if wrong := differences(killed.dump(), whole.dump()):
                pytest.fail(f"day {day}:\n{wrong}")
        assert killed.journals() == whole.journals()
        assert killed.doubled() == whole.doubled() == 0
        assert verify(killed.here.store)["ok"]
        paid = [row[3] for row in killed.dump()["journal"] if row[2] == "posting" and '"event":"paid"' in row[4]]
        assert len(paid) == len(set(paid)) > 0
        count = len(killed.journals())
    print(f"survived {kills.total()} of {kills.total()} kills; {count} writes, 0 lost, 0 doubled; {dict(kills)}")
    assert all(kills[way] for way in WAYS)


def test_killed_while_a_changed_mapping_is_replayed(tmp_path: Path, child: Killable) -> None:
    with office(tmp_path / "whole") as whole, office(tmp_path / "killed") as killed:
        for place in (whole, killed):
            place.morning(3)
            assert place.sync().failed == []
            place.change_mapping("website: {field: Website, transform: url, otherwise: keep}", "website: Website")
        assert whole.sync().failed == []
        assert child.run(killed, "after_replay", 2)
        assert child.run(killed, "after_replay", 1)
        assert not child.run(killed)
        if wrong := differences(killed.dump(), whole.dump()):
            pytest.fail(wrong)
        assert killed.journals() == whole.journals()
