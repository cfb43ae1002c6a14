"""Recorded conversations, replayed with the network blocked: what goes over the wire stays as it was reviewed.

Recorded against the simulated account with invented people; to record anew:
``pytest tests/connectors/test_netsuite_cassettes.py --record-mode=rewrite``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from requests.adapters import HTTPAdapter

from connectors.base import Change, Query
from connectors.http import Http
from connectors.netsuite.auth import ServerClock, authenticator
from connectors.netsuite.config import NetSuiteConfig
from connectors.netsuite.connector import NetSuiteConnector
from connectors.netsuite.cursors import Window
from connectors.netsuite.errors import Judge, decide_login
from connectors.netsuite.simulator.logins import TokenPair
from connectors.simulation import Faults
from tests.connectors.netsuite_account import START, Account, is_data, read, running

PORT = 18932
CUSTOMERS = Query("customer", ("companyname", "externalid"))
COMMISSIONS = "customrecord_partner_commission"
LOGIN = {name: f"{name}-of-tests" for name in ("consumer_key", "consumer_secret", "token_id", "token_secret")}
SINCE = Window("2026-03-02 08:00:00", "2026-03-02 08:30:00", 0, "done").cursor
pytestmark = [pytest.mark.vcr, pytest.mark.block_network]


@pytest.fixture
def account(record_mode: str) -> Iterator[Account | None]:
    """The account to record against; when replaying there is none."""
    if record_mode == "none":
        yield None
        return
    with running(port=PORT) as started:
        started.logins.register_tokens(TokenPair(**LOGIN))
        yield started


@pytest.fixture
def connector(vcr: object) -> NetSuiteConnector:
    address = f"http://127.0.0.1:{PORT}"
    config = NetSuiteConfig.model_validate(
        {"account": "1234567_SB1", "base_url": address, "allow_loopback": True, "page_size": 2, "auth": "tba",
         "concurrency": 1, **LOGIN}
    )  # fmt: skip
    clock = ServerClock(lambda: START)
    login = Http(config.url, system="netsuite", decide=decide_login, allow_loopback=True)
    http = Http(
        config.url, system="netsuite", decide=Judge(clock.observe), auth=authenticator(config, login, clock),
        allow_loopback=True, sleep=lambda seconds: None,
    )  # fmt: skip
    http.session.mount("http://", HTTPAdapter())  # the guarded one makes its own sockets, past the recorder
    return NetSuiteConnector(config, http, clock)


def seed(account: Account, count: int) -> list[str]:
    ids = [
        account.insert("customer", {"companyname": f"Invented {number}", "externalid": f"A{number}"})
        for number in range(count)
    ]
    account.wait(3600)
    return ids


def test_pages(account: Account | None, connector: NetSuiteConnector) -> None:
    if account:
        seed(account, 5)
    pages = list(connector.changes(CUSTOMERS, since=None))
    assert [len(page.records) for page in pages] == [0, 2, 2, 1]
    assert [record.fields["companyname"] for page in pages for record in page.records] == [
        f"Invented {number}" for number in range(5)
    ]


def test_documents(account: Account | None, connector: NetSuiteConnector) -> None:
    if account:
        [customer] = seed(account, 1)
        invoice = account.invoice(customer, [("saas", "100.10"), ("shipping", "5")], date(2026, 2, 1), tax="10.51")
        account.pay(invoice, "50", date(2026, 2, 10))
        account.wait(3600)
    [invoice_record] = read(connector, Query("invoice", ("lines.custcol_kind", "taxtotal", "currencycode")))[0]
    assert [line["amount"] for line in invoice_record.fields["lines"]] == ["100.1", "5"]
    assert (invoice_record.fields["taxtotal"], invoice_record.fields["currencycode"]) == ("10.51", "USD")
    [payment] = read(connector, Query("customerpayment", ("applications",)))[0]
    [application] = payment.fields["applications"]
    assert (application["invoice"], application["amount"]) == (invoice_record.external_id, "50")


def test_login_refused_once(account: Account | None, connector: NetSuiteConnector) -> None:
    if account:
        seed(account, 1)
        account.faults.add(Faults.status(401, times=2, match=is_data))
    assert len(read(connector, CUSTOMERS)[0]) == 1


def test_too_many_requests(account: Account | None, connector: NetSuiteConnector) -> None:
    if account:
        seed(account, 1)
        problem = {"detail": "Concurrent request limit exceeded.", "o:errorCode": "CONCURRENCY_LIMIT_EXCEEDED"}
        for status in (429, 400):
            body = {"status": status, "o:errorDetails": [problem]}
            account.faults.add(Faults.status(status, match=is_data, body=body))
    assert len(read(connector, CUSTOMERS)[0]) == 1


def test_partial_failure(account: Account | None, connector: NetSuiteConnector) -> None:
    good = Change(COMMISSIONS, "externalid", "k1", {"custrecord_amount": "12.30", "custrecord_state": "accrued"})
    bad = Change(COMMISSIONS, "externalid", "k2", {"custrecord_no_such_field": "x"})
    results = connector.write([good, bad])
    assert [(result.state, result.code) for result in results] == [("done", None), ("rejected", "NONEXISTENT_FIELD")]


def test_deleted_record(account: Account | None, connector: NetSuiteConnector) -> None:
    if account:
        ids = seed(account, 2)
        account.delete("customer", ids[0])
        account.wait(3600)
    records = read(connector, CUSTOMERS, SINCE)[0]
    assert [(record.fields.get("companyname"), record.deleted) for record in records] == [
        ("Invented 1", False),
        (None, True),
    ]


def test_merged_record(account: Account | None, connector: NetSuiteConnector) -> None:
    """The loser is deleted, without a pointer; its documents come again with the winner."""
    if account:
        winner, loser = seed(account, 2)
        account.invoice(loser, [("saas", "10")], date(2026, 2, 1))
        account.wait(3600)
        account.merge("customer", winner, loser)
        account.wait(3600)
    [kept, gone] = read(connector, CUSTOMERS, SINCE)[0]
    assert (kept.fields["companyname"], gone.deleted, gone.merged_into) == ("Invented 0", True, None)
    [invoice] = read(connector, Query("invoice", ("entity",)), SINCE)[0]
    assert invoice.fields["entity"] == kept.external_id
