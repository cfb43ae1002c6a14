"""Recorded conversations, replayed with the network blocked: what goes over the wire stays as it was reviewed.

Recorded against the simulated portal with invented people; to record anew:
``pytest tests/connectors/test_hubspot_cassettes.py --record-mode=rewrite``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from requests.adapters import HTTPAdapter

from connectors.base import Change, Query
from connectors.http import Http
from connectors.hubspot.auth import authenticator
from connectors.hubspot.config import HubSpotConfig
from connectors.hubspot.connector import HubSpotConnector
from connectors.hubspot.cursors import Marks, Place
from connectors.hubspot.errors import Judge, decide_login
from connectors.simulation import Faults
from tests.connectors.hubspot_portal import OAUTH, TOKEN, Portal, read, running

PORT = 18933
DEALS = Query("deals", ("dealname", "amount", "associations.companies"))
EARLIER = 1772442000000
MARKS = Place("done", EARLIER, Marks(EARLIER, EARLIER, EARLIER, EARLIER)).cursor
"""The cursor of a read that ended when the portal was empty, so that the next one has all its lanes."""
pytestmark = [pytest.mark.vcr, pytest.mark.block_network]


@pytest.fixture
def portal(record_mode: str) -> Iterator[Portal | None]:
    """The portal to record against; when replaying there is none."""
    if record_mode == "none":
        yield None
        return
    with running(port=PORT) as started:
        for name in list(started.objects["deals"].properties):
            if name not in (
                "dealname",
                "amount",
                "hs_object_id",
                "hs_lastmodifieddate",
                "createdate",
                "hs_merged_object_ids",
            ):
                started.remove_property("deals", name)  # so that cassettes stay small enough to review
        yield started


def connector(**settings: Any) -> HubSpotConnector:
    address = f"http://127.0.0.1:{PORT}"
    values = {"url": address, "allow_loopback": True, "page_size": 2, **(settings or TOKEN)}
    config = HubSpotConfig.model_validate(values)
    judge = Judge(lambda used, allowed: None)
    login = Http(config.url, system="hubspot", decide=decide_login, allow_loopback=True)
    http = Http(
        config.url, system="hubspot", decide=judge, auth=authenticator(config, login, lambda: datetime.now(UTC)),
        allow_loopback=True, sleep=lambda seconds: None,
    )  # fmt: skip
    for each in (login, http):
        each.session.mount("http://", HTTPAdapter())  # the guarded one makes its own sockets, past the recorder
    return HubSpotConnector(config, http, judge)


def seed(portal: Portal, count: int) -> list[str]:
    company = portal.insert("companies", {"name": "Invented"})
    ids = [
        portal.insert("deals", {"dealname": f"Deal {number}", "amount": "10.5"}, company=company)
        for number in range(count)
    ]
    portal.wait(7200)
    return ids


def test_pages(portal: Portal | None) -> None:
    if portal:
        seed(portal, 3)
    pages = list(connector().changes(DEALS, since=None))
    assert [len(page.records) for page in pages] == [2, 1, 0]
    first = pages[0].records[0]
    assert (first.fields["dealname"], first.fields["amount"]) == ("Deal 0", "10.5")
    assert first.fields["associations.companies"] == "41000000038"


def test_lanes(portal: Portal | None) -> None:
    if portal:
        seed(portal, 3)
    records, _ = read(connector(), DEALS, MARKS)
    assert [record.fields["dealname"] for record in records] == ["Deal 0", "Deal 1", "Deal 2"]


def test_token_expired(portal: Portal | None) -> None:
    if portal:
        seed(portal, 1)
        body = {"status": "error", "message": "expired", "correlationId": "1", "category": "EXPIRED_AUTHENTICATION"}
        portal.faults.add(Faults.status(401, body=body, match=lambda request: request.path.endswith("/deals")))
    assert len(read(connector(**OAUTH), DEALS)[0]) == 1


def test_too_many_requests(portal: Portal | None) -> None:
    if portal:
        seed(portal, 1)
        portal.faults.add(portal.limited("TEN_SECONDLY_ROLLING", match=lambda request: "limit=" in request.raw_query))
    assert len(read(connector(), DEALS)[0]) == 1


def test_partial_failure(portal: Portal | None) -> None:
    if portal:
        portal.batches.races["k2"] = 2
    good = Change("p_commission", "sync_key", "k1", {"amount": Decimal("12.30"), "state": "accrued"})
    raced = Change("p_commission", "sync_key", "k2", {"amount": Decimal("45.60")})
    results = connector().write([good, raced])
    assert [(result.state, result.created, result.code) for result in results] == [
        ("done", True, None),
        ("rejected", None, "CONFLICT"),
    ]


def test_refused_batch(portal: Portal | None) -> None:
    good = Change("p_commission", "sync_key", "k1", {"amount": Decimal("12.30")})
    bad = Change("p_commission", "sync_key", "k2", {"kind": "gift"})
    results = connector().write([good, bad])
    assert [(result.state, result.code) for result in results] == [("done", None), ("rejected", "INVALID_OPTION")]


def test_deleted_record(portal: Portal | None) -> None:
    if portal:
        ids = seed(portal, 2)
        portal.archive("deals", ids[0])
        portal.wait(7200)
    records, _ = read(connector(), DEALS, MARKS)
    assert [(record.fields.get("dealname"), record.deleted, record.merged_into) for record in records] == [
        ("Deal 1", False, None),
        ("Deal 0", True, None),
    ]


def test_merged_record(portal: Portal | None) -> None:
    if portal:
        ids = seed(portal, 2)
        portal.merge("deals", ids[0], ids[1])
        portal.wait(7200)
    left, *others = read(connector(), DEALS, MARKS)[0]
    assert not left.deleted and left.fields["associations.companies"] == "41000000038"
    assert all(record.deleted for record in others)
    gone = {record.external_id: record.merged_into for record in others}  # by its ids, and among the archived ones
    assert len(gone) == 2 and set(gone.values()) == {left.external_id}


def test_no_cassette_holds_a_secret(vcr_cassette_dir: str) -> None:
    found = "".join(path.read_text() for path in Path(vcr_cassette_dir).glob("*.yaml"))
    assert "hs_merged_object_ids" in found
    for secret in ("token-of-tests", "secret-of-tests", "refresh-token", "SIMULATED.", "Bearer "):
        assert secret not in found
