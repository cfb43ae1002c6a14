"""Mistakes that well-known Salesforce connectors made, one test each (API-01 to API-30): none of them is ours."""

from __future__ import annotations

import re
from decimal import Decimal
from threading import Thread

import pytest

from connectors.base import Change, Query, Record
from connectors.errors import NeedsOperator, QuotaSpent, RetryLater
from connectors.http import RetryPolicy
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.simulator.schema import formula
from connectors.simulation import Faults, SimRequest
from sync.mapping import load_mapping
from sync.mapping_check import check
from tests.connectors.hubspot_portal import OAUTH
from tests.connectors.hubspot_portal import read as read_portal
from tests.connectors.hubspot_portal import running as running_portal
from tests.connectors.salesforce_org import Org, read, running

ACCOUNTS = Query("Account", ("Name", "Website"))
COLLECTIONS = "/composite/sobjects"
WAYS: dict[str, dict[str, int]] = {"by pages and calls": {}, "by jobs": {"bulk_read_rows": 0, "bulk_write_rows": 0}}


def accounts(org: Org, count: int) -> list[str]:
    """New accounts, all stamped with the same second, an hour ago."""
    made = [org.insert("Account", {"Name": f"Company {number}"}) for number in range(count)]
    org.wait(3600)
    return made


def ids(org: Org, query: Query = ACCOUNTS, **settings: int) -> list[str]:
    return [record.external_id for record in read_by(org, query, **settings)]


def read_by(org: Org, query: Query = ACCOUNTS, **settings: int) -> list[Record]:
    """All records; where a job is to read them, it is the job that did, and no page after the first."""
    records, _ = read(org.connect(**settings), query)
    assert "bulk_read_rows" not in settings or not org.requests["GET", "query/more"], "the job gave nothing"
    return records


def commission(key: str, **fields: object) -> Change:
    return Change("Commission__c", "Sync_Key__c", key, {"Amount__c": Decimal("12.30"), **fields})


def is_query(request: SimRequest) -> bool:
    return "q" in request.query


def test_api_01_a_row_that_commits_behind_the_watermark_is_read() -> None:
    with running() as org:
        connector = org.connect()
        org.wait(7200)
        org.rows.commit_delay_seconds = 600
        late = org.insert("Account", {"Name": "stamped before the read, committed after it"})
        org.wait(400)
        records, mark = read(connector, ACCOUNTS)
        assert records == []
        org.wait(3600)
        assert [record.external_id for record in read(connector, ACCOUNTS, mark)[0]] == [late]


def test_api_02_rows_of_one_second_over_several_pages_all_come() -> None:
    with running() as org:
        made = accounts(org, 11)
        org.pages.shrink_to = 3
        assert ids(org) == made
        seen = []
        for page in org.connect().changes(ACCOUNTS, since=None):
            seen += [record.external_id for record in page.records]
            org.pages.expire_all()  # the next page is asked for by the last row
        assert seen == made


def test_api_03_a_resumed_read_loses_no_row_of_the_second_it_stopped_in() -> None:
    with running() as org:
        made = accounts(org, 7)
        org.pages.shrink_to = 3
        connector = org.connect()
        first = next(iter(connector.changes(ACCOUNTS, since=None)))
        org.pages.expire_all()
        rest = [record.external_id for record in read(connector, ACCOUNTS, first.cursor)[0]]
        assert {record.external_id for record in first.records} | set(rest) == set(made)


def test_api_04_the_first_read_starts_at_the_beginning_not_two_years_ago() -> None:
    with running() as org:
        old = org.insert("Account", {"Name": "older than any default"})
        org.wait(9 * 365 * 86_400)
        assert ids(org) == [old]


