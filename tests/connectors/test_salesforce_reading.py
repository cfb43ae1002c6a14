"""Reading: no change is ever lost, whatever the stamps, pages, locators and crashes do."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import Query
from connectors.errors import ConnectorError, CursorExpired, NeedsOperator, WindowTooLarge
from connectors.salesforce.simulator.schema import text
from connectors.simulation import Faults, SimRequest
from tests.connectors.salesforce_org import Org, read, running, state

ACCOUNTS = Query("Account", ("Name", "Website"))
SLOW = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "update", "delete", "undelete", "merge", "wait", "read", "pause"]),
        st.integers(0, 30),
    ),
    max_size=40,
)


def edit(org: Org, what: str, which: int) -> None:
    """One thing that people do; what is not possible just now is left out."""
    rows = org.all_rows("Account", deleted=True)
    live = [row["Id"] for row in rows if not row["IsDeleted"]]
    if what == "insert":
        org.insert("Account", {"Name": f"Name {which}"})
    elif what == "wait":
        org.wait(which)  # seconds: many edits share a stamp
    elif what == "pause":
        org.wait(which * 60)
    elif what == "undelete":
        gone = [row["Id"] for row in rows if row["IsDeleted"]]
        if gone:
            org.undelete("Account", gone[which % len(gone)])
    elif live and what == "update":
        org.update("Account", live[which % len(live)], {"Name": f"Changed {which}"})
    elif live and what == "delete":
        org.delete("Account", live[which % len(live)])
    elif len(live) > 1 and what == "merge":
        org.merge(live[which % len(live)], live[(which + 1) % len(live)])


def truth(org: Org) -> dict[str, tuple[bool, Mapping[str, Any]]]:
    return {
        row["Id"]: (row["IsDeleted"], {"Name": row.get("Name"), "Website": row.get("Website")})
        for row in org.all_rows("Account", deleted=True)
    }


@SLOW
@given(edits=EDITS, page=st.integers(1, 7), delay=st.sampled_from([0, 1, 120, 900]), data=st.data())
def test_every_change_is_seen_however_runs_pages_and_commits_fall(
    edits: list[tuple[str, int]], page: int, delay: int, data: st.DataObject
) -> None:
    """Edits with tied stamps and late commits between reads that may die at any page and go on from its cursor."""
    with running() as org:
        connector = org.connect()
        org.pages.shrink_to, org.pages.empty_page = page, page % 2 == 0
        org.rows.commit_delay_seconds = delay
        seen: dict[str, tuple[bool, Mapping[str, Any]]] = {}
        cursor: str | None = None
        for what, which in edits:
            if what != "read":
                edit(org, what, which)
                continue
            for result in connector.changes(ACCOUNTS, since=cursor):
                state(list(result.records), seen)
                cursor = result.watermark or result.cursor
                if data.draw(st.booleans(), label="locators lost"):
                    org.pages.expire_all()
                if data.draw(st.integers(0, 5), label="dies at this page if 0") == 0:
                    break
        org.wait(3600)
        for _ in range(2):  # an unfinished window is finished first, then the rest is read
            records, cursor = read(connector, ACCOUNTS, cursor)
            state(records, seen)
        assert seen == truth(org)


@SLOW
@given(count=st.integers(1, 40), page=st.integers(1, 9), cut=st.integers(0, 40), seed=st.integers(0, 99))
def test_resuming_from_any_cursor_loses_nothing_although_rows_move(count: int, page: int, cut: int, seed: int) -> None:
    """Rows are edited while their pages are read (a page shows the row as it is by then); ties everywhere."""
    dice = random.Random(seed)
    with running() as org:
        connector = org.connect()
        org.pages.shrink_to = page
        ids = []
        for _ in range(count):
            ids.append(org.insert("Account", {"Name": "first"}))
            org.wait(dice.choice([0, 0, 0, 1]))
        org.wait(3600)
        seen: dict[str, tuple[bool, Mapping[str, Any]]] = {}
        cursor = None
        for number, result in enumerate(connector.changes(ACCOUNTS, since=None)):
            state(list(result.records), seen)
            cursor = result.watermark or result.cursor
            org.update("Account", dice.choice(ids), {"Name": "moved"})
            if number == cut:
                break
        records, cursor = read(connector, ACCOUNTS, cursor)
        state(records, seen)
        org.wait(3600)
        state(read(connector, ACCOUNTS, cursor)[0], seen)
        assert seen == truth(org)


@SLOW
@given(delay=st.integers(0, 1200), pauses=st.lists(st.integers(0, 900), min_size=1, max_size=6))
def test_a_transaction_as_long_as_lag_and_overlap_together_is_not_missed(delay: int, pauses: list[int]) -> None:
    """E47: the row is stamped, then reads run and finish, then it is committed; polls overlap, so nothing is read from a feed of
    changes that could have a gap."""
    with running() as org:
        connector = org.connect(lag_seconds=300, overlap_seconds=900)
        org.wait(7200)
        org.rows.commit_delay_seconds = delay
        late = org.insert("Account", {"Name": "late"})
        seen, mark = [], None
        for pause in (*pauses, 3600):
            org.wait(pause)
            records, mark = read(connector, ACCOUNTS, mark)
            seen += records
        assert late in {record.external_id for record in seen}


def test_a_quiet_second_read_brings_only_the_overlap() -> None:
    with running() as org:
        connector = org.connect()
        org.insert("Account", {"Name": "old"})
        org.wait(7200)
        org.insert("Account", {"Name": "new"})
        org.wait(600)
        first, mark = read(connector, ACCOUNTS)
        again, _ = read(connector, ACCOUNTS, mark)
        assert [record.fields["Name"] for record in first] == ["old", "new"]
        assert [record.fields["Name"] for record in again] == ["new"]


def test_a_change_younger_than_the_lag_waits_for_the_next_read() -> None:
    with running() as org:
        connector = org.connect(lag_seconds=300)
        org.wait(60)
        org.insert("Account", {"Name": "just now"})
        org.wait(299)
        records, mark = read(connector, ACCOUNTS)
        assert records == []
        org.wait(2)
        assert len(read(connector, ACCOUNTS, mark)[0]) == 1


def test_with_the_covered_check_the_window_ends_before_what_is_still_being_committed() -> None:
    """E47."""
    with running() as org:
        connector = org.connect(lag_seconds=0, covered_check=True)
        org.insert("Account", {"Name": "done"})
        org.wait(120)
        org.rows.commit_delay_seconds = 600
        org.insert("Account", {"Name": "under way"})
        org.wait(300)
        records, mark = read(connector, ACCOUNTS)
        assert [record.fields["Name"] for record in records] == ["done"]
        assert json.loads(mark)["after"] == "2026-03-02T09:02:00.000+0000"


def test_deletes_merges_and_undeletes_are_records_too() -> None:
    with running() as org:
        connector = org.connect()
        kept, lost, binned = (org.insert("Account", {"Name": name}) for name in ("kept", "lost", "binned"))
        contact = org.insert("Contact", {"LastName": "Child", "AccountId": lost})
        org.merge(kept, lost)
        org.delete("Account", binned)
        org.wait(3600)
        records = {record.external_id: record for record in read(connector, ACCOUNTS)[0]}
        assert (records[lost].deleted, records[lost].merged_into) == (True, kept)
        assert (records[binned].deleted, records[binned].merged_into) == (True, None)
        assert not records[kept].deleted
        children = read(connector, Query("Contact", ("AccountId",)))[0]
        assert [(child.external_id, child.fields["AccountId"]) for child in children] == [(contact, kept)]
        org.undelete("Account", binned)
        org.wait(3600)
        again = {record.external_id: record for record in read(connector, ACCOUNTS)[0]}
        assert not again[binned].deleted


def test_an_object_without_masters_is_read_without_asking_for_them() -> None:
    with running() as org:
        org.insert("Case", {"Subject": "x"})
        org.wait(3600)
        assert len(read(org.connect(), Query("Case", ("Subject",)))[0]) == 1


def test_related_fields_arrive_flat_and_money_exact() -> None:
    with running() as org:
        account = org.insert("Account", {"Name": "Parent", "AnnualRevenue": "0.10"})
        fields = ("Name", "Amount", "AccountId", "Account.Name", "Account.AnnualRevenue", "Account.Owner.Name")
        base = {"Name": "n", "StageName": "Prospecting", "CloseDate": "2026-04-01"}
        org.insert("Opportunity", {**base, "Amount": "123456789012.34", "AccountId": account})
        org.insert("Opportunity", {**base, "Amount": "0.1"})
        org.wait(3600)
        first, second = read(org.connect(), Query("Opportunity", fields))[0]
        assert first.fields == {
            "Name": "n", "Amount": Decimal("123456789012.34"), "AccountId": account, "Account.Name": "Parent",
            "Account.AnnualRevenue": Decimal("0.1"), "Account.Owner.Name": "Integration",
        }  # fmt: skip
        assert second.fields["Account.Owner.Name"] is None
        assert second.fields["Amount"] == Decimal("0.1")


def test_a_filter_of_the_mapping_is_applied_by_the_org() -> None:
    with running() as org:
        org.insert("Account", {"Name": "partner", "IsPartner": True})
        org.insert("Account", {"Name": "other"})
        org.wait(3600)
        query = Query("Account", ("Name",), where="IsPartner = true OR Name = 'nobody'")
        assert [record.fields["Name"] for record in read(org.connect(), query)[0]] == ["partner"]


def test_field_lists_too_long_for_an_address_come_in_parts() -> None:
    with running() as org:
        names = tuple(f"Filler_{number:03d}_{'x' * 30}__c" for number in range(100))
        for name in names:
            org.add_field("Account", text(name))
        ids = [org.insert("Account", {"Name": "n", **dict.fromkeys(names, f"v{n}")}) for n in range(5)]
        org.pages.shrink_to = 2
        org.wait(3600)
        connector = org.connect(longest_query=1500)
        records = read(connector, Query("Account", ("Name", *names)))[0]
        assert [record.external_id for record in records] == ids
        assert all(set(record.fields.values()) == {"n", f"v{n}"} for n, record in enumerate(records))
        fetched = {record.external_id: record.fields for record in connector.fetch("Account", ("Name", *names), ids)}
        assert fetched == {record.external_id: record.fields for record in records}


def test_a_query_that_times_out_is_asked_in_halves_and_nothing_is_skipped() -> None:
    """The org gives up on windows of more than ten rows; that must never end as an empty success."""
    with running() as org:
        connector = org.connect()
        ids = []
        for _ in range(50):
            ids.append(org.insert("Account", {"Name": "n"}))
            org.wait(600)
        org.wait(3600)

        def too_long(request: SimRequest) -> bool:
            if "q" not in request.query:
                return False
            low, high = _bounds(request.query["q"][0])
            return sum(low <= str(row["CreatedDate"])[:19] < high for row in org.all_rows("Account")) > 10

        org.faults.add(org.error(400, "QUERY_TIMEOUT", "running for too long", times=None, match=too_long))
        pages = list(connector.changes(ACCOUNTS, since=None))
        assert [record.external_id for page in pages for record in page.records] == ids
        middle = next(page for page in pages if page.records and page.watermark is None)
        org.faults.clear()
        rest = [record.external_id for record in read(connector, ACCOUNTS, middle.cursor)[0]]
        assert rest == ids[ids.index(middle.records[-1].external_id) + 1 :]


def _bounds(query: str) -> tuple[str, str]:
    stamps = sorted(found[0] for found in re.finditer(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", query))
    return (stamps[0] if len(stamps) > 1 else "", stamps[-1]) if stamps else ("", "9999")


def test_a_single_second_that_is_too_large_is_an_error_not_an_end() -> None:
    with running() as org:
        org.insert("Account", {"Name": "n"})
        org.wait(3600)
        org.faults.add(org.error(400, "OPERATION_TOO_LARGE", "too large", times=None, match=lambda r: "q" in r.query))
        with pytest.raises(WindowTooLarge):
            list(org.connect().changes(ACCOUNTS, since=None))


def test_locators_that_are_never_accepted_end_in_an_error() -> None:
    with running() as org:
        for _ in range(3):
            org.insert("Account", {"Name": "n"})
        org.wait(3600)
        org.faults.add(
            org.error(400, "INVALID_QUERY_LOCATOR", "invalid query locator", times=None, match=lambda r: "q" in r.query)
        )
        with pytest.raises(CursorExpired):
            list(org.connect().changes(ACCOUNTS, since=None))


def test_a_hidden_field_stops_the_read_and_says_which() -> None:
    with running() as org:
        connector = org.connect()
        org.insert("Account", {"Name": "n"})
        org.hide("Account", "Website")
        org.wait(3600)
        with pytest.raises(NeedsOperator, match="Website"):
            list(connector.changes(ACCOUNTS, since=None))
        org.reveal("Account", "Website")
        assert len(read(connector, ACCOUNTS)[0]) == 1


def test_a_field_in_other_capitals_is_refused_not_read_as_empty() -> None:
    with running() as org:
        org.insert("Account", {"Name": "n"})
        org.wait(3600)
        with pytest.raises(ConnectorError, match="capitals"):
            list(org.connect().changes(Query("Account", ("website",)), since=None))


def test_foreign_cursors_ask_for_a_full_read() -> None:
    with running() as org:
        connector = org.connect()
        for cursor in ("", "42", "{}", '{"after": "soon"}', '["low"]', '{"low":1,"high":2,"at":null,"id":null}'):
            with pytest.raises(CursorExpired):
                list(connector.changes(ACCOUNTS, since=cursor))


def test_fetch_gives_what_is_there_by_id_and_by_key() -> None:
    with running() as org:
        connector = org.connect()
        ids = [org.insert("Account", {"Name": f"n{n}"}) for n in range(450)]
        org.delete("Account", ids[0])
        org.pages.shrink_to = 70
        fetched = list(connector.fetch("Account", ("Name",), [*ids, ids[1][:15], "no-id", "001000000000000AAB"]))
        assert sorted(record.external_id for record in fetched) == ids[1:]
        key = "it's a\\key / with 100% of everything"
        org.insert("Commission__c", {"Sync_Key__c": key, "Amount__c": "5.25"})
        (found,) = connector.fetch("Commission__c", ("Amount__c",), [key, "another"], key_field="Sync_Key__c")
        assert found.fields == {"Amount__c": Decimal("5.25"), "Sync_Key__c": key}


@pytest.mark.parametrize("kind", ["drop", "truncate", "html", "503"])
def test_storms_are_ridden_out_and_the_read_is_whole(kind: str) -> None:
    with running() as org:
        connector = org.connect()
        ids = [org.insert("Account", {"Name": "n"}) for _ in range(9)]
        org.pages.shrink_to = 2
        org.wait(3600)

        def on_pages(request: SimRequest) -> bool:
            return "/query/" in request.path

        if kind == "drop":
            org.faults.add(Faults.drop(2, on_pages))
        elif kind == "truncate":
            org.faults.add(Faults.truncate(2, on_pages))
        elif kind == "html":
            page = {"Content-Type": "text/html"}
            org.faults.add(Faults.status(200, times=2, match=on_pages, headers=page, body=b"<html>Maintenance</html>"))
        else:
            page = {"Content-Type": "text/html", "Retry-After": "7"}
            org.faults.add(Faults.status(503, times=2, match=on_pages, headers=page, body=b"<html>Down</html>"))
        assert [record.external_id for record in read(connector, ACCOUNTS)[0]] == ids
        if kind == "503":
            assert max(org.waits) >= 7


def test_pages_say_what_they_cost() -> None:
    with running() as org:
        connector = org.connect()
        for _ in range(5):
            org.insert("Account", {"Name": "n"})
        org.pages.shrink_to = 2
        org.wait(3600)
        list(connector.changes(ACCOUNTS, since=None))  # logged in
        before = connector.http.calls
        assert sum(page.calls for page in connector.changes(ACCOUNTS, since=None)) == connector.http.calls - before == 3


@SLOW
@given(count=st.integers(0, 30), page=st.integers(1, 9), again=st.booleans())
def test_a_read_costs_the_org_its_pages_and_nothing_else(count: int, page: int, again: bool) -> None:
    """Not even a call for the time there: every page but the login is one."""
    with running() as org:
        for _ in range(count):
            org.insert("Account", {"Name": "n"})
        org.wait(3600)
        org.pages.shrink_to = page
        connector = org.connect()
        mark = read(connector, ACCOUNTS)[1] if again else None
        org.requests.clear()
        records, _ = read(connector, ACCOUNTS, mark)
        assert len(records) == (0 if again else count)
        pages = max(1, -(-len(records) // page))
        assert org.requests.total() == pages + org.requests["POST", "services/oauth2/token"]
        assert org.requests["GET", "queryAll"] == 1
