"""Recorded conversations with a real Tryton server, replayed with the network blocked.

The server holds invented people only. To record anew, with its packages at hand:
``pytest tests/connectors/test_tryton_cassettes.py --record-mode=rewrite``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from requests.adapters import HTTPAdapter

from connectors.base import Change, Query, Record
from connectors.http import Http
from connectors.simulation import Faults
from connectors.tryton.config import TrytonConfig
from connectors.tryton.connector import TrytonConnector
from connectors.tryton.errors import decide, decide_login
from connectors.tryton.rpc import authenticator
from connectors.tryton.server.company import PASSWORD, USER
from tests.connectors.tryton_company import DATABASE, Company, Door, running

PORT = 18933
SESSION = re.compile(r"[0-9a-f]{32,}")
PARTIES = Query("party.party", ("code", "name"))
pytestmark = [pytest.mark.vcr, pytest.mark.block_network]


@pytest.fixture(scope="module")
def vcr_config(vcr_config: dict[str, Any]) -> dict[str, Any]:
    """People at work and the door behind it are not the connector; a login's password and token are not for a file."""

    def request_kept(request: Any) -> Any:
        if request.port != PORT:
            return None
        body = json.loads(request.body)
        if body["method"] == "common.db.login":
            body["params"][1] = {"password": "scrubbed"}
            request.body = json.dumps(body).encode()
        return request

    def answer_kept(response: dict[str, Any]) -> dict[str, Any]:
        try:
            body = json.loads(response["body"]["string"])
        except ValueError:
            return response
        match body:
            case {"result": [int(), str(token), *_]} if SESSION.fullmatch(token):
                text = response["body"]["string"].decode().replace(token, "0" * len(token))
                return {**response, "body": {"string": text.encode()}}
        return response

    return {**vcr_config, "before_record_request": request_kept, "before_record_response": answer_kept}


@pytest.fixture(scope="module")
def company(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company | None]:
    """The company to record with; when replaying there is none."""
    if request.config.getoption("--record-mode") in (None, "none"):
        yield None
        return
    with running("sqlite", tmp_path_factory.mktemp("tryton")) as started, Door(started.server, PORT) as started.door:
        yield started


@pytest.fixture
def connector(vcr: object) -> TrytonConnector:
    config = TrytonConfig.model_validate(
        {"url": f"http://127.0.0.1:{PORT}", "database": DATABASE, "user": USER, "password": PASSWORD,
         "allow_loopback": True, "page_size": 2, "concurrency": 1, "deleted_hours": 0}
    )  # fmt: skip
    login = Http(config.url, system="tryton", decide=decide_login, allow_loopback=True)
    http = Http(
        config.url, system="tryton", decide=decide, auth=authenticator(config, login), allow_loopback=True,
        sleep=lambda seconds: None,
    )  # fmt: skip
    for each in (login, http):
        each.session.mount("http://", HTTPAdapter())  # the guarded one makes its own sockets, past the recorder
    return TrytonConnector(config, http)


def read(connector: TrytonConnector, query: Query, since: str | None = None) -> tuple[dict[str, Record], str]:
    """The records by code (those that are gone by id), and the watermark."""
    pages = list(connector.changes(query, since=since))
    assert pages[-1].watermark is not None
    found = [record for page in pages for record in page.records]
    return {str(record.fields.get("code", record.external_id)): record for record in found}, pages[-1].watermark


def parties(company: Company, name: str, count: int) -> list[int]:
    """Invented companies with the codes NAME0, NAME1, …; a second passes, the server's smallest step."""
    made = [company.office().party(f"{name}{number}", f"Invented {name} {number}") for number in range(count)]
    company.advance(3600)
    return made


def test_pages(company: Company | None, connector: TrytonConnector) -> None:
    if company:
        parties(company, "PAGE", 3)
    pages = list(connector.changes(PARTIES, since=None))
    assert {len(page.records) for page in pages[:-1]} <= {1, 2}
    codes = [str(record.fields["code"]) for page in pages for record in page.records]
    assert [code for code in codes if code.startswith("PAGE")] == ["PAGE0", "PAGE1", "PAGE2"]


def test_session_expired(company: Company | None, connector: TrytonConnector) -> None:
    if company:
        parties(company, "LOGIN", 1)
        company.door.faults.add(Faults.status(401, match=lambda request: b"search_read" in request.body))
    assert "LOGIN0" in read(connector, PARTIES)[0]


def test_too_many_requests(company: Company | None, connector: TrytonConnector) -> None:
    if company:
        parties(company, "BUSY", 1)
        for status in (429, 503):
            company.door.faults.add(Faults.status(status, match=lambda request: b"search_read" in request.body))
    assert "BUSY0" in read(connector, PARTIES)[0]


def test_partial_failure(company: Company | None, connector: TrytonConnector) -> None:
    if company:
        office = company.office()
        office.agent(office.party("AGENT", "Invented Partners"), office.plan("next-technik", "amount * 0.10"))
    values = {
        "agent_code": "AGENT", "product_code": "COMMISSION", "base_amount": "2500.00", "amount": "250.00",
        "currency_code": "AUD", "date": None, "reason": "10% of 2500.00",
    }  # fmt: skip
    good = Change("commission", "key", "k1", values)
    bad = Change("commission", "key", "k2", {**values, "agent_code": "NOBODY"})
    assert [result.state for result in connector.write([good, bad])] == ["done", "rejected"]


def test_deleted_and_merged_record(company: Company | None, connector: TrytonConnector) -> None:
    gone = loser = winner = 0
    if company:
        gone, loser, winner = parties(company, "LOST", 3)
    first, watermark = read(connector, PARTIES)
    if company:
        company.office().rpc.call("party.party", "delete", [gone], idempotent=False)
        company.office().merge(loser, winner)
        company.advance(3600)
    found, _ = read(connector, PARTIES, watermark)
    assert found[first["LOST0"].external_id].deleted
    assert found["LOST1"].merged_into == first["LOST2"].external_id


def test_no_cassette_holds_a_session_or_the_password(vcr_cassette_dir: str) -> None:
    texts = [path.read_text("utf-8") for path in Path(vcr_cassette_dir).glob("*.yaml")]
    assert len(texts) >= 5
    assert {match for text in texts for match in SESSION.findall(text) if match.strip("0")} == set()
    assert not any(PASSWORD in text for text in texts)
