"""What tests of jobs share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.jobs.stored_days import Shelf


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """A place for one empty SQLite store after the other."""
    made = Shelf.at(tmp_path_factory.mktemp("shelf"))
    yield made
    made.store.close()
