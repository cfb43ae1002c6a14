"""Reading HubSpot: nothing is lost to a lagging index, to ties, to the end of a search, to archiving or to merges."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import Query, Record
from connectors.errors import ConnectorError, CursorExpired, NeedsOperator, QuotaSpent, RetryLater
from connectors.hubspot.cursors import place_of
from connectors.hubspot.simulator.schema import text
from connectors.simulation import Faults, SimRequest
from tests.connectors.hubspot_portal import Portal, read, running

COMPANIES = Query("companies", ("name",))
CONTACTS = Query("contacts", ("jobtitle", "associations.companies"))
DEALS = Query("deals", ("dealname", "associations.companies"))
HOUR, DAY = 3600, 86_400


@pytest.fixture
def portal() -> Iterator[Portal]:
    with running() as started:
        yield started


def ids(records: list[Record]) -> list[str]:
    return [record.external_id for record in records]


def is_search(request: SimRequest) -> bool:
    return request.path.endswith("/search")


# -- lanes and windows


def test_a_change_comes_at_once_and_once_more_when_the_index_has_settled(portal: Portal) -> None:
    connector = portal.connect()
    _, watermark = read(connector, COMPANIES)
    portal.wait(HOUR)
    company = portal.insert("companies", {"name": "Fresh"})
    came = []
    for _ in range(20):
        portal.wait(HOUR / 4)
        records, watermark = read(connector, COMPANIES, watermark)
        came.append(ids(records).count(company))
    assert came[0] == 1, "it waited for more than the next run"
    assert 2 <= sum(came) <= 3 and came[-10:] == [0] * 10


def test_what_the_index_shows_late_is_found_by_the_settled_lane(portal: Portal) -> None:
    connector = portal.connect()
    _, watermark = read(connector, COMPANIES)
    portal.rows.index_lag_seconds = 50 * 60
    company = portal.insert("companies", {"name": "Late"})
    came = []
    for _ in range(10):
        portal.wait(HOUR / 4)
        records, watermark = read(connector, COMPANIES, watermark)
        came += ids(records)
    assert company in came


def test_what_the_index_never_shows_is_found_by_the_sweep(portal: Portal) -> None:
    connector = portal.connect(sweep_hours=24)
    _, watermark = read(connector, COMPANIES)
    portal.rows.index_lag_seconds = 1000 * DAY
    company = portal.insert("companies", {"name": "Lost"})
    portal.wait(23 * HOUR)
    records, watermark = read(connector, COMPANIES, watermark)
    assert records == []
    portal.wait(2 * HOUR)
    assert ids(read(connector, COMPANIES, watermark)[0]) == [company]


@pytest.mark.parametrize("stamps", ["the same", "one after the other"])
def test_a_window_with_more_results_than_a_search_gives(portal: Portal, stamps: str) -> None:
    portal.most_results = 20
    connector = portal.connect(page_size=10)
    _, watermark = read(connector, COMPANIES)
    made = []
    for number in range(45):
        made.append(portal.insert("companies", {"name": f"Bulk {number}"}))
        portal.wait(0 if stamps == "the same" else 0.001)
    portal.wait(DAY)
    assert ids(read(connector, COMPANIES, watermark)[0]) == made


def test_records_are_found_under_the_property_that_their_object_has(portal: Portal) -> None:
    connector = portal.connect()
    for kind in ("contacts", "companies", "p_referral"):
        query = Query(kind, ("hs_object_id",))
        _, watermark = read(connector, query)
        portal.wait(HOUR)
        made = portal.insert(kind.removeprefix("p_"), {})
        portal.wait(HOUR)
        assert ids(read(connector, query, watermark)[0]) == [made]


def test_the_record_is_the_databases_not_the_older_one_of_the_index(portal: Portal) -> None:
    connector = portal.connect()
    company = portal.insert("companies", {"name": "Old"})
    _, watermark = read(connector, COMPANIES)
    portal.update("companies", company, {"name": "Middle"})
    portal.rows.index_lag_seconds = DAY
    portal.update("companies", company, {"name": "New"})
    portal.wait(HOUR / 2)
    [record] = read(connector, COMPANIES, watermark)[0]
    assert record.fields["name"] == "New"


HOSTILE = st.text(st.sampled_from("ab*'\"\\{}[]():,;%/.?#& \n\u2019\uff07\x00"), max_size=20) | st.text(max_size=20)


@pytest.fixture(scope="module")
def listening() -> Iterator[tuple[Portal, list[SimRequest]]]:
    """A portal that remembers what it was asked."""
    asked: list[SimRequest] = []

    def remember(request: SimRequest) -> bool:
        asked.append(request)
        return False

    with running() as portal:
        portal.faults.add(Faults.status(500, times=None, match=remember))
        portal.insert("companies", {"name": "Invented"})
        portal.insert("commission", {"sync_key": "np|1/a.b"})
        yield portal, asked


@given(HOSTILE, HOSTILE | st.just("np|1/a.b"))
@settings(max_examples=60)
def test_values_never_change_the_shape_of_a_search(
    listening: tuple[Portal, list[SimRequest]], value: str, key: str
) -> None:
    """A filter's value stays one string of one filter, whatever is in it, and a key finds its own record or none."""
    portal, asked = listening
    asked.clear()
    where = json.dumps([{"propertyName": "name", "operator": "EQ", "value": value}])
    connector = portal.connect()
    with contextlib.suppress(ConnectorError):  # a value may be refused there; a request of another shape is not sent
        next(iter(connector.changes(Query("companies", ("name",), where), since=None)))
    searches = [request.json() for request in asked if request.path.endswith("/search")]
    assert searches
    for search in searches:
        [group] = search["filterGroups"]
        own, position = group["filters"]
        assert own == {"propertyName": "name", "operator": "EQ", "value": value}
        assert (position["propertyName"], position["operator"]) == ("hs_object_id", "GT")
    found = [record.fields["sync_key"] for record in connector.fetch("p_commission", (), [key], key_field="sync_key")]
    assert found == (["np|1/a.b"] if key == "np|1/a.b" else [])


