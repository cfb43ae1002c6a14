"""What tests of jobs share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.stored_days import Shelf
from tests.jobs.sync_world import Killable, Office, killable, office


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Office]:
    """An office whose first two days, when two partners claim one company, are synced."""
    with office(tmp_path / "office") as made:
        made.morning(1)
        assert not made.sync().failed
        yield made


@pytest.fixture(scope="module")
def child() -> Iterator[Killable]:
    """Processes that run commands, or die in a sync, on an office."""
    with killable() as made:
        yield made


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """A place for one empty SQLite store after the other."""
    made = Shelf.at(tmp_path_factory.mktemp("shelf"))
    yield made
    made.store.close()
