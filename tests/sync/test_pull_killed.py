"""A pull that is killed anywhere and run again ends as if it had never been killed; a full or locked database too."""

from __future__ import annotations

import signal
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from connectors.base import Page, Record
from sync.mapping import Mapped
from sync.store import Store, StoreUnavailable
from tests.sync.empty_store import empty_store
from tests.sync.processes import ended
from tests.sync.pulling_child import pull_until

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KILLS = [
    ("after_fetch", 1),
    ("after_stage", 1),
    ("after_commit", 1),
    ("statement", 7),
    ("after_fetch", 2),
    ("statement", 12),
    ("after_stage", 3),
    ("statement", 33),
    ("after_commit", 4),
    ("after_stream", 1),
    ("after_stage", 4),
    ("before_complete", 1),
]


def dump(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Everything the store holds of records and facts, row by row."""
    names = ("stream", "record", "record_version", "fact", "fact_head", "redirect", "quarantine")
    with store.reading() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))), key=repr)
            for name in names
        }


def without_attempts(dumped: dict[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    """How often a refused record was tried says how often we ran, not what we know."""
    return {**dumped, "quarantine": [row[:-1] for row in dumped["quarantine"]]}


def test_killed_pull_ends_as_an_uninterrupted_one(
    store: Store, store_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if store_url.startswith("postgresql"):
        whole_url = request.getfixturevalue("another_store_url")
    else:
        whole_url = empty_store(tmp_path / "whole.db")
    whole = Store.open(whole_url)
    assert ended(pull_until, whole_url, "never", 1) == 0
    deaths = [ended(pull_until, store_url, point, count) for point, count in KILLS]
    assert deaths == [-signal.SIGKILL] * len(KILLS)
    assert ended(pull_until, store_url, "never", 1) == 0
    assert without_attempts(dump(store)) == without_attempts(dump(whole))
    assert len(dump(store)["record"]) == 80
    whole.close()


def some_page(count: int = 50) -> Page:
    records = tuple(Record("Deal", str(n), "1", {"Name": "x" * 2000}, modified_at=NOW) for n in range(count))
    return Page(records, "cursor", "watermark")


def put(store: Store, page: Page) -> None:
    stream = store.stream("crm", "Deal")
    store.put_page(
        stream,
        page,
        lambda records, _: [Mapped(r.external_id, ({"type": "account", "id": r.external_id},)) for r in records],
        seen_at=NOW,
        run_id=1,
    )


def test_full_disk_leaves_no_half_page_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    store = Store.open(empty_store(tmp_path / "referee.db"))
    put(store, some_page(1))
    before = dump(store)
    with store.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StoreUnavailable, match="full"):
        put(store, some_page())
    assert dump(store) == before
    with store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    put(store, some_page())
    assert len(dump(store)["record"]) == 50
    store.close()


def test_database_locked_by_another_program_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.store.WAIT_SECONDS", 0)
    store = Store.open(empty_store(tmp_path / "referee.db"))
    store.stream("crm", "Deal")
    other = sqlite3.connect(tmp_path / "referee.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        put(store, some_page())
    other.execute("ROLLBACK")
    put(store, some_page())
    assert store.stream("crm", "Deal").watermark == "watermark"
    other.close()
    store.close()


def test_server_that_cuts_the_connection_leaves_nothing_half(postgres_url: str, another_store_url: str) -> None:
    store = Store.open(another_store_url)
    put(store, some_page(1))
    before = dump(store)
    with pytest.raises(StoreUnavailable), store.transaction() as connection:
        connection.execute(text("INSERT INTO redirect VALUES (1, 'a', 'b', 0)"))
        killer = Store.open(another_store_url)
        with killer.transaction() as admin:
            admin.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        killer.close()
        connection.execute(text("SELECT 1"))
    assert dump(store) == before
    store.close()