@given(HOSTILE | st.sampled_from(["..", ".", "../schemas", "companies/..", "%2e%2e", "companies?archived=true"]))
@settings(max_examples=60)
def test_a_name_of_an_object_stays_one_part_of_the_address(
    listening: tuple[Portal, list[SimRequest]], kind: str
) -> None:
    portal, asked = listening
    asked.clear()
    with contextlib.suppress(ConnectorError, UnicodeEncodeError):
        portal.connect().describe(kind)
    for request in asked:
        known = request.path.startswith(("/crm-object-schemas/", "/account-info/"))
        assert known or (request.path.startswith("/crm/") and len(request.path.split("/")) == 5)
        assert not request.raw_query or "archived=true" not in request.raw_query


@given(
    archives_merged=st.booleans(),
    keeps_id=st.booleans(),
    steps=st.lists(
        st.tuples(st.sampled_from(["create", "update", "archive", "merge", "read"]), st.integers(0, 4000)),
        min_size=5, max_size=25,
    )
)  # fmt: skip
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_people_do_the_reader_ends_up_with_what_is_there(
    steps: list[tuple[str, int]], archives_merged: bool, keeps_id: bool
) -> None:
    with running() as portal:
        portal.rows.archives_merged = archives_merged
        portal.rows.keeps_id_on_merge = {"companies"} if keeps_id else set()
        portal.rows.index_lag_seconds = 600
        connector = portal.connect(page_size=3)
        held: dict[str, Record] = {}
        watermark = None
        for number, (step, seconds) in enumerate([*steps, ("read", 2 * HOUR), ("read", 2 * HOUR), ("read", 2 * HOUR)]):
            there = sorted(row["hs_object_id"] for row in portal.all_rows("companies"))
            if step == "create" or not there:
                portal.insert("companies", {"name": f"made {number}"})
            elif step == "update":
                portal.update("companies", there[seconds % len(there)], {"name": f"changed {number}"})
            elif step == "archive":
                portal.archive("companies", there[seconds % len(there)])
            elif step == "merge" and len(there) > 1:
                portal.merge("companies", there[0], there[-1])
            elif step == "read":
                portal.wait(seconds)
                records, watermark = read(connector, COMPANIES, watermark)
                held |= {record.external_id: record for record in records}
            portal.wait(seconds)
        there_now = {row["hs_object_id"]: row["name"] for row in portal.all_rows("companies")}
        alive = {key: record.fields["name"] for key, record in held.items() if not record.deleted}
        assert alive == there_now
        for key, record in held.items():
            kept = portal.rows.live("companies", key)
            if record.deleted and kept is not None:
                assert record.merged_into is not None, "a merged record came as deleted, without the one that is left"


