"""A database that is put back to what it was, and a machine whose clock is wrong: no record is missed, nothing is paid or written twice."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.installation import installation
from tests.jobs.sync_world import Office, office, outcome

DAYS = (24, 26, 28, 31, 33)
"""From the first commission to after the cut of January's statements."""


def told(place: Office) -> dict[str, list[Any]]:
    """Claims, entries and statements as they stand, without the ids that NetSuite gives in the order of our writes."""
    found = outcome(place)
    return {
        "claims": sorted((row["referral"], row["state"], row["rank"]) for row in found["claims"]),
        "entries": sorted((row["partner"], row["kind"], row["earned_on"], row["amount"], row["state"]) for row in found["entries"]),
        "statements": sorted((row["id"], row["payable"], len(row["entries"])) for row in found["statements"]),
    }  # fmt: skip


def read(place: Office) -> Counter[tuple[str, str]]:
    """How many records of each object were read."""
    return Counter((row[0], row[1]) for row in place.dump()["records"])


def test_yesterdays_backup_put_back_after_the_systems_went_on_doubles_nothing(tmp_path: Path) -> None:
    """Statements were cut and written after the backup was made; all of it is found again, and none of it written again."""
    with office(tmp_path) as place:
        for day in DAYS:
            place.morning(day)
            assert place.sync().failed == []
            if day == 28:
                with sqlite3.connect(tmp_path / "referee.db") as here, sqlite3.connect(tmp_path / "backup") as backup:
                    here.backup(backup)
        before, records, written = told(place), read(place), place.journals()
        assert len(before["statements"]) >= 2 and len(written) > 50
        place.here.store.close()
        for path in tmp_path.glob("referee.db*"):
            path.unlink()
        shutil.copy(tmp_path / "backup", tmp_path / "referee.db")
        assert told(place) != before
        for _ in range(2):
            place.later(minutes=30)
            ran = place.sync()
            assert (ran.failed, ran.refused) == ([], [])
            assert [item for plan in ran.plans.values() for item in plan.items if item.writes] == []
        assert told(place) == before and read(place) == records
        assert place.journals() == written


def played(folder: Path, skew: timedelta) -> tuple[dict[str, list[Any]], Counter[tuple[str, str]]]:
    """What stands after the story, and what was read, where our clock is ahead of both systems by ``skew``."""
    with (
        office(folder) as place,
        installation(place.config, clock=lambda: place.world.now() + skew, sleep=place.waits.append) as place.here,
    ):
        for day in DAYS:
            place.morning(day)
            assert place.sync().failed == []
        place.later(hours=30)
        assert place.sync().failed == []
        assert place.doubled() == 0
        return told(place), read(place)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[Any]], Counter[tuple[str, str]]]:
    return played(tmp_path_factory.mktemp("right"), timedelta(0))


@pytest.mark.parametrize("skew", [timedelta(hours=26), timedelta(hours=-26), timedelta(minutes=-5)])
def test_a_clock_that_is_wrong_misses_no_record_and_moves_no_amount(
    tmp_path: Path, skew: timedelta, right: tuple[dict[str, list[Any]], Counter[tuple[str, str]]]
) -> None:
    """What is read ends by the systems' own time, and receipts, claims and what is earned go by what they say."""
    assert played(tmp_path, skew) == right
