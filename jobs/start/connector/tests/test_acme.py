"""The Acme connector passes the acceptance suite of Referee, over a small Acme on this machine."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from referee_acme import PLUGIN
from referee_acme.connector import FIELDS, AcmeConfig, AcmeConnector

from connectors.conformance import ConnectorConformance, Hands
from connectors.simulation import SimRequest, SimResponse, Simulator

TOKEN = "token-of-tests"


class Acme(Hands, Simulator):
    """Companies in memory; every change of one takes the next number."""

    companies: dict[str, dict[str, Any]]
    change = 0

    def create(self, kind: str, fields: Mapping[str, Any]) -> str:
        made = f"C{len(self.companies) + 1}"
        self.update(kind, made, {"id": made, "deleted": False, **fields})
        return made

    def update(self, kind: str, external_id: str, fields: Mapping[str, Any]) -> None:
        with self.lock:
            self.change += 1
            self.companies[external_id] = {**self.companies.get(external_id, {}), **fields, "change": self.change}

    def delete(self, kind: str, external_id: str) -> None:
        self.update(kind, external_id, {"deleted": True})

    def count(self, kind: str, field: str, value: str) -> int:
        return len(self.having(field, value))

    def having(self, field: str, value: str) -> list[dict[str, Any]]:
        return [row for row in self.companies.values() if row.get(field) == value and not row["deleted"]]

    def handle(self, request: SimRequest) -> SimResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return SimResponse.json({"code": "LOGIN"}, 401)
        if request.method == "GET":
            asked = {name: values[0] for name, values in request.query.items()}
            if "after" not in asked:
                return SimResponse.json({"rows": self.having(*asked.popitem())})
            rows = [row for row in self.companies.values() if row["change"] > int(asked["after"])]
            return SimResponse.json({"rows": sorted(rows, key=lambda row: row["change"])[: int(asked["limit"])]})
        body = request.json()
        if not body.keys() <= {"id", *FIELDS} or any(len(str(value)) > 255 for value in body.values()):
            return SimResponse.json({"code": "INVALID"}, 422)
        field = "key" if request.method == "PUT" else "id"
        found = self.having(field, body[field])
        if field == "id" and not found:
            return SimResponse.json({"code": "NOT_FOUND"}, 404)
        made = found[0]["id"] if found else self.create("companies", body)
        self.update("companies", made, body)
        return SimResponse.json({"id": made, "created": not found})


class TestAcme(ConnectorConformance):
    plugin, secrets = PLUGIN, (TOKEN,)
    kind, key_field, text_field = "companies", "key", "name"

    @pytest.fixture
    def edit(self) -> Iterator[Acme]:
        with Acme() as acme:
            acme.companies = {}
            yield acme

    @pytest.fixture
    def connector(self, edit: Acme) -> AcmeConnector:
        settings = {"url": edit.url, "token": TOKEN, "page_size": 7, "allow_loopback": True}
        config = AcmeConfig.model_validate(settings)
        connector: AcmeConnector = PLUGIN.connect(config, sleep=lambda seconds: None)
        return connector
