"""The steps of the migrations and the tables of the code say the same, triggers included."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from sync.bulk import is_sqlite, run_each
from sync.migrate import upgrade
from sync.schema import metadata
from sync.store import Store


def triggers(engine: Engine) -> set[tuple[str, str]]:
    with engine.connect() as connection:
        catalog = (
            "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'"
            if is_sqlite(connection)
            else "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal"
        )
        return {(row[0], row[1]) for row in connection.execute(text(catalog))}


def test_migrated_database_has_the_tables_of_the_code(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []


def test_migrated_database_has_the_triggers_of_the_code(store: Store) -> None:
    migrated = triggers(store.engine)
    with store.transaction() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    metadata.drop_all(store.engine)
    metadata.create_all(store.engine)
    assert triggers(store.engine) == migrated


def test_sqlite_tables_are_strict(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'referee.db'}")
    store.migrate()
    with store.reading() as connection:
        loose = connection.execute(
            text("SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict")
        ).scalars()
        assert set(loose) - {"sqlite_schema", "alembic_version"} == set()


def test_migrating_twice_does_nothing(store: Store) -> None:
    store.put_facts(
        [{"type": "partner", "id": "P"}],
        known_at=datetime(2026, 1, 1, tzinfo=UTC),
        run_id=1,
    )
    store.migrate()
    assert len(list(store.facts())) == 1


def test_facts_of_a_database_of_the_first_step_are_known_after_the_next(store: Store) -> None:
    """What was stated under the first tables is still there, and stating it again is no news."""
    with store.transaction() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    metadata.drop_all(store.engine)
    upgrade(store.engine, "0001")
    body = '{"id":"P","name":"Northline","type":"partner"}'
    with store.transaction() as connection:
        run_each(
            connection,
            "INSERT INTO fact (id, type, fact_id, seq, known_at, body, deleted, run_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(1, "partner", "P", 1, 0, body, False, 1)],
        )
        run_each(
            connection,
            "INSERT INTO fact_head (type, fact_id, row_id, content_hash) VALUES (?, ?, ?, ?)",
            [("partner", "P", 1, b"0123456789abcdef")],
        )
    store.migrate()
    same: dict[str, object] = {"type": "partner", "id": "P", "name": "Northline"}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert store.put_facts([same], known_at=at, run_id=2) == 0
    assert store.put_facts([same | {"name": "Northline Pty Ltd"}], known_at=at, run_id=2) == 1
    assert [fact["name"] for fact in store.facts()] == ["Northline", "Northline Pty Ltd"]
