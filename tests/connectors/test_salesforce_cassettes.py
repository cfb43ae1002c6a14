"""Recorded conversations, replayed with the network blocked: what goes over the wire stays as it was reviewed.

Recorded against the simulated org with invented people; to record anew:
``pytest tests/connectors/test_salesforce_cassettes.py --record-mode=rewrite``.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from requests.adapters import HTTPAdapter

from connectors.base import Change, Query
from connectors.http import Http, NoBudget
from connectors.salesforce.auth import tokens
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.describe import SeenUsage
from connectors.salesforce.errors import decide, decide_login
from connectors.simulation import Faults
from tests.connectors.salesforce_org import CLIENT, Org, read, running

PORT = 18931
ACCOUNTS = Query("Account", ("Name", "AnnualRevenue", "Owner.Name"))
pytestmark = [pytest.mark.vcr, pytest.mark.block_network]


@pytest.fixture
def org(record_mode: str) -> Iterator[Org | None]:
    """The org to record against; when replaying there is none."""
    if record_mode == "none":
        yield None
        return
    with running(port=PORT) as started:
        yield started


@pytest.fixture
def connector(vcr: object) -> SalesforceConnector:
    return connected()


@pytest.fixture
def by_jobs(vcr: object) -> SalesforceConnector:
    return connected(bulk_read_rows=0, bulk_write_rows=0)


def connected(**more: int) -> SalesforceConnector:
    address = f"http://127.0.0.1:{PORT}"
    config = SalesforceConfig.model_validate(
        {"url": address, "allow_loopback": True, "page_size": 200, **CLIENT, **more}
    )
    login = Http(config.url, system="salesforce", decide=decide_login, allow_loopback=True)
    http = Http(
        config.url, system="salesforce", decide=decide, auth=tokens(config, login), allow_loopback=True,
        sleep=lambda seconds: None,
    )  # fmt: skip
    for each in (login, http):
        each.session.mount("http://", HTTPAdapter())  # the guarded one makes its own sockets, past the recorder
    return SalesforceConnector(config, http, SeenUsage(NoBudget().observed), sleep=lambda seconds: None)


def seed(org: Org, count: int) -> list[str]:
    ids = [org.insert("Account", {"Name": f"Invented {number}", "AnnualRevenue": "10.5"}) for number in range(count)]
    org.wait(3600)
    return ids


def test_pages(org: Org | None, connector: SalesforceConnector) -> None:
    if org:
        seed(org, 5)
        org.pages.shrink_to = 2
    pages = list(connector.changes(ACCOUNTS, since=None))
    assert [len(page.records) for page in pages] == [2, 2, 1]
    assert pages[0].records[0].fields == {
        "Name": "Invented 0", "AnnualRevenue": Decimal("10.5"), "Owner.Name": "Integration",
    }  # fmt: skip


def test_session_expired(org: Org | None, connector: SalesforceConnector) -> None:
    if org:
        seed(org, 1)
        org.faults.add(
            org.error(401, "INVALID_SESSION_ID", "Session expired or invalid", match=lambda r: "q" in r.query)
        )
    assert len(read(connector, ACCOUNTS)[0]) == 1


def test_too_many_requests(org: Org | None, connector: SalesforceConnector) -> None:
    if org:
        seed(org, 1)
        org.faults.add(Faults.status(429, headers={"Retry-After": "3"}, match=lambda r: "q" in r.query))
    assert len(read(connector, ACCOUNTS)[0]) == 1


def test_partial_failure(org: Org | None, connector: SalesforceConnector) -> None:
    good = Change("Commission__c", "Sync_Key__c", "k1", {"Amount__c": Decimal("12.30"), "State__c": "accrued"})
    bad = Change("Commission__c", "Sync_Key__c", "k2", {"Kind__c": "gift"})
    results = connector.write([good, bad])
    assert [(result.state, result.created, result.code) for result in results] == [
        ("done", True, None),
        ("rejected", None, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
    ]


def test_deleted_record(org: Org | None, connector: SalesforceConnector) -> None:
    if org:
        ids = seed(org, 2)
        org.delete("Account", ids[0])
        org.wait(3600)
    records, _ = read(connector, ACCOUNTS)
    assert [(record.fields["Name"], record.deleted, record.merged_into) for record in records] == [
        ("Invented 1", False, None),
        ("Invented 0", True, None),
    ]


def test_merged_record(org: Org | None, connector: SalesforceConnector) -> None:
    if org:
        ids = seed(org, 2)
        org.merge(ids[0], ids[1])
        org.wait(3600)
    kept, lost = read(connector, ACCOUNTS)[0]
    assert (lost.deleted, lost.merged_into, kept.deleted) == (True, kept.external_id, False)


def test_bulk_pages(org: Org | None, by_jobs: SalesforceConnector) -> None:
    if org:
        account = org.insert("Account", {"Name": "Invented"})
        raised = {"Account__c": account, "Raised_At__c": "2026-02-01T10:00:00Z"}
        ids = [org.insert("Customer_Concern__c", {**raised, "Mediation__c": "open"}) for _ in range(5)]
        org.delete("Customer_Concern__c", ids[3])
        org.wait(3600)
        org.pages.shrink_to, org.jobs.largest_part = 2, 2
    query = Query("Customer_Concern__c", ("Mediation__c", "Raised_At__c", "Closed_At__c"))
    pages = list(by_jobs.changes(query, since=None))
    assert [len(page.records) for page in pages] == [2, 0, 0, 2, 1]  # two while the job is at work
    last = pages[-1].records[0]
    assert (last.deleted, last.fields["Mediation__c"], last.fields["Closed_At__c"]) == (False, "open", None)
    assert last.fields["Raised_At__c"] == "2026-02-01T10:00:00.000+0000"
    assert [record.deleted for record in pages[3].records] == [False, True]


def test_bulk_partial_failure(org: Org | None, by_jobs: SalesforceConnector) -> None:
    good = Change("Commission__c", "Sync_Key__c", "k1", {"Amount__c": Decimal("12.30"), "Because__c": 'so, "that"\nis'})
    bad = Change("Commission__c", "Sync_Key__c", "k2", {"Kind__c": "gift", "Amount__c": None})
    results = by_jobs.write([good, bad])
    assert [(result.state, result.created, result.code) for result in results] == [
        ("done", True, None),
        ("rejected", None, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
    ]


def test_no_cassette_holds_a_secret(vcr_cassette_dir: str) -> None:
    found = "".join(path.read_text() for path in Path(vcr_cassette_dir).glob("*.yaml"))
    assert "nextRecordsUrl" in found
    for secret in (*CLIENT.values(), "SIMULATED.", "Basic ", "Bearer 0"):
        assert secret not in found
