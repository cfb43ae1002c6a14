"""Mistakes that well-known HubSpot connectors made, one test each (API-40 to API-55): none of them is ours."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from connectors.base import Change, Query, Record
from connectors.errors import NeedsOperator
from connectors.hubspot.config import HubSpotConfig
from connectors.hubspot.simulator.answers import Refusal
from connectors.hubspot.simulator.logins import LIFE_SECONDS
from connectors.hubspot.simulator.schema import text
from connectors.hubspot.simulator.server import LONGEST_ADDRESS
from connectors.registry import load
from connectors.simulation import Faults, SimRequest
from sync.mapping import load_mapping
from tests.connectors.hubspot_portal import OAUTH, TOKEN, Portal, read, running

COMPANIES = Query("companies", ("name",))
DEALS = Query("deals", ("dealname", "associations.companies"))
HOUR, DAY = 3600, 86_400


@pytest.fixture
def portal() -> Iterator[Portal]:
    with running() as started:
        yield started


def ids(records: list[Record]) -> list[str]:
    return [record.external_id for record in records]


def paths(portal: Portal) -> list[str]:
    """The paths of all requests from now on."""
    seen: list[str] = []

    def note(request: SimRequest) -> bool:
        seen.append(request.path)
        return False

    portal.faults.add(Faults.status(500, times=None, match=note))
    return seen


def commission(key: str, **fields: object) -> Change:
    return Change("p_commission", "sync_key", key, {"state": "accrued", **fields})


def test_api_40_more_results_than_a_search_gives_are_all_read(portal: Portal) -> None:
    portal.most_results = 20
    connector = portal.connect(page_size=10)
    _, mark = read(connector, COMPANIES)
    made = []
    for number in range(45):
        made.append(portal.insert("companies", {"name": f"Bulk {number}"}))
        portal.wait(0.01)
    portal.wait(DAY)
    assert ids(read(connector, COMPANIES, mark)[0]) == made


def test_api_41_more_results_of_one_instant_than_a_search_gives_end(portal: Portal) -> None:
    portal.most_results = 20
    connector = portal.connect(page_size=10)
    _, mark = read(connector, COMPANIES)
    made = [portal.insert("companies", {"name": f"Bulk {number}"}) for number in range(45)]
    portal.wait(DAY)
    assert ids(read(connector, COMPANIES, mark)[0]) == made


def test_api_42_what_the_index_shows_late_is_found_by_a_later_look(portal: Portal) -> None:
    connector = portal.connect()
    _, mark = read(connector, COMPANIES)
    portal.rows.index_lag_seconds = 50 * 60
    late = portal.insert("companies", {"name": "Late"})
    came: list[str] = []
    for _ in range(8):
        portal.wait(HOUR / 4)
        records, mark = read(connector, COMPANIES, mark)
        came += ids(records)
    assert late in came


def test_api_43_no_endpoint_of_recent_changes_is_called(portal: Portal) -> None:
    seen = paths(portal)
    portal.insert("companies", {"name": "One"})
    _, mark = read(portal.connect(), COMPANIES)
    portal.wait(DAY)
    read(portal.connect(), COMPANIES, mark)
    assert seen and not [path for path in seen if "recent" in path]


def test_api_44_archived_records_come_once(portal: Portal) -> None:
    connector = portal.connect()
    company = portal.insert("companies", {"name": "Gone"})
    _, mark = read(connector, COMPANIES)
    portal.archive("companies", company)
    came: list[tuple[str, bool]] = []
    for _ in range(8):
        portal.wait(HOUR)
        records, mark = read(connector, COMPANIES, mark)
        came += [(record.external_id, record.deleted) for record in records]
    assert came == [(company, True)]


def test_api_45_merged_records_lead_to_the_one_that_is_left(portal: Portal) -> None:
    connector = portal.connect()
    one, other = (portal.insert("companies", {"name": name}) for name in ("One", "Other"))
    _, mark = read(connector, COMPANIES)
    winner = portal.merge("companies", one, other)
    portal.wait(2 * HOUR)
    found = {record.external_id: record for record in read(connector, COMPANIES, mark)[0]}
    losers = {one, other} - {winner}
    assert losers and all(found[loser].merged_into == winner for loser in losers)


def test_api_46_contacts_are_found_under_their_own_stamp(portal: Portal) -> None:
    contacts = Query("contacts", ("jobtitle",))
    connector = portal.connect()
    _, mark = read(connector, contacts)
    portal.wait(HOUR)
    made = portal.insert("contacts", {"jobtitle": "Engineer"})
    portal.wait(HOUR)
    assert ids(read(connector, contacts, mark)[0]) == [made]


def test_api_47_any_number_of_properties_is_read_whole(portal: Portal) -> None:
    names = [f"property_{number:03d}_{'x' * 60}" for number in range(300)]
    for name in names:
        portal.add_property("companies", text(name))
    portal.insert("companies", dict.fromkeys(names, "there"))
    [record] = read(portal.connect(), Query("companies", tuple(names)))[0]
    assert record.fields == dict.fromkeys(names, "there")
    assert sum(map(len, names)) > LONGEST_ADDRESS


def test_api_48_a_page_of_associations_is_whole_for_every_record(portal: Portal) -> None:
    companies = [portal.insert("companies", {"name": f"C{number}"}) for number in range(12)]
    deals = [portal.insert("deals", {"dealname": f"D{number}"}, company) for number, company in enumerate(companies)]
    records, _ = read(portal.connect(page_size=5), DEALS)
    found = {record.external_id: record.fields["associations.companies"] for record in records}
    assert found == dict(zip(deals, companies, strict=True))
    portal.associations.page_size = 2  # of the links of one record
    more = [portal.insert("deals", {"dealname": f"M{number}"}, companies[0]) for number in range(5)]
    [company] = portal.connect().fetch("companies", ("associations.deals",), [companies[0]])
    assert company.fields["associations.deals"] == [deals[0], *more]


def test_api_49_the_size_of_a_batch_is_a_setting_and_never_above_a_hundred(portal: Portal) -> None:
    sizes: list[int] = []

    def note(request: SimRequest) -> bool:
        if "/batch/" in request.path:
            sizes.append(len(json.loads(request.body)["inputs"]))
        return False

    portal.faults.add(Faults.status(500, times=None, match=note))
    portal.connect().write([commission(f"k{number}") for number in range(230)])
    assert max(sizes) == 100
    sizes.clear()
    portal.connect(write_size=20).write([commission(f"n{number}") for number in range(50)])
    assert max(sizes) == 20
    with pytest.raises(ValidationError):
        HubSpotConfig.model_validate({**TOKEN, "write_size": 101})


def test_api_50_a_write_that_changed_nothing_is_not_called_done(portal: Portal) -> None:
    (missing,) = portal.connect().write([Change("contacts", None, "ann@harbour.example", {"jobtitle": "x"})])
    assert missing.state == "rejected"
    empty = {"status": "COMPLETE", "results": [], "startedAt": "2026-03-02T09:00:00Z", "completedAt": "2026-03-02T09:00:00Z"}  # fmt: skip
    portal.faults.add(Faults.status(200, body=empty, match=lambda request: "/batch/" in request.path))
    (unproven,) = portal.connect().write([commission("k1")])
    assert unproven.state == "unknown"


def test_api_51_two_equal_keys_in_one_batch_fail_nobody(portal: Portal) -> None:
    changes = [commission("k1"), commission("k2"), commission("k1", state="paid")]
    before = portal.total_requests
    assert [result.state for result in portal.connect().write(changes)] == ["done"] * 3
    assert portal.total_requests - before == 2, "none was refused, and halved, to get there"
    states = {row["sync_key"]: row["state"] for row in portal.all_rows("commission")}
    assert states == {"k1": "paid", "k2": "accrued"}


def test_api_52_records_are_keyed_by_our_own_property_never_by_an_address(portal: Portal) -> None:
    shipped = load("hubspot").mapping
    assert shipped is not None
    for part in load_mapping(shipped).writes:
        assert part.key_field is None or "email" not in part.key_field
        assert "email" not in [field.name for field in part.fields if part.object == "contacts"]


def test_api_53_ids_that_a_batch_leaves_out_are_noticed(portal: Portal) -> None:
    connector = portal.connect()
    _, mark = read(connector, COMPANIES)
    portal.wait(HOUR)
    kept, gone = (portal.insert("companies", {"name": name}) for name in ("Kept", "Gone"))
    portal.wait(HOUR / 2)
    portal.rows.index_lag_seconds = DAY  # the index still shows what the database has archived
    portal.archive("companies", gone)
    came: dict[str, bool] = {}
    for _ in range(4):
        portal.wait(HOUR / 2)
        records, mark = read(connector, COMPANIES, mark)
        came |= {record.external_id: record.deleted for record in records}
    assert came.get(kept, False) is False
    assert came[gone] is True


def test_api_54_the_version_of_the_api_is_a_setting(portal: Portal) -> None:
    seen = paths(portal)
    read(portal.connect(), COMPANIES)
    assert [path for path in seen if "2026-03" in path]
    assert not [path for path in seen if "/crm/v3" in path]
    with pytest.raises(NeedsOperator, match="api_version"):
        read(portal.connect(api_version="2019-03"), COMPANIES)


def test_api_55_a_token_that_ends_while_waiting_is_renewed_for_the_next_attempt(portal: Portal) -> None:
    portal.insert("companies", {"name": "One"})
    connector = portal.connect(**OAUTH)
    read(connector, COMPANIES)
    portal.wait(LIFE_SECONDS - 100)
    refused: list[str] = []

    def note(request: SimRequest) -> bool:
        try:
            portal.logins.accept(request.headers.get("Authorization", "")) if "token" not in request.path else None
        except Refusal as refusal:
            refused.append(str(refusal))
        return False

    portal.faults.add(Faults.status(500, times=None, match=note))
    portal.faults.add(portal.limited("TEN_SECONDLY_ROLLING", times=12, match=lambda r: "token" not in r.path))
    assert len(read(connector, COMPANIES)[0]) == 1
    assert sum(portal.waits) > 100 and portal.logins.tokens_made == 2
    assert refused == [], "each attempt has a token of its own time; no 401 is needed to learn that it ended"
