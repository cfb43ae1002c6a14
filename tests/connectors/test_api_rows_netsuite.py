"""Mistakes that well-known NetSuite connectors made, one test each (API-31 to API-39): none of them is ours."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from connectors.base import Change, Query
from connectors.errors import ConnectorError, NeedsOperator, RetryLater
from connectors.netsuite.config import NetSuiteConfig
from connectors.netsuite.connector import connect
from connectors.simulation import Faults, SimRequest
from tests.connectors.netsuite_account import is_data, read, running

CUSTOMERS = Query("customer", ("companyname",))
COMMISSIONS = "customrecord_partner_commission"


def is_suiteql(request: SimRequest) -> bool:
    return request.path.endswith("/suiteql")


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Auckland", "GMT"])
def test_api_31_a_change_of_this_hour_is_read_this_hour_in_every_zone(zone: str) -> None:
    with running(zone=zone, start=datetime(2026, 3, 3, 5, 0, tzinfo=UTC)) as account:
        connector = account.connect()
        _, mark = read(connector, CUSTOMERS)
        account.wait(1800)
        made, changed = account.insert("customer", {"companyname": "Northline"}), account.moment
        account.wait(1800)
        [record] = read(connector, CUSTOMERS, mark)[0]
        assert (record.external_id, record.modified_at) == (made, changed)


@pytest.mark.parametrize("style", ["DD.MM.YYYY", "DD/MM/YYYY", "D-MON-YYYY", "M/D/YYYY"])
def test_api_32_the_users_date_format_neither_fails_nor_moves_a_date(style: str) -> None:
    with running(date_format=style) as account:
        customer = account.insert("customer", {"companyname": "C"})
        account.invoice(customer, [("saas", 1)], date(2026, 2, 3))
        account.wait(3600)
        [record] = read(account.connect(), Query("invoice", ("trandate",)))[0]
        assert record.fields["trandate"] == "2026-02-03"


def test_api_33_a_window_that_cannot_be_asked_fails_the_read() -> None:
    with running() as account:
        account.insert("customer", {"companyname": "C"})
        account.wait(3600)
        refusal = {
            "status": 400,
            "o:errorDetails": [{"detail": "Invalid date format", "o:errorCode": "INVALID_PARAMETER"}],
        }
        account.faults.add(
            Faults.status(400, times=None, match=lambda r: is_suiteql(r) and b"FROM customer" in r.body, body=refusal)
        )
        pages = []
        with pytest.raises(ConnectorError):
            for page in account.connect().changes(CUSTOMERS, since=None):
                pages.append(page)
        assert [page.watermark for page in pages if page.watermark] == []


def test_api_34_each_refused_row_is_told_and_none_is_skipped() -> None:
    with running() as account:
        locked = account.insert(COMMISSIONS, {"externalid": "k1"})
        account.lock_record(COMMISSIONS, locked)
        fields = {"custrecord_state": "accrued"}
        results = account.connect().write([Change(COMMISSIONS, "externalid", f"k{n}", fields) for n in range(3)])
        assert [(result.key, result.state) for result in results] == [
            ("k0", "done"), ("k1", "rejected"), ("k2", "done"),
        ]  # fmt: skip
        assert results[1].code and results[1].message


def test_api_35_pages_follow_the_last_row_in_an_unambiguous_order() -> None:
    with running() as account:
        made = [account.insert("customer", {"companyname": f"C{number}"}) for number in range(9)]
        account.wait(3600)
        queries: list[str] = []
        offsets: set[str] = set()

        def seen(request: SimRequest) -> bool:
            if is_suiteql(request):
                queries.append(request.json()["q"])
                offsets.add(request.query.get("offset", ["0"])[0])
            return False

        account.faults.add(Faults.status(500, times=None, match=seen))
        records, _ = read(account.connect(page_size=2), CUSTOMERS)
        assert [record.external_id for record in records] == made
        paged = [query for query in queries if "FROM customer" in query]
        assert paged and all("id ASC" in query.rpartition("ORDER BY")[2] for query in paged)
        assert not [query for query in queries if "ROWNUM" in query.upper()]
        assert offsets == {"0"}, "an offset ends at 100,000 rows, and rows move between two of them"


def test_api_36_a_column_that_is_gone_stops_the_read_and_is_named() -> None:
    with running() as account:
        account.insert("customer", {"companyname": "C", "phone": "1"})
        account.wait(3600)
        account.hide("customer", "phone")
        with pytest.raises(NeedsOperator, match="phone"):
            read(account.connect(), Query("customer", ("companyname", "phone")))


def test_api_36_rows_of_one_stamp_over_several_pages_all_come_once() -> None:
    with running() as account:
        made = [account.insert("customer", {"companyname": f"C{number}"}) for number in range(7)]
        account.wait(3600)
        records, _ = read(account.connect(page_size=3), CUSTOMERS)
        assert [record.external_id for record in records] == made


def test_api_37_an_overload_that_looks_like_a_bad_login_is_waited_out_once() -> None:
    with running() as account:
        account.concurrency_limit, account.others_running, account.over_limit_answer = 5, 5, 401

        def others_finish(_seconds: float) -> None:
            account.others_running = 0

        config = NetSuiteConfig(account=account.account, base_url=account.url, allow_loopback=True, **account.login)
        assert read(connect(config, clock=lambda: account.moment, sleep=others_finish), CUSTOMERS)[0] == []


@pytest.mark.parametrize("status", [429, 400])
def test_api_38_concurrency_is_waited_for_longer_than_three_seconds(status: int) -> None:
    with running() as account:
        busy = {"status": status, "o:errorDetails": [{"detail": "busy", "o:errorCode": "CONCURRENCY_LIMIT_EXCEEDED"}]}
        account.faults.add(Faults.status(status, times=5, match=is_data, body=busy))
        assert read(account.connect(), CUSTOMERS)[0] == []
        assert sum(account.waits) > 10
        account.faults.add(Faults.status(status, times=None, match=is_data, body=busy))
        with pytest.raises(RetryLater):
            read(account.connect(), CUSTOMERS)


def test_api_39_ids_are_text_however_large() -> None:
    with running() as account:
        customer = account.insert("customer", {"companyname": "C"})
        invoice = account.invoice(customer, [("saas", 1)], date(2026, 2, 3))
        account.wait(3600)
        [record] = read(account.connect(), Query("invoice", ("entity", "id")))[0]
        assert (record.external_id, record.fields["entity"], record.fields["id"]) == (invoice, customer, invoice)
        for found in (record.external_id, record.fields["entity"]):
            assert isinstance(found, str) and found.isdigit()
