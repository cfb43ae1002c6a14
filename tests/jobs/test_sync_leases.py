"""Two runs of one connection: one works, the other is told so; a holder that died or slept too long is replaced."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from jobs.leasing import SECONDS, take
from sync.leases import LeaseLost
from tests.jobs.sync_world import Killable, Ran, killable, office


def test_a_second_run_is_told_that_the_connection_is_taken_and_a_dead_holder_is_replaced_at_once(
    tmp_path: Path, child: Killable
) -> None:
    with office(tmp_path) as place:
        place.morning(5)
        others: list[Ran] = []

        def meanwhile(name: str) -> None:
            if name in ("after_settle", "before_send") and len(others) < 2:
                others.append(child.referee(place, "sync"))

        assert place.sync(crashpoint=meanwhile).failed == []
        assert [other.code for other in others] == [1, 1]
        assert "crm: another run holds this connection" in others[0].out
        assert "erp: another run holds this connection" in others[0].out
        assert place.doubled() == 0

        place.morning(24)
        assert child.run(place, "before_send")
        result = place.sync()
        assert result.busy == result.failed == []
        assert place.doubled() == 0


def test_processes_that_start_together_write_everything_once(tmp_path: Path, child: Killable) -> None:
    with office(tmp_path / "alone") as alone, office(tmp_path / "together") as place, killable() as rival:
        for each in (alone, place):
            each.morning(24)
        assert alone.sync().failed == []
        child.start(place)
        rival.start(place)
        ended = sorted([child.status(), rival.status()])
        assert ended in ([0, 0], [0, 2]), f"ended with {ended}"
        assert place.journals() == alone.journals()
        assert place.dump()["journal"] == alone.dump()["journal"]


def test_a_run_that_takes_hours_keeps_all_its_connections_to_itself(tmp_path: Path) -> None:
    """Reading, settling, planning, writing: five minutes at each step, and the second connection waits for the first."""
    with office(tmp_path) as place:
        place.morning(24)
        started, free, steps = place.world.moment, [], 0

        def slow(name: str) -> None:
            nonlocal steps
            place.later(minutes=5)
            steps += 1
            for connection in ("crm", "erp"):
                lease = take(place.here.store, f"connection:{connection}", place.here.clock)
                free.extend([] if lease is None else [name])

        def lasts(name: str) -> None:
            if name in ("after_commit", "after_stream", "after_settle", "after_enqueue", "before_send", "after_send"):
                slow(name)

        assert place.sync(crashpoint=lasts).failed == []
        assert free == [] and place.world.moment - started > timedelta(hours=2)
        assert take(place.here.store, "connection:erp", place.here.clock) is not None, "given back at the end"


def test_a_holder_that_slept_past_its_lease_is_fenced_off_and_writes_nothing_more(
    tmp_path: Path, child: Killable
) -> None:
    with office(tmp_path) as place:
        place.morning(24)
        slept: list[list[tuple[str, ...]]] = []

        def sleeps(name: str) -> None:
            if name == "after_enqueue" and not slept:
                place.later(seconds=SECONDS + 1)
                assert not child.run(place)
                slept.append(place.journals())

        with pytest.raises(LeaseLost, match="another holder"):
            place.sync(crashpoint=sleeps)
        assert place.journals() == slept[0]
        assert place.doubled() == 0
        assert place.sync().failed == []
        assert place.journals() == slept[0]
