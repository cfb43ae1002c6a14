"""The steps of the migrations and the tables of the code say the same, triggers included."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from sync.bulk import is_sqlite
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
