"""Reading by query jobs (Bulk API 2.0): chosen by size, the same records as by queries, nothing lost whatever befalls a job."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import Cursor, Page, Query, Record
from connectors.conformance import HOSTILE
from connectors.errors import RetryLater
from connectors.http import RetryPolicy
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.csv_rows import NotCsv, Results
from connectors.salesforce.rows import RowReader
from connectors.salesforce.simulator.schema import FieldSpec, long_text
from connectors.simulation import Faults, SimRequest
from tests.connectors.salesforce_org import Org, read, running

ACCOUNTS = Query("Account", ("Name", "AnnualRevenue", "Customer_Since__c", "Owner.Name"))


def filled(org: Org, count: int = 30) -> list[str]:
    ids = []
    for number in range(count):
        ids.append(org.insert("Account", {"Name": f"Invented {number}", "AnnualRevenue": f"{number}.5"}))
        org.wait(number % 2)
    org.delete("Account", ids[3])
    org.merge(ids[4], ids[5])
    org.wait(3600)
    org.pages.shrink_to, org.jobs.largest_part = 6, 7
    return ids


def by_jobs(org: Org, **more: Any) -> SalesforceConnector:
    return org.connect(**{"bulk_read_rows": 0, "page_size": 200, **more})


def shown(records: list[Record]) -> dict[str, str]:
    """Each record as last seen, with the types of its values."""
    return {
        record.external_id: repr((record.version, sorted(record.fields.items()), record.deleted, record.merged_into,
                                  record.created_at, record.modified_at))
        for record in records
    }  # fmt: skip


def until_the_first_empty_page(org: Org) -> tuple[set[str], Cursor]:
    """Read by a job until a page has no records, which says where the job is: the ids seen, and where the read stopped."""
    seen: set[str] = set()
    for page in by_jobs(org).changes(ACCOUNTS, since=None):
        seen |= {record.external_id for record in page.records}
        if not page.records:
            return seen, page.cursor
    raise AssertionError("every page had records")


def asked(org: Org, name: str) -> int:
    return sum(count for (_, route), count in org.requests.items() if route == name)


def test_the_first_page_says_whether_a_job_is_worth_it() -> None:
    with running() as org:
        filled(org)
        plain = org.connect(bulk_read_rows=25)
        records, _ = read(plain, ACCOUNTS)
        assert len(records) == 30 and org.jobs.made == []  # 24 of 30 were still to come
        calls = org.requests_used
        read(plain, Query("Lead", ("Name",)))
        assert org.requests_used - calls == 1  # a small read costs no call for the question
        records, _ = read(org.connect(bulk_read_rows=24), ACCOUNTS)
        assert len(org.jobs.made) == 1 and {record.external_id for record in records} == {
            row["Id"] for row in org.all_rows("Account", deleted=True)
        }
        assert read(org.connect(bulk_read_rows=None), ACCOUNTS) and len(org.jobs.made) == 1


def test_a_job_reads_deleted_and_merged_records_and_types_as_queries_do() -> None:
    with running() as org:
        ids = filled(org)
        plain, jobs = read(org.connect(), ACCOUNTS), read(by_jobs(org), ACCOUNTS)
        assert shown(jobs[0]) == shown(plain[0]) and jobs[1] == plain[1]
        assert len(org.jobs.made) == 1
        lost = next(record for record in jobs[0] if record.external_id == ids[5])
        assert (lost.deleted, lost.merged_into) == (True, ids[4])
        some = next(record for record in jobs[0] if record.external_id == ids[20])
        assert some.fields["AnnualRevenue"] == Decimal("20.5") and some.fields["Owner.Name"] == "Integration"


TEXTS = st.one_of(
    st.sampled_from([text for name, text in HOSTILE.items() if name != "surrogate"]), st.text(max_size=40)
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"Name": TEXTS.filter(lambda text: bool(text.strip()))},
        optional={
            "AnnualRevenue": st.decimals(-(10**12), 10**12, places=2).map(str),
            "Withholding_Rate__c": st.decimals(0, 1, places=4).map(str),
            "NumberOfEmployees": st.integers(-5, 10**6),
            "Website": st.sampled_from(["https://a.example", '"x",y']),
            "Customer_Since__c": st.dates().map(str),
            "Partner_Currency__c": st.sampled_from(["EUR", "N/A", "null", "#N/A"]),
            "Support_Partner__c": st.just("first"),
        },
    ),
    min_size=8,
    max_size=20,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, st.booleans(), st.integers(1, 9))
def test_queries_and_jobs_read_the_same_of_any_org(rows: list[dict[str, Any]], one_header: bool, part: int) -> None:
    with running() as org:
        known = set(org.objects["Account"].fields)
        first = ""
        for row in rows:
            fields = {name: value for name, value in row.items() if name in known and len(str(value)) <= 80}
            if "Support_Partner__c" in fields:
                fields["Support_Partner__c"] = first or None
            made = org.insert("Account", {"Name": "short", **fields})
            first = first or made
            org.wait(len(row) % 2)
        org.delete("Account", first)
        org.wait(3600)
        org.pages.shrink_to, org.jobs.largest_part, org.jobs.one_header = 5, part, one_header
        names = sorted(known - {"Id", "SystemModstamp", "IsDeleted", "CreatedDate", "MasterRecordId"})
        query = Query(
            "Account", (*names, "Support_Partner__r.Name", "Support_Partner__r.AnnualRevenue", "Owner.IsActive")
        )
        assert shown(read(by_jobs(org), query)[0]) == shown(read(org.connect(), query)[0])
        assert len(org.jobs.made) == 1


def test_a_value_may_be_longer_than_a_parser_expects() -> None:
    with running() as org:
        org.add_field("Account", long_text("Notes__c", 400_000))
        ids = filled(org, 12)
        org.update("Account", ids[9], {"Notes__c": "line\r\n" * 50_000 + "end"})
        org.wait(3600)
        found = {record.external_id: record for record in read(by_jobs(org), Query("Account", ("Notes__c",)))[0]}
        assert found[ids[9]].fields["Notes__c"] == "line\r\n" * 50_000 + "end"


TYPES = {"Id": "id", "SystemModstamp": "datetime", "CreatedDate": "datetime", "IsDeleted": "boolean", "Name": "string"}
ALWAYS = ["001", "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z", "false"]
INVENTED = RowReader("Invented__c", ("Name", "Size__c"))


def read_part(content: bytes, types: dict[str, str]) -> list[list[Any]]:
    """Name and size of each record of a part, read a few lines at a time."""
    read_lines, lines = Results(types, INVENTED).part(content)
    texts = list(lines)
    records = [record for at in range(0, len(texts), 2) for record in read_lines(texts[at : at + 2])]
    return [[record.fields["Name"], record.fields["Size__c"]] for record in records]


@given(
    st.lists(st.tuples(st.text(max_size=12), st.sampled_from(["", "7", "-0.5", "1E+3"])), max_size=9),
    st.booleans(), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans(),
)  # fmt: skip
def test_values_are_those_that_were_written(
    rows: list[tuple[str, str]], all_quoted: bool, ends: str, header: bool, is_cut: bool
) -> None:
    def written(value: str) -> str:
        doubled = value.replace('"', '""')
        return f'"{doubled}"' if all_quoted or set(value) & set('",\r\n') else value

    types = {**TYPES, "Size__c": "double"}
    lines = [[*types]] if header else []
    lines += [[*ALWAYS, *row] for row in rows]
    content = ends.join(",".join(map(written, line)) for line in lines) + ("" if is_cut else ends * bool(lines))
    assert read_part(content.encode(), types) == [
        [name or None, Decimal(size if "." in size or "E" in size else f"{size}.0") if size else None]
        for name, size in rows
    ]


@settings(max_examples=400)
@given(
    st.lists(st.lists(st.sampled_from(['"', ",", "\n", "\r", "a", "é", '""', '","', '"\n"']), max_size=8), max_size=4)
)
def test_lines_are_told_apart_as_a_parser_does_or_not_at_all(lines: list[list[str]]) -> None:
    start = ",".join(f'"{value}"' for value in ALWAYS)
    content = "\n".join(f'{start},"{"".join(line)}"' for line in lines)
    types = {**TYPES, "Size__c": "string"}
    try:
        found = read_part(content.encode(), types)
    except NotCsv:
        return
    told = list(csv.reader(io.StringIO(content, newline=""), strict=True))
    assert found == [[value or None for value in each[4:]] for each in told]


@pytest.mark.parametrize(
    "value",
    [b'"5 "', b'"1_0"', b'"five"', b'"NaN"', b'"1e99999"', b'"7" ', b'"7"x', b'7"', b'"7', b'"7",""', b"\xff"],
)
def test_a_value_that_is_none_of_its_type_is_found_before_any_line_is_handed_on_as_readable(value: bytes) -> None:
    types = {**TYPES, "Size__c": "double"}
    line = ",".join(f'"{each}"' for each in ALWAYS).encode() + b',"one",'
    _, lines = Results(types, INVENTED).part(line + b'"7"\n' + line + value + b"\n" + line + b'"7"\n')
    assert next(lines) == line + b'"7"'
    with pytest.raises(NotCsv):
        next(lines)


def fails(org: Org) -> None:
    org.jobs.fail_with = ["InvalidBatch : it did not work"]


def never_ends(org: Org) -> None:
    org.jobs.polls = None


def refuses_jobs(org: Org) -> None:
    org.jobs.daily_jobs = 0


def has_compound_fields(org: Org) -> None:
    # The field itself is not asked for; the owner's is, and only REST gives it.
    org.objects["User"].fields["Name"] = FieldSpec("Name", "address", "Name", createable=False, updateable=False)


def leaves_rows_out(org: Org) -> None:
    org.jobs.short_parts = 1


def is_no_csv(org: Org) -> None:
    body = b'"Id"\n"unfinished'
    org.faults.add(Faults.status(200, body=body, headers={"Sforce-NumberOfRecords": "1"}, match=of_results))


def of_results(request: SimRequest) -> bool:
    return request.path.endswith("/results")


@pytest.mark.parametrize(
    "trouble", [fails, never_ends, refuses_jobs, has_compound_fields, leaves_rows_out, is_no_csv],
    ids=lambda trouble: trouble.__name__,
)  # fmt: skip
def test_a_job_that_gives_nothing_leaves_the_reading_to_queries(trouble: Callable[[Org], None]) -> None:
    with running() as org:
        ids = filled(org)
        trouble(org)
        connector = by_jobs(org, bulk_read_wait_seconds=30)
        records, _ = read(connector, ACCOUNTS)
        assert {record.external_id for record in records} == set(ids)
        assert len(org.jobs.made) <= 1 and asked(org, "query/more") > 0
        if trouble is never_ends:
            assert org.jobs.made[0].state == "Aborted" and sum(org.waits) < 60


def test_a_job_that_is_gone_is_made_anew_once() -> None:
    with running() as org:
        ids = filled(org)
        connector, records = by_jobs(org), []
        for place, page in enumerate(connector.changes(ACCOUNTS, since=None)):
            records += page.records
            if place in (3, 8):
                org.jobs.expire_all()
        assert {record.external_id for record in records} == set(ids)
        assert asked(org, "jobs/query") >= 2


def test_a_read_goes_on_with_its_job_after_it_was_cut_off() -> None:
    with running() as org:
        ids = filled(org)
        pages: list[Page] = []
        for page in by_jobs(org).changes(ACCOUNTS, since=None):
            pages.append(page)
            if len(page.records) and len(pages) > 4:
                break
        assert '"job"' in pages[-1].cursor
        rest, _ = read(by_jobs(org), ACCOUNTS, pages[-1].cursor)
        assert len(org.jobs.made) == 1
        seen = {record.external_id for page in pages for record in page.records}
        assert seen | {record.external_id for record in rest} == set(ids)
        assert len(rest) < len(ids) - 6  # not from the beginning


def test_a_read_that_was_cut_off_while_the_job_worked_waits_for_the_same_job() -> None:
    with running() as org:
        ids = filled(org)
        org.jobs.polls = 3
        _, place = until_the_first_empty_page(org)
        rest, _ = read(by_jobs(org), ACCOUNTS, place)
        assert len(org.jobs.made) == 1 and len({record.external_id for record in rest}) >= len(ids) - 6


def test_a_job_whose_results_expired_begins_the_window_anew() -> None:
    with running() as org:
        ids = filled(org)
        seen, place = until_the_first_empty_page(org)
        org.wait(8 * 86_400)
        rest, _ = read(by_jobs(org), ACCOUNTS, place)
        assert len(org.jobs.made) == 2
        assert seen | {record.external_id for record in rest} == set(ids)


def test_a_job_of_another_api_version_gives_nothing_and_the_window_is_read_by_queries() -> None:
    """Results are given to the version that made the job only (409)."""
    with running() as org:
        ids = filled(org)
        org.jobs.polls = 3
        _, place = until_the_first_empty_page(org)
        rest, _ = read(by_jobs(org, api_version=61.0), ACCOUNTS, place)
        assert len(org.jobs.made) == 1 and len({record.external_id for record in rest}) >= len(ids) - 6


@pytest.mark.parametrize("route", ["/jobs/query", "/results", "/jobs/query/750"])
@pytest.mark.parametrize("kind", ["lost", "dropped", "cut off", 503, 429])
def test_an_answer_that_does_not_come_is_asked_for_again(route: str, kind: str | int) -> None:
    with running() as org:
        ids = filled(org)

        def hit(request: SimRequest) -> bool:
            return request.path.endswith(route) or (route.endswith("750") and "/750" in request.path)

        made = {"lost": Faults.lose_answer, "dropped": Faults.drop, "cut off": Faults.truncate}
        org.faults.add(Faults.status(kind, match=hit) if isinstance(kind, int) else made[kind](1, hit))
        records, _ = read(by_jobs(org), ACCOUNTS)
        assert {record.external_id for record in records} == set(ids)


def test_an_outage_keeps_the_place_in_the_job() -> None:
    with running() as org:
        ids = filled(org)
        org.faults.add(Faults.status(503, times=6, match=of_results, after=1))
        connector = by_jobs(org, policy=RetryPolicy(attempts=2, first_wait_seconds=0))
        cursor, records = None, []
        for _ in range(6):
            try:
                for page in connector.changes(ACCOUNTS, since=cursor):
                    records += page.records
                    cursor = page.cursor
            except RetryLater:
                continue
            break
        assert {record.external_id for record in records} == set(ids) and len(org.jobs.made) == 1


def test_an_incremental_window_with_many_changes_goes_by_a_job_too() -> None:
    with running() as org:
        ids = filled(org)
        _, watermark = read(by_jobs(org), ACCOUNTS)
        for one in ids[6:26]:
            org.update("Account", one, {"AnnualRevenue": "7"})
        org.wait(3600)
        records, _ = read(by_jobs(org, overlap_seconds=0), ACCOUNTS, watermark)
        assert {record.external_id for record in records} == set(ids[6:26])
        assert len(org.jobs.made) == 2