# -- archived and merged records


def test_archived_records_are_listed_by_the_hour_and_come_once(portal: Portal) -> None:
    connector = portal.connect()
    gone = portal.insert("companies", {"name": "Gone"})
    _, watermark = read(connector, COMPANIES)
    portal.archive("companies", gone)
    portal.wait(HOUR / 2)
    records, watermark = read(connector, COMPANIES, watermark)
    assert records == [], "the hour is not over"
    portal.wait(HOUR)
    [record] = (got := read(connector, COMPANIES, watermark))[0]
    assert (record.external_id, record.deleted, record.merged_into) == (gone, True, None)
    assert record.fields["name"] == "Gone" and record.created_at is not None, "as it was when it was archived"
    portal.wait(HOUR)
    assert read(connector, COMPANIES, got[1])[0] == []


def test_a_restored_record_comes_back(portal: Portal) -> None:
    connector = portal.connect()
    company = portal.insert("companies", {"name": "Back"})
    portal.archive("companies", company)
    _, watermark = read(connector, COMPANIES)
    portal.wait(HOUR)
    portal.restore("companies", company)
    portal.wait(HOUR)
    [record] = {record.external_id: record for record in read(connector, COMPANIES, watermark)[0]}.values()
    assert not record.deleted


def test_a_merge_that_makes_a_new_record_redirects_both_old_ids(portal: Portal) -> None:
    """E42: deals A and B become a new deal C."""
    connector = portal.connect()
    winner, loser = (portal.insert("deals", {"dealname": name}) for name in ("Winner", "Loser"))
    _, watermark = read(connector, DEALS)
    left = portal.merge("deals", winner, loser)
    portal.wait(HOUR)
    found = {record.external_id: record for record in read(connector, DEALS, watermark)[0]}
    assert left not in (winner, loser) and set(found) == {left, winner, loser}
    assert found[left].fields["dealname"] == "Winner" and not found[left].deleted
    assert {found[old].merged_into for old in (winner, loser)} == {left}
    assert found[winner].deleted and found[loser].deleted


def test_a_merged_record_that_is_merged_again_keeps_all_its_redirects(portal: Portal) -> None:
    first, second, third = (portal.insert("companies", {"name": f"Company {number}"}) for number in range(3))
    left = portal.merge("companies", portal.merge("companies", first, second), third)
    records = read(portal.connect(), COMPANIES)[0]
    assert {record.external_id for record in records if record.merged_into == left} >= {first, second, third}


@pytest.mark.parametrize("archived", [True, False])
@pytest.mark.parametrize("keeps_id", [True, False])
def test_a_merge_is_a_merge_whatever_else_the_portal_makes_of_it(
    portal: Portal, archived: bool, keeps_id: bool
) -> None:
    """The winner may keep its id or not, and what was merged away may be among the archived records or not."""
    portal.rows.archives_merged = archived
    portal.rows.keeps_id_on_merge = {"contacts"} if keeps_id else set()
    connector = portal.connect()
    winner, loser = (portal.insert("contacts", {"jobtitle": name}) for name in ("Winner", "Loser"))
    _, watermark = read(connector, CONTACTS)
    left = portal.merge("contacts", winner, loser)
    portal.wait(2 * HOUR)
    found = {record.external_id: record for record in read(connector, CONTACTS, watermark)[0]}
    assert (left == winner) is keeps_id
    gone = {loser} if keeps_id else {loser, winner}
    assert {key: record.merged_into for key, record in found.items() if record.deleted} == dict.fromkeys(gone, left)
    assert found[left].fields["jobtitle"] == "Winner"