def test_api_05_another_list_of_fields_reads_every_row_again_and_drops_none() -> None:
    """The store asks for everything once more when the fields change: tests/sync/test_pull.py holds the whole of it."""
    with running() as org:
        made = accounts(org, 4)
        connector = org.connect()
        _, mark = read(connector, Query("Account", ("Name",)))
        assert read(connector, Query("Account", ("Name",)), mark)[0] == []
        assert [r.external_id for r in read(connector, Query("Account", ("Name", "Phone")), None)[0]] == made
    text = "system: salesforce\nobjects:\n- {object: Account, record: account, fields: {name: Name}}"
    before = load_mapping("m.yaml", text).objects[0]
    after = load_mapping("m.yaml", text.replace("Name}", "Name, website: Website}")).objects[0]
    assert before.query_hash != after.query_hash, "the same hash would not start a backfill"


def test_api_06_a_query_that_times_out_fails_the_read_and_never_ends_it_empty() -> None:
    with running() as org:
        accounts(org, 3)
        org.faults.add(org.error(400, "QUERY_TIMEOUT", "running for too long", times=None, match=is_query))
        pages = []
        with pytest.raises(Exception, match="QUERY_TIMEOUT|too large|time"):
            for page in org.connect().changes(ACCOUNTS, since=None):
                pages.append(page)
        assert [page.watermark for page in pages if page.watermark] == []


def test_api_07_a_window_that_is_too_large_is_asked_in_halves() -> None:
    with running() as org:
        made = []
        for number in range(12):
            made.append(org.insert("Account", {"Name": str(number)}))
            org.wait(600)
        org.wait(3600)

        def too_long(request: SimRequest) -> bool:
            """A query of a window that holds more than three of them."""
            marks = re.findall(r"SystemModstamp (?:>=?|<|=) (\S{19})\S*", request.query.get("q", [""])[0])
            first, last = (min(marks), max(marks)) if len(marks) > 1 else ("", marks[0] if marks else "9999")
            stamps = [row["SystemModstamp"][:19] for row in org.all_rows("Account")]
            return is_query(request) and sum(first <= stamp < last for stamp in stamps) > 3

        org.faults.add(org.error(400, "QUERY_TIMEOUT", "running for too long", times=None, match=too_long))
        assert ids(org) == made


@pytest.mark.parametrize("code", ["INVALID_SESSION_ID", "INVALID_AUTH_HEADER", "INVALID_JWT_FORMAT"])
def test_api_08_every_401_renews_the_login_once(code: str) -> None:
    with running() as org:
        made = accounts(org, 2)
        org.faults.add(org.error(401, code, "session", match=is_query))
        assert ids(org) == made
        assert org.sessions.tokens_made == 2


def test_api_09_a_refresh_token_that_rotates_is_replaced_before_the_next_login() -> None:
    """Salesforce is connected without refresh tokens; HubSpot's are the ones that may rotate."""
    assert set(SalesforceConfig.model_fields["auth"].annotation.__args__) == {"client_credentials", "jwt_bearer"}  # type: ignore[union-attr]
    with running_portal() as portal:
        portal.insert("companies", {"name": "Invented"})
        portal.logins.rotates = True
        connector = portal.connect(**OAUTH)
        for _ in range(3):
            assert len(read_portal(connector, Query("companies", ("name",)))[0]) == 1
            portal.logins.revoke_all()


