"""The Tryton connector passes the acceptance suite that every connector passes, over a real server on two databases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
from sqlalchemy import Connection, create_engine, text

from connectors.base import Query
from connectors.conformance import ConnectorConformance
from connectors.simulation import Faults
from connectors.tryton import PLUGIN
from connectors.tryton.connector import TrytonConnector
from tests.connectors.tryton_company import Company, running

pytestmark = pytest.mark.slow


class PartyDriver:
    """Edits parties as an administrator would; those that the company started with are left alone."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self._rpc = company.admin()

    def create(self, kind: str, fields: Mapping[str, Any]) -> str:
        [made] = self._rpc.call(kind, "create", [dict(fields)], idempotent=False)
        return str(made)

    def update(self, kind: str, external_id: str, fields: Mapping[str, Any]) -> None:
        self._rpc.call(kind, "write", [int(external_id)], dict(fields))

    def delete(self, kind: str, external_id: str) -> None:
        self._rpc.call(kind, "delete", [int(external_id)], idempotent=False)

    def advance(self, seconds: float) -> None:
        self.company.advance(seconds)

    def count(self, kind: str, field: str, value: str) -> int:
        return int(self._rpc.call(kind, "search_count", [[field, "=", value]]))

    def calls(self) -> int:
        return self.company.door.total_requests

    def lose_next_answer(self) -> None:
        self.company.door.faults.add(Faults.lose_answer(1))

    def fail_next(self, status: int) -> None:
        self.company.door.faults.add(Faults.status(status))

    def clean(self, kept: list[int]) -> None:
        """Delete what the test made."""
        made = self._rpc.call("party.party", "search", [["id", "not in", kept]], 0, 1000, None)
        self._rpc.call("party.party", "delete", made, idempotent=False)

    def ids(self) -> list[int]:
        """All parties."""
        return list(self._rpc.call("party.party", "search", [], 0, 1000, None))


class PostgresDriver(PartyDriver):
    """PostgreSQL shows a row when its transaction ends, under the stamp of its start."""

    def __init__(self, company: Company) -> None:
        super().__init__(company)
        assert company.dsn is not None
        self._engine = create_engine(company.dsn)
        self._open: list[tuple[float, Connection]] = []

    def create_late(self, kind: str, fields: Mapping[str, Any], seconds: float) -> str:
        connection = self._engine.connect()
        columns = {**fields, "active": True, "create_uid": 1, "create_date": self.company.now.replace(tzinfo=None)}
        names = ", ".join(columns)
        values = ", ".join(f":{name}" for name in columns)
        table = kind.replace(".", "_")
        made = connection.execute(
            text(f"INSERT INTO {table} ({names}) VALUES ({values}) RETURNING id"), columns
        ).scalar()
        self._open.append((self.company.ahead_seconds + seconds, connection))
        return str(made)

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        for due, connection in self._open:
            if due <= self.company.ahead_seconds:
                connection.commit()

    def clean(self, kept: list[int]) -> None:
        for _, connection in self._open:
            connection.close()
        self._engine.dispose()
        super().clean(kept)


@pytest.fixture(scope="module")
def sqlite_company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with running("sqlite", tmp_path_factory.mktemp("tryton")) as company:
        yield company


@pytest.fixture(scope="module")
def postgres_company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with running("postgresql", tmp_path_factory.mktemp("tryton")) as company:
        yield company


class TestTryton(ConnectorConformance):
    """Parties on SQLite; their code is the one key that Tryton itself keeps unique."""

    plugin = PLUGIN
    kind, key_field, text_field = "party.party", "code", "name"
    driver: ClassVar[type[PartyDriver]] = PartyDriver
    company: ClassVar[str] = "sqlite_company"

    @pytest.fixture
    def edit(self, request: pytest.FixtureRequest) -> Iterator[PartyDriver]:
        company: Company = request.getfixturevalue(self.company)
        company.rest()
        driver = self.driver(company)
        kept = driver.ids()
        yield driver
        driver.clean(kept)

    @pytest.fixture
    def connector(self, edit: PartyDriver) -> TrytonConnector:
        return edit.company.connect(page_size=7, deleted_hours=0)

    def _query(self) -> Query:
        """The company's own parties were there before; the suite expects to be alone."""
        return Query(self.kind, (self.key_field, self.text_field), where='[["code", "like", "key-%"]]')


@pytest.mark.soak
class TestTrytonOnPostgres(TestTryton):
    """The same, with commits that come late."""

    driver = PostgresDriver
    company = "postgres_company"