def test_what_was_merged_away_says_what_it_was_where_the_portal_still_shows_it(portal: Portal) -> None:
    """E41: among the archived records it does; whether it met a filter nobody can say then, so that it stays empty."""
    connector = portal.connect()
    winner, loser = (portal.insert("deals", {"dealname": name}) for name in ("Winner", "Loser"))
    _, watermark = read(connector, DEALS)
    portal.merge("deals", winner, loser)
    portal.wait(2 * HOUR)
    found = [record for record in read(connector, DEALS, watermark)[0] if record.deleted]
    told = {record.external_id: record.fields["dealname"] for record in found if record.fields}
    assert told == {winner: "Winner", loser: "Loser"}
    filtered = Query("deals", DEALS.fields, '[{"propertyName": "dealname", "operator": "NEQ", "value": "Loser"}]')
    assert not any(record.fields for record in read(connector, filtered, watermark)[0] if record.deleted)


def test_fetching_a_merged_id_says_where_it_went(portal: Portal) -> None:
    """E42: a request for an old id is answered with another record."""
    winner, loser = (portal.insert("companies", {"name": name}) for name in ("Winner", "Loser"))
    left = portal.merge("companies", winner, loser)
    connector = portal.connect()
    [record] = connector.fetch("companies", ("name",), [loser])
    assert (record.external_id, record.deleted, record.merged_into) == (loser, True, left)
    assert {r.external_id for r in connector.fetch("companies", ("name",), [left, "1", "no id", "\ud800"])} == {left}


# -- associations


def test_a_record_belongs_to_its_primary_or_only_company(portal: Portal) -> None:
    first, second = (portal.insert("companies", {"name": name}) for name in ("First", "Second"))
    nobody = portal.insert("deals", {"dealname": "nobody's"})
    one = portal.insert("deals", {"dealname": "one"}, company=second)
    primary = portal.insert("deals", {"dealname": "primary of two"}, company=second)
    portal.associate("deals", primary, "companies", first)
    found = {record.external_id: record.fields["associations.companies"] for record in read(portal.connect(), DEALS)[0]}
    assert found == {nobody: None, one: second, primary: second}


def test_several_companies_without_a_primary_are_not_guessed_at(portal: Portal) -> None:
    companies = [portal.insert("companies", {"name": f"Company {number}"}) for number in range(5)]
    referral = portal.insert("referral", {})
    for company in companies:
        portal.associate("referral", referral, "companies", company)
    portal.associations.page_size = 2  # the links of a record come in pages of their own
    [record] = read(portal.connect(), Query("p_referral", ("associations.companies",)))[0]
    assert record.fields["associations.companies"] == companies


def test_a_changed_association_alone_is_seen_within_a_day(portal: Portal) -> None:
    first, second = (portal.insert("companies", {"name": name}) for name in ("First", "Second"))
    deal = portal.insert("deals", {"dealname": "one"}, company=first)
    connector = portal.connect()
    portal.wait(HOUR)
    _, watermark = read(connector, DEALS)
    portal.separate("deals", deal, "companies", first)
    portal.associate("deals", deal, "companies", second)
    portal.wait(23 * HOUR)
    records, watermark = read(connector, DEALS, watermark)
    assert records == [], "changing an association moved the stamp, so this test shows nothing"
    portal.wait(HOUR)
    [record] = read(connector, DEALS, watermark)[0]
    assert record.fields["associations.companies"] == second