def test_api_10_workers_that_find_their_login_ended_share_one_renewal() -> None:
    with running_portal() as portal:
        portal.insert("companies", {"name": "Invented"})
        portal.logins.rotates = True
        connector = portal.connect(**OAUTH)
        read_portal(connector, Query("companies", ("name",)))
        portal.logins.revoke_all()
        failed: list[Exception] = []

        def work() -> None:
            try:
                list(connector.fetch("companies", ("name",), ["1"]))
            except Exception as error:
                failed.append(error)

        workers = [Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert failed == []
        assert portal.requests["POST", "token"] == 2, "a used refresh token was sent again"


def test_api_11_a_spent_quota_is_not_taken_for_bad_credentials() -> None:
    with running() as org:
        org.daily_requests = 0  # the first answer of all says so: nothing was known of it before
        with pytest.raises(QuotaSpent) as parked:
            read(org.connect(quota_share=1.0), ACCOUNTS)
        assert (parked.value.code, parked.value.status) == ("REQUEST_LIMIT_EXCEEDED", 403)
        assert org.sessions.tokens_made == 1


def test_api_12_too_many_requests_at_once_and_a_spent_day_are_told_apart() -> None:
    with running() as org:
        made = accounts(org, 1)
        busy = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
        org.faults.add(org.error(403, "REQUEST_LIMIT_EXCEEDED", busy, times=2, match=is_query))
        assert ids(org) == made
        spent = "TotalRequests Limit exceeded."
        org.faults.add(org.error(403, "REQUEST_LIMIT_EXCEEDED", spent, times=None, match=is_query))
        with pytest.raises(QuotaSpent) as parked:
            read(org.connect(), ACCOUNTS)
        assert parked.value.retry_after_seconds >= 900


def test_api_13_a_login_refused_for_ever_is_bounded_and_a_retry_keeps_its_headers() -> None:
    with running() as org:
        org.forget_sessions = True
        with pytest.raises(NeedsOperator):
            org.connect().write([commission("k1")])
        assert org.sessions.tokens_made <= 2
        org.forget_sessions = False
        headers: list[str | None] = []

        def seen(request: SimRequest) -> bool:
            if COLLECTIONS in request.path:
                headers.append(request.headers.get("Sforce-Duplicate-Rule-Header"))
            return False

        org.faults.add(Faults.status(500, times=None, match=seen))
        connector = org.connect(save_duplicates=True)
        assert connector.write([commission("k1")])[0].state == "done"
        org.sessions.revoke_all()
        assert connector.write([commission("k1")])[0].state == "done"
        assert headers == ["allowSave=true"] * 3, "the call that was refused and its repetition carry the same headers"


def test_api_14_two_processes_do_not_end_each_others_sessions() -> None:
    with running() as org:
        made = accounts(org, 1)
        one, other = org.connect(), org.connect()
        for _ in range(3):
            assert [record.external_id for record in read(one, ACCOUNTS)[0]] == made
            assert [record.external_id for record in read(other, ACCOUNTS)[0]] == made
        assert org.sessions.tokens_made == 2, "one login for each process, not one for each turn"


@pytest.mark.parametrize("way", WAYS, ids=WAYS)
def test_api_15_every_page_of_a_result_is_followed_and_counted(way: str) -> None:
    with running() as org:
        made = accounts(org, 25)
        org.pages.shrink_to, org.pages.empty_page, org.jobs.largest_part = 4, True, 4
        assert ids(org, **WAYS[way]) == made


@pytest.mark.parametrize("way", WAYS, ids=WAYS)
def test_api_16_deleted_and_merged_rows_are_read(way: str) -> None:
    with running() as org:
        kept, lost, binned = accounts(org, 3)
        org.merge(kept, lost)
        org.delete("Account", binned)
        org.wait(3600)
        org.pages.shrink_to = 1
        found = {record.external_id: record for record in read_by(org, **WAYS[way])}
        assert (found[lost].deleted, found[lost].merged_into) == (True, kept)
        assert found[binned].deleted
        assert not found[kept].deleted


@pytest.mark.parametrize("way", WAYS, ids=WAYS)
def test_api_17_a_full_read_brings_what_lies_in_the_bin(way: str) -> None:
    with running() as org:
        kept, binned = accounts(org, 2)
        org.delete("Account", binned)
        org.wait(3600)
        org.pages.shrink_to = 1
        found = [(r.external_id, r.deleted) for r in read_by(org, **WAYS[way])]
        assert found == [(kept, False), (binned, True)]
        assert org.requests["GET", "query"] == 0, "`query` hides deleted rows"


@pytest.mark.parametrize("way", WAYS, ids=WAYS)
def test_api_18_line_breaks_quotes_and_nul_do_not_break_a_page(way: str) -> None:
    with running() as org:
        name = 'first\r\nsecond,"third"\\fourth\u2028fifth'
        org.insert("Account", {"Name": name})
        org.insert("Account", {"Name": "be\x00fore"})
        org.insert("Account", {"Name": name})
        org.wait(3600)
        org.pages.shrink_to = 1
        read_back = read_by(org, **WAYS[way])
        first, second, third = (record.fields["Name"] for record in read_back)
        assert first == third == name
        assert str(second).replace("\x00", "") == "before"


@pytest.mark.parametrize("way", WAYS, ids=WAYS)
def test_api_19_nothing_clears_a_field_and_is_never_written_as_text(way: str) -> None:
    with running() as org:
        connector = org.connect(**WAYS[way])
        connector.write([commission("k1", Because__c='say "when"', Clauses__c="NT-1")])
        connector.write([Change("Commission__c", "Sync_Key__c", "k1", {"Clauses__c": None})])
        (row,) = org.all_rows("Commission__c")
        assert row.get("Clauses__c") is None
        assert row["Because__c"] == 'say "when"', "a field that was not named is left alone"


def test_api_20_a_key_that_two_records_have_is_rejected_for_a_person() -> None:
    with running() as org:
        connector = org.connect()
        connector.write([commission("k1")])
        twice = Faults.status(300, match=lambda r: COLLECTIONS in r.path, body=["one", "other"], times=None)
        org.faults.add(twice)
        (result,) = connector.write([commission("k1", State__c="paid")])
        assert (result.state, result.code) == ("rejected", "DUPLICATE_EXTERNAL_ID")


def test_api_21_a_duplicate_rule_rejects_one_record_unless_the_settings_say_otherwise() -> None:
    with running() as org:
        org.rules.duplicates["Commission__c"] = "Corrects__c"
        org.insert("Commission__c", {"Corrects__c": "x"})
        results = org.connect().write([commission("k1", Corrects__c="x"), commission("k2")])
        assert [(result.state, result.code) for result in results] == [
            ("rejected", "DUPLICATES_DETECTED"), ("done", None),
        ]  # fmt: skip
        assert org.connect(save_duplicates=True).write([commission("k1", Corrects__c="x")])[0].state == "done"


def test_api_22_a_lost_answer_makes_no_second_record() -> None:
    with running() as org:
        org.faults.add(Faults.lose_answer(2, lambda request: COLLECTIONS in request.path))
        connector = org.connect()
        while any(result.state != "done" for result in connector.write([commission("k1"), commission("k2")])):
            pass
        assert org.journal.count_by_key() == {("Commission__c", "k1"): 1, ("Commission__c", "k2"): 1}


def test_api_23_a_race_for_one_key_ends_as_an_update() -> None:
    with running() as org:
        org.insert("Commission__c", {"Sync_Key__c": "k1"})
        error = {"statusCode": "DUPLICATE_VALUE", "message": "duplicate value found", "fields": ["Sync_Key__c"]}
        org.faults.add(
            Faults.status(200, match=lambda r: COLLECTIONS in r.path, body=[{"success": False, "errors": [error]}])
        )
        (result,) = org.connect().write([commission("k1")])
        assert (result.state, result.created) == ("done", False)


def test_api_24_a_locked_row_is_for_later_and_rows_of_one_parent_go_together() -> None:
    with running() as org:
        org.rules.locked["k1"] = 1
        together: list[list[str]] = []

        def seen(request: SimRequest) -> bool:
            if COLLECTIONS in request.path:
                together.append([record["Sync_Key__c"] for record in request.json()["records"]])
            return False

        org.faults.add(Faults.status(500, times=None, match=seen))
        connector = org.connect(write_size=2)
        changes = [
            Change("Commission__c", "Sync_Key__c", f"k{n}", {}, parent=parent) for n, parent in enumerate("abab")
        ]
        assert [result.state for result in connector.write(changes)] == ["done", "retry", "done", "done"]
        assert [write.key for write in org.journal.writes("Commission__c")] == ["k0", "k2", "k3"]
        assert together == [["k0", "k2"], ["k1", "k3"]]
        assert connector.write([changes[1]])[0].state == "done"


def test_api_25_a_stale_locator_is_dropped_and_the_read_goes_on_by_key() -> None:
    with running() as org:
        made = accounts(org, 9)
        org.pages.shrink_to = 2
        connector, seen = org.connect(), []
        for page in connector.changes(ACCOUNTS, since=None):
            seen += [record.external_id for record in page.records]
            assert "0r8" not in page.cursor, "a locator in the cursor goes stale with it"
            org.pages.expire_all()
        assert seen == made


@pytest.mark.parametrize("way", WAYS, ids=WAYS)
def test_api_26_no_address_is_put_together_twice(way: str) -> None:
    with running() as org:
        accounts(org, 5)
        org.pages.shrink_to = 2
        paths: list[str] = []

        def seen(request: SimRequest) -> bool:
            paths.append(request.path)
            return False

        org.faults.add(Faults.status(500, times=None, match=seen))
        org.jobs.largest_part = 2
        assert len(ids(org, **WAYS[way])) == 5
        assert len(paths) >= 4 and not [path for path in paths if "//" in path]


def test_api_27_a_mapping_that_reads_a_formula_field_is_warned_about() -> None:
    """A formula's value changes without moving the record's stamp, so that no read of changes can see it."""
    with running() as org:
        org.add_field("Account", formula("Score__c"))
        text = "system: salesforce\nobjects:\n- {object: Account, record: account, fields: {name: Name, website: Score__c}}"
        problems = check(load_mapping("m.yaml", text), org.connect())
        (found,) = [problem for problem in problems if "Score__c" in problem.found]
        assert (found.level, "calculated" in found.found) == ("warning", True)


def test_api_28_a_field_that_becomes_visible_fills_the_records_read_before() -> None:
    """Which stream is asked anew is the store's part: tests/sync/test_drift.py."""
    with running() as org:
        (account,) = accounts(org, 1)
        org.update("Account", account, {"Website": "https://harbour.example"})
        org.wait(3600)
        org.hide("Account", "Website")
        connector = org.connect()
        seen = connector.describe("Account")
        assert seen is not None and "Website" not in seen.fields
        org.reveal("Account", "Website")
        seen = org.connect().describe("Account")
        assert seen is not None and "Website" in seen.fields
        assert read(org.connect(), ACCOUNTS)[0][0].fields["Website"] == "https://harbour.example"


def test_api_29_each_object_has_a_watermark_of_its_own() -> None:
    """That one object's failure moves no other's watermark: tests/sync/test_pull.py, a failed stream keeps its place."""
    with running() as org:
        (account,) = accounts(org, 1)
        contact = org.insert("Contact", {"LastName": "Ngaio"})
        org.wait(3600)
        connector, contacts = org.connect(), Query("Contact", ("LastName",))
        org.faults.add(
            org.error(503, "SERVER_UNAVAILABLE", "down", times=None, match=lambda r: "Contact" in str(r.query))
        )
        records, _ = read(connector, ACCOUNTS)
        assert [record.external_id for record in records] == [account]
        with pytest.raises(RetryLater):
            read(org.connect(RetryPolicy(attempts=2)), contacts)
        org.faults.clear()
        assert [record.external_id for record in read(org.connect(), contacts)[0]] == [contact]


def test_api_30_the_usage_header_may_name_an_app_or_be_missing() -> None:
    with running() as org:
        made = accounts(org, 2)
        org.daily_requests, org.per_app_limit = 1000, ("Referee", 50)
        connector = org.connect()
        assert len(read(connector, ACCOUNTS)[0]) == len(made)
        seen = connector.usage()
        assert (seen.used, seen.allowed) == (org.requests_used, 1000)
        org.faults.add(Faults.status(200, match=is_query, body={"totalSize": 0, "done": True, "records": []}))
        assert read(connector, ACCOUNTS)[0] == []
        assert connector.usage() == seen and not org.requests["GET", "limits"], (
            "an answer that does not say, says nothing"
        )
