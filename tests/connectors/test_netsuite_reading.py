"""Reading NetSuite: nothing is missed over ties, late commits, clock changes and deletions; documents are whole."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Query
from connectors.errors import NeedsOperator
from connectors.netsuite.simulator.schema import ColumnSpec
from connectors.simulation import Faults
from tests.connectors.netsuite_account import Account, is_data, read, running

COMMISSIONS = "customrecord_partner_commission"
QUERY = Query(COMMISSIONS, ("name",))
# In Los Angeles clocks went back on 2026-11-01 at 09:00 UTC and forward on 2026-03-08 at 10:00 UTC.
BEFORE_FALL_BACK = datetime(2026, 11, 1, 7, 30, tzinfo=UTC)
BEFORE_SPRING_FORWARD = datetime(2026, 3, 8, 8, 30, tzinfo=UTC)

EDIT = st.one_of(
    st.tuples(st.just("create"), st.integers(1, 4)),
    st.tuples(st.just("update"), st.integers(0, 30)),
    st.tuples(st.just("delete"), st.integers(0, 30)),
)
STEP = st.tuples(
    st.sampled_from([0, 5, 250, 600, 1100]),  # seconds until a change commits
    st.lists(EDIT, max_size=3),
    st.sampled_from([1, 61, 400, 1000, 3700]),  # seconds until the next read
    st.sampled_from([0, 1, 2, 99]),  # pages that are read before the reader is stopped
)


@given(
    st.lists(STEP, min_size=2, max_size=12),
    st.sampled_from(["GMT", "America/Los_Angeles", "Asia/Kolkata"]),
    st.sampled_from([BEFORE_FALL_BACK, BEFORE_SPRING_FORWARD]),
    st.sampled_from(["second", "minute"]),
)
@settings(max_examples=25)
def test_nothing_is_missed(
    steps: list[tuple[int, list[tuple[str, int]], int, int]], zone: str, start: datetime, precision: str
) -> None:
    """Reads that stop after any page and go on from its cursor end with what the account holds."""
    with running(zone=zone, start=start, date_format="DD.MM.YYYY") as account:
        account.database.stamp_precision = precision  # type: ignore[assignment]
        connector = account.connect(page_size=2)
        held: dict[str, str] = {}
        ids: list[str] = []
        cursor: str | None = None

        def read_pages(limit: int) -> None:
            nonlocal cursor
            if limit == 0:
                return
            for number, page in enumerate(connector.changes(QUERY, since=cursor), 1):
                for record in page.records:
                    if record.deleted:
                        held.pop(record.external_id, None)
                    else:
                        held[record.external_id] = record.fields["name"]
                cursor = page.cursor
                if number == limit:
                    return

        for number, (delay, edits, wait, pages) in enumerate(steps):
            account.commit_delay_seconds = delay
            for what, amount in edits:
                if what == "create":
                    ids += [account.insert(COMMISSIONS, {"name": f"new {number}"}) for _ in range(amount)]
                elif ids and what == "update":
                    account.update(COMMISSIONS, ids[amount % len(ids)], {"name": f"changed {number}"})
                elif ids and account.get(COMMISSIONS, ids[amount % len(ids)]):
                    account.delete(COMMISSIONS, ids.pop(amount % len(ids)))
            account.wait(wait)
            read_pages(pages)
        for _ in range(4):  # a stamp of the hour that occurs twice lies up to an hour ahead
            account.wait(1300)
            read_pages(999)
        assert held == {str(row["id"]): row["name"] for row in account.rows(COMMISSIONS)}


@pytest.mark.parametrize("first_read", ["before the change", "after it"])
def test_a_commit_from_before_the_hour_that_is_left_out_is_seen(first_read: str) -> None:
    """02:00 is 03:00: a change of 01:55 that commits at 03:05 lies an hour and more before the next window, not minutes."""
    with running(zone="America/Los_Angeles", start=datetime(2026, 3, 8, 9, 50, tzinfo=UTC)) as account:
        connector, watermark = account.connect(), None
        if first_read == "before the change":
            _, watermark = read(connector, QUERY)
        account.wait(300)
        account.commit_delay_seconds = 600
        late = account.insert(COMMISSIONS, {"name": "late"})
        account.wait(400)
        found, watermark = read(connector, QUERY, watermark)
        assert found == [], "not committed yet"
        account.wait(900)
        found, watermark = read(connector, QUERY, watermark)
        assert [record.external_id for record in found] == [str(late)]


def test_the_hour_that_occurs_twice_is_read_twice() -> None:
    with running(zone="America/Los_Angeles", start=datetime(2026, 11, 1, 8, 50, tzinfo=UTC)) as account:
        connector = account.connect()
        _, watermark = read(connector, QUERY)
        account.wait(1200)  # it is 01:10 again
        early = account.insert(COMMISSIONS, {"name": "stamped before the watermark"})
        account.wait(900)
        records, _ = read(connector, QUERY, watermark)
        assert [record.external_id for record in records] == [early]


def test_a_year_between_two_runs_hides_no_clock_change() -> None:
    with running(
        zone="America/Los_Angeles", start=datetime(2026, 11, 1, 9, 4, tzinfo=UTC) - timedelta(minutes=9)
    ) as account:
        connector = account.connect()
        _, watermark = read(connector, QUERY)
        account.wait(1200)
        account.insert(COMMISSIONS, {"name": "in the second pass of the hour"})
        account.wait(250 * 86_400)  # summer time again: the same offset as then
        assert len(read(connector, QUERY, watermark)[0]) == 1


def test_instants_are_exact_where_the_zone_is_known() -> None:
    with running(zone="America/Los_Angeles", start=datetime(2026, 7, 1, 12, tzinfo=UTC)) as account:
        account.insert("supportcase", {"title": "T"})
        account.wait(200 * 86_400)
        [record] = read(account.connect(server_zone="America/Los_Angeles"), Query("supportcase", ("createddate",)))[0]
        assert record.fields["createddate"] == "2026-07-01T12:00:00Z"
        assert record.created_at == datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_a_record_without_a_stamp_is_in_the_first_read() -> None:
    with running() as account:
        old = account.insert("customer", {"companyname": "imported long ago", "lastmodifieddate": None})
        account.wait(3600)
        assert [record.external_id for record in read(account.connect(), Query("customer", ("companyname",)))[0]] == [
            old
        ]


@pytest.mark.parametrize("style", ["M/D/YYYY", "DD.MM.YYYY", "D-MON-YYYY", "YYYY-MM-DD"])
def test_the_users_date_format_changes_nothing(style: str) -> None:
    with running(date_format=style) as account:
        account.define_field("transaction", "custbody_approved_on", "date")
        customer = account.insert("customer", {"companyname": "C"})
        account.invoice(customer, [("saas", 1)], date(2026, 2, 13), custbody_approved_on=date(2026, 2, 14))
        account.wait(3600)
        [record] = read(account.connect(), Query("invoice", ("trandate", "custbody_approved_on", "duedate")))[0]
        assert record.fields == {
            "id": record.external_id, "trandate": "2026-02-13", "custbody_approved_on": "2026-02-14", "duedate": None,
        }  # fmt: skip


def test_a_column_that_cannot_be_read_stops_the_read_by_name() -> None:
    with running() as account:
        connector = account.connect()
        account.hide("customer", "phone")
        with pytest.raises(NeedsOperator, match="column 'phone' of 'customer'"):
            read(connector, Query("customer", ("companyname", "phone")))
        account.reveal("customer", "phone")
        assert read(connector, Query("customer", ("companyname", "phone")))[0] == []


def test_a_query_that_fails_without_a_reason_is_traced_to_its_column() -> None:
    with running() as account:
        body = {"status": 500, "o:errorDetails": [{"detail": "An unexpected error", "o:errorCode": "UNEXPECTED_ERROR"}]}
        account.faults.add(Faults.status(500, times=None, match=lambda r: b"custentity_computed" in r.body, body=body))
        account.database.add_field("customer", ColumnSpec("custentity_computed", "text", "custentity_computed"))
        with pytest.raises(NeedsOperator, match="custentity_computed"):
            read(account.connect(), Query("customer", ("companyname", "custentity_computed")))


def test_without_the_permission_deletions_are_not_silently_ignored() -> None:
    with running() as account:
        connector = account.connect()
        _, watermark = read(connector, QUERY)
        account.hide("deletedrecord")
        account.wait(3600)
        with pytest.raises(NeedsOperator, match="Deleted Records"):
            read(connector, QUERY, watermark)
        assert [problem.found for problem in connector.probe().problems] == ["not granted"]
        assert read(account.connect(deleted_records=False), QUERY, watermark)[0] == []


def test_the_set_up_check_asks_for_gmt() -> None:
    with running(zone="Asia/Karachi") as account:
        [problem] = account.connect().probe().problems
        assert (problem.found, problem.level) == ("+300 minutes from GMT", "warning")
        assert account.connect(server_zone="Asia/Karachi").probe().problems == ()


def test_a_type_that_the_role_may_not_see_names_the_permission() -> None:
    with running() as account:
        account.hide("customer")
        with pytest.raises(NeedsOperator, match="'customer'"):
            read(account.connect(), Query("customer", ("companyname",)))
        assert account.connect().describe("customer") is None
        assert "customer" not in account.connect().kinds()


def test_a_merged_customer_is_deleted_and_its_invoices_move() -> None:
    with running() as account:
        winner, loser = (account.insert("customer", {"companyname": name}) for name in ("Winner", "Loser"))
        invoice = account.invoice(loser, [("saas", 10)], date(2026, 2, 1))
        account.wait(4 * 3600)
        connector = account.connect()
        customers, invoices = Query("customer", ("companyname",)), Query("invoice", ("entity",))
        marks = {query.kind: read(connector, query)[1] for query in (customers, invoices)}
        account.merge("customer", winner, loser)
        account.wait(3600)
        assert [(r.external_id, r.deleted) for r in read(connector, customers, marks["customer"])[0]] == [(loser, True)]
        [moved] = read(connector, invoices, marks["invoice"])[0]
        assert (moved.external_id, moved.fields["entity"]) == (invoice, winner)


@pytest.mark.parametrize("page_size", [1, 1000])
def test_a_run_asks_once_for_the_time_and_once_for_all_that_was_deleted(page_size: int) -> None:
    """Each object gets its own deletions, also when all together are more than a page."""
    with running() as account:
        kinds = ("customer", "contact", "supportcase", COMMISSIONS)
        gone = {kind: [account.insert(kind, {}) for _ in range(number)] for number, kind in enumerate(kinds)}
        account.wait(3600)
        connector = account.connect(page_size=page_size)
        marks = {kind: read(connector, Query(kind, ("id",)))[1] for kind in kinds}
        for kind, ids in gone.items():
            for one in ids:
                account.delete(kind, one)
        account.wait(3600)
        calls = connector.http.calls
        found = {kind: read(connector, Query(kind, ("id",)), marks[kind])[0] for kind in kinds}
        assert {kind: [record.external_id for record in records] for kind, records in found.items()} == gone
        assert all(record.deleted for records in found.values() for record in records)
        if page_size == 1000:
            # The time, four objects, and deletions twice: a customised object is not known before it is read.
            assert connector.http.calls - calls == 1 + len(kinds) + 2


def test_open_invoices_are_read_again_each_day() -> None:
    with running() as account:
        customer, other = (account.insert("customer", {"companyname": name}) for name in ("A", "B"))
        still_open, paid = (account.invoice(customer, [("saas", 10)], date(2026, 2, 1)) for _ in range(2))
        account.pay(paid, 10, date(2026, 2, 2))
        account.wait(4 * 3600)
        connector, query = account.connect(page_size=1), Query("invoice", ("entity",))
        _, mark = read(connector, query)
        account.update("invoice", still_open, {"entity": other}, touch=False)
        account.wait(6 * 3600)
        records, mark = read(connector, query, mark)
        assert records == []
        account.wait(86_400)
        records, mark = read(connector, query, mark)
        assert [(record.external_id, record.fields["entity"]) for record in records] == [(still_open, other)]
        account.wait(3600)
        assert read(connector, query, mark)[0] == []


def test_more_lines_and_applications_than_a_page_holds() -> None:
    with running() as account:
        customer = account.insert("customer", {"companyname": "C"})
        lines = [("saas", f"{number}.25") for number in range(1, 8)]
        invoices = [account.invoice(customer, lines, date(2026, 2, 1), tax="7") for _ in range(5)]
        account.pay(dict.fromkeys(invoices, "12.34"), "61.70", date(2026, 2, 3))
        account.wait(3600)
        connector = account.connect(page_size=3)
        records, _ = read(connector, Query("invoice", ("lines.custcol_kind", "lines.amount", "taxtotal", "nettotal")))
        assert len(records) == 5
        for record in records:
            assert [Decimal(line["amount"]) for line in record.fields["lines"]] == [Decimal(a) for _, a in lines]
            assert (record.fields["taxtotal"], record.fields["nettotal"]) == ("7", "29.75")
        [payment] = read(connector, Query("customerpayment", ("applications",)))[0]
        assert [(part["invoice"], part["amount"]) for part in payment.fields["applications"]] == [
            (invoice, "12.34") for invoice in invoices
        ]


@given(
    st.lists(st.decimals("0.01", "999.99", places=2), min_size=1, max_size=4),
    st.decimals("0", "200", places=2),
)
@settings(max_examples=20)
def test_a_credit_over_several_invoices_adds_up(parts: list[Decimal], tax: Decimal) -> None:
    with running() as account:
        customer = account.insert("customer", {"companyname": "C"})
        invoices = [account.invoice(customer, [("saas", 1000)], date(2026, 2, 1)) for _ in parts]
        gross = sum(parts, Decimal(0))
        net = gross - min(tax, gross)
        applied = dict(zip(invoices, parts, strict=True))
        account.credit(invoices[0], [("saas", net)], date(2026, 2, 2), tax=gross - net, apply=applied, createdfrom=None)
        account.wait(3600)
        [memo] = read(account.connect(), Query("creditmemo", ("credits",)))[0]
        credits = memo.fields["credits"]
        assert [credit["invoice"] for credit in credits] == invoices
        assert sum(Decimal(credit["net"]) for credit in credits) == net
        assert sum(Decimal(credit["tax"]) for credit in credits) == gross - net
        for credit, part in zip(credits, parts, strict=True):
            assert Decimal(credit["net"]) + Decimal(credit["tax"]) == part


def test_reading_goes_past_the_row_cap() -> None:
    """Pages follow the last row, so the offset never grows (100,000 rows is where NetSuite stops)."""
    with running() as account:
        offsets = set()
        answer = account.answer

        def watched(request):  # type: ignore[no-untyped-def]
            offsets.update(request.query.get("offset", []))
            return answer(request)

        account.answer = watched  # type: ignore[method-assign]
        for number in range(9):
            account.insert("customer", {"companyname": f"C{number}"})
        account.wait(3600)
        assert len(read(account.connect(page_size=2), Query("customer", ("companyname",)))[0]) == 9
        assert offsets == {"0"}


def test_an_outage_within_a_document_loses_no_line() -> None:
    with running() as account:
        customer = account.insert("customer", {"companyname": "C"})
        account.invoice(customer, [("saas", 10)], date(2026, 2, 1))
        account.wait(3600)
        account.faults.add(Faults.truncate(1, lambda request: b"transactionline" in request.body))
        account.faults.add(Faults.drop(1, lambda request: b"transactionline" in request.body))
        account.faults.add(Faults.status(503, match=lambda r: is_data(r) and b"transactionline" in r.body))
        [record] = read(account.connect(), Query("invoice", ("lines",)))[0]
        assert len(record.fields["lines"]) == 1


@pytest.mark.parametrize("name", ["entity.companyname", "com panyname", "a;b", "x'--"])
def test_a_field_that_is_no_column_is_refused(name: str) -> None:
    with running() as account, pytest.raises(NeedsOperator):
        read(account.connect(), Query("customer", (name,)))


def test_an_unknown_object_is_refused_by_name() -> None:
    account = Account()
    account._port = 1  # never called
    with pytest.raises(NeedsOperator, match="customrecord_"):
        list(account.connect().changes(Query("no_such_object", ()), since=None))