def test_a_contacts_company_is_a_property_and_seen_at_once(portal: Portal) -> None:
    company = portal.insert("companies", {"name": "First"})
    contact = portal.insert("contacts", {"jobtitle": "x"})
    query = Query("contacts", ("associatedcompanyid",))
    connector = portal.connect()
    _, watermark = read(connector, query)
    portal.wait(HOUR)
    portal.associate("contacts", contact, "companies", company)
    portal.wait(HOUR / 4)
    [record] = read(connector, query, watermark)[0]
    assert record.fields["associatedcompanyid"] == company


def test_a_broken_associations_answer_loses_nothing_silently(portal: Portal) -> None:
    portal.insert("deals", {"dealname": "one"})
    error = {"status": "error", "category": "INTERNAL_ERROR", "message": "x", "context": {}}
    body = {"status": "COMPLETE", "results": [], "errors": [error], "numErrors": 1}
    portal.faults.add(Faults.status(207, body=body, match=lambda request: "/associations/" in request.path))
    with pytest.raises(ConnectorError, match="incomplete: INTERNAL_ERROR"):
        read(portal.connect(), DEALS)


# -- what is asked for


def test_a_property_that_is_not_there_stops_the_read_by_name(portal: Portal) -> None:
    with pytest.raises(NeedsOperator, match="companies has no nmae"):
        read(portal.connect(), Query("companies", ("name", "nmae")))


def test_more_properties_than_an_address_holds_are_read_all_the_same(portal: Portal) -> None:
    names = [f"property_{number:03d}_{'x' * 60}" for number in range(150)]
    for name in names:
        portal.add_property("companies", text(name))
    company = portal.insert("companies", {name: f"value of {name}" for name in names})
    [record] = read(portal.connect(), Query("companies", tuple(names)))[0]
    assert record.external_id == company
    assert record.fields == {name: f"value of {name}" for name in names}


def test_a_filter_in_hubspots_own_words(portal: Portal) -> None:
    where = '[{"propertyName": "is_partner", "operator": "EQ", "value": "true"}]'
    query = Query("companies", ("name",), where)
    partner = portal.insert("companies", {"name": "Partner", "is_partner": True})
    portal.insert("companies", {"name": "Other"})
    connector = portal.connect()
    records, watermark = read(connector, query)
    assert ids(records) == [partner]
    portal.update("companies", partner, {"name": "Partner 2"})
    portal.wait(HOUR)
    assert ids(read(connector, query, watermark)[0]) == [partner]


def test_a_filtered_first_read_looks_back_for_what_the_index_did_not_have_yet(portal: Portal) -> None:
    where = '[{"propertyName": "is_partner", "operator": "EQ", "value": "true"}]'
    query = Query("companies", ("name",), where)
    portal.rows.index_lag_seconds = 40 * 60
    partner = portal.insert("companies", {"name": "Partner", "is_partner": True})
    portal.wait(30 * 60)
    connector = portal.connect()
    records, watermark = read(connector, query)
    assert records == []
    portal.wait(HOUR)
    assert ids(read(connector, query, watermark)[0]) == [partner]


@pytest.mark.parametrize("where", ["is_partner = true", "[]", '["x"]', '{"propertyName": "x"}'])
def test_a_filter_that_is_none_is_explained(portal: Portal, where: str) -> None:
    with pytest.raises(NeedsOperator, match="`where` is no list"):
        read(portal.connect(), Query("companies", ("name",), where))


def test_a_filter_that_hubspot_refuses_is_explained(portal: Portal) -> None:
    where = '[{"propertyName": "no_such_property", "operator": "HAS_PROPERTY"}]'
    with pytest.raises(NeedsOperator, match="check `where` of the mapping"):
        read(portal.connect(), Query("companies", ("name",), where))


def test_an_object_that_the_portal_lacks_is_named(portal: Portal) -> None:
    with pytest.raises(NeedsOperator, match="there is no object 'p_butterflies'"):
        read(portal.connect(), Query("p_butterflies", ("name",)))


# -- limits


@pytest.mark.parametrize(("policy", "seconds"), [("SECONDLY", 1), ("TEN_SECONDLY_ROLLING", 10)])
def test_a_short_limit_is_waited_for_however_often_it_comes(portal: Portal, policy: str, seconds: int) -> None:
    portal.insert("companies", {"name": "One"})
    portal.faults.add(portal.limited(policy, times=8))
    assert len(read(portal.connect(), COMPANIES)[0]) == 1
    assert len(portal.waits) == 8 and all(seconds <= wait < seconds + 1 for wait in portal.waits)


def test_a_storm_of_searches_is_read_at_the_pace_that_the_portal_allows(portal: Portal) -> None:
    connector = portal.connect(page_size=5)
    _, watermark = read(connector, COMPANIES)
    made = {portal.insert("companies", {"name": f"Company {number}"}) for number in range(60)}
    portal.wait(DAY)
    portal.limits.searches = 3
    assert set(ids(read(connector, COMPANIES, watermark)[0])) == made
    assert portal.waits, "twelve searches passed in one second"


def test_a_days_calls_used_up_park_until_the_portals_midnight(portal: Portal) -> None:
    connector = portal.connect()
    _, watermark = read(connector, COMPANIES)
    portal.limits.daily = portal.limits.used
    with pytest.raises(QuotaSpent) as spent:
        read(connector, COMPANIES, watermark)
    zone = ZoneInfo("US/Eastern")
    midnight = datetime.combine(portal.moment.astimezone(zone).date() + timedelta(days=1), datetime.min.time(), zone)
    assert spent.value.retry_after_seconds == (midnight - portal.moment).total_seconds()
    portal.wait(spent.value.retry_after_seconds)
    portal.limits.daily = 1000
    read(portal.connect(), COMPANIES, watermark)


def test_what_the_portal_counts_reaches_the_budget_and_the_report(portal: Portal) -> None:
    connector = portal.connect(quota_share=0.5)
    portal.limits.daily = 20
    assert connector.usage().allowed == 20
    with pytest.raises(QuotaSpent, match="our share is 50%"):
        for _ in range(10):
            read(connector, COMPANIES)
    assert portal.limits.used == 10


def test_a_half_answer_and_an_html_page_are_tried_again(portal: Portal) -> None:
    company = portal.insert("companies", {"name": "One"})
    portal.faults.add(Faults.truncate())
    portal.faults.add(Faults.status(200, body=b"<html>", headers={"Content-Type": "text/html"}))
    portal.faults.add(Faults.status(524, times=2))
    assert ids(read(portal.connect(), COMPANIES)[0]) == [company]


def test_an_outage_in_any_window_fails_the_read(portal: Portal) -> None:
    connector = portal.connect()
    _, watermark = read(connector, COMPANIES)
    portal.wait(DAY)
    portal.faults.add(Faults.status(502, times=None, match=is_search))
    with pytest.raises(RetryLater):
        read(connector, COMPANIES, watermark)


# -- cursors


@pytest.mark.parametrize(
    "cursor",
    ['{"part":"fresh","now":1,"marks":null,"at":""}', '{"part":"none","now":1,"marks":null,"at":""}', "[]", "1"],
)
def test_a_cursor_that_was_tampered_with_is_refused(cursor: str) -> None:
    with pytest.raises(CursorExpired):
        place_of(cursor)


def test_instants_and_versions_are_the_portals(portal: Portal) -> None:
    portal.insert("companies", {"name": "One"})
    [record] = read(portal.connect(), COMPANIES)[0]
    assert record.created_at == record.modified_at == portal.moment.astimezone(UTC)
    assert record.version == "2026-03-02T09:00:00.000Z"


def test_a_quiet_object_costs_few_calls(portal: Portal) -> None:
    connector = portal.connect()
    _, watermark = read(connector, COMPANIES)
    for waited, calls in ((HOUR / 4, 2), (2 * HOUR, 4)):  # the time, the fresh lane; later also settled and archived
        portal.wait(waited)
        before = portal.total_requests
        _, watermark = read(connector, COMPANIES, watermark)
        assert portal.total_requests - before == calls
