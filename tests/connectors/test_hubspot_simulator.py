"""The simulated portal refuses what HubSpot refuses, and answers in HubSpot's shapes (as others have recorded them)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from tests.connectors.hubspot_portal import Portal, running

OBJECTS = "/crm/objects/2026-03"


@pytest.fixture
def portal() -> Iterator[Portal]:
    with running() as started:
        yield started


def ask(portal: Portal, method: str, path: str, body: Any = None, token: str = "token-of-tests") -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.request(method, portal.url + path, json=body, headers=headers, timeout=10)


def shape(value: Any) -> Any:
    """Names and types of a JSON value; of a list, those of its elements."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


ERROR = {"status": "str", "message": "str", "correlationId": "str", "category": "str"}
CONTACT = {
    "id": "str", "createdAt": "str", "updatedAt": "str", "archived": "bool",
    "properties": {
        "hs_object_id": "str", "createdate": "str", "lastmodifieddate": "str", "email": "str", "firstname": "str",
    },
}  # fmt: skip


def batch(result: Mapping[str, Any] | None, **more: Any) -> dict[str, Any]:
    listed = [] if result is None else [result]
    return {"status": "str", "startedAt": "str", "completedAt": "str", "results": listed, **more}


def test_a_batch_read_answers_records_as_text(portal: Portal) -> None:
    contact = portal.insert("contacts", {"email": "sam@harbour.example", "firstname": "Sam"})
    body = {"inputs": [{"id": contact}, {"id": "77"}], "properties": ["email", "firstname", "no_such_property"]}
    answer = ask(portal, "POST", f"{OBJECTS}/contacts/batch/read", body)
    assert answer.status_code == 200, "ids that are not there are left out without a word"
    assert shape(answer.json()) == batch(CONTACT)
    by_email = {"inputs": [{"id": "sam@harbour.example"}, {"id": "nobody@harbour.example"}], "idProperty": "email"}
    partial = ask(portal, "POST", f"{OBJECTS}/contacts/batch/read", by_email)
    assert partial.status_code == 207 and partial.json()["errors"][0]["category"] == "OBJECT_NOT_FOUND"


def test_a_conflict_is_told_for_its_row_only_when_rows_are_named(portal: Portal) -> None:
    portal.insert("contacts", {"email": "sam@harbour.example"})
    inputs = [
        {"properties": {"email": "kim@harbour.example", "firstname": "Kim"}, "objectWriteTraceId": "1"},
        {"properties": {"email": "sam@harbour.example", "firstname": "Sam"}, "objectWriteTraceId": "0"},
    ]
    answer = ask(portal, "POST", f"{OBJECTS}/contacts/batch/create", {"inputs": inputs})
    assert answer.status_code == 207
    context = {"objectWriteTraceId": ["str"], "existingId": ["str"]}
    error = {"status": "str", "category": "str", "message": "str", "context": context}
    found = shape(answer.json())
    assert found["errors"] == [error] and found["numErrors"] == "int"
    assert answer.json()["errors"][0]["message"].startswith("Contact already exists. Existing ID: ")
    unnamed = [{"properties": {"email": "sam@harbour.example"}}]
    refused = ask(portal, "POST", f"{OBJECTS}/contacts/batch/create", {"inputs": unnamed})
    assert (refused.status_code, shape(refused.json())) == (409, ERROR)


def test_wrong_values_refuse_the_whole_batch_and_are_all_named(portal: Portal) -> None:
    inputs = [{"properties": {"first": "a", "last": "b"}}, {"properties": {"firstname": "Kim"}}]
    answer = ask(portal, "POST", f"{OBJECTS}/contacts/batch/create", {"inputs": inputs})
    detail = {"message": "str", "code": "str", "context": {"propertyName": ["str"]}}
    assert (answer.status_code, shape(answer.json())) == (400, ERROR | {"errors": [detail]})
    assert [error["code"] for error in answer.json()["errors"]] == ["PROPERTY_DOESNT_EXIST"] * 2
    assert portal.all_rows("contacts") == []


def test_the_same_id_twice_refuses_the_batch(portal: Portal) -> None:
    company = portal.insert("companies", {"name": "One"})
    inputs = [{"id": company, "properties": {"name": name}} for name in ("A", "B")]
    answer = ask(portal, "POST", f"{OBJECTS}/companies/batch/update", {"inputs": inputs})
    assert (answer.status_code, shape(answer.json())) == (400, ERROR | {"context": {"ids": ["str"]}})


def test_associations_in_hubspots_shape(portal: Portal) -> None:
    company = portal.insert("companies", {"name": "One"})
    contacts = [portal.insert("contacts", {}, company=company), portal.insert("contacts", {})]
    body = {"inputs": [{"id": contact} for contact in contacts]}
    answer = ask(portal, "POST", "/crm/associations/2026-03/contacts/companies/batch/read", body)
    link = {"toObjectId": "int", "associationTypes": [{"category": "str", "typeId": "int", "label": "str"}]}
    context = {"fromObjectId": ["str"], "fromObjectType": ["str"], "toObjectType": ["str"]}
    error = {"status": "str", "category": "str", "subCategory": "str", "message": "str", "context": context}
    expected = batch({"from": {"id": "str"}, "to": [link]}, errors=[error], numErrors="int")
    assert (answer.status_code, shape(answer.json())) == (207, expected)
    assert answer.json()["errors"][0]["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"


def test_labelled_associations_are_answered_by_number(portal: Portal) -> None:
    company, contact = portal.insert("companies", {"name": "One"}), portal.insert("contacts", {})
    inputs = [{"from": {"id": contact}, "to": {"id": company}, "types": []}]
    answer = ask(portal, "POST", "/crm/associations/2026-03/contacts/companies/batch/create", {"inputs": inputs})
    ends = {
        "fromObjectTypeId": "str",
        "fromObjectId": "int",
        "toObjectTypeId": "str",
        "toObjectId": "int",
        "labels": [],
    }
    assert (answer.status_code, shape(answer.json())) == (201, batch(ends))


def test_refusals_in_hubspots_shape(portal: Portal) -> None:
    portal.logins.missing_scopes.add("crm.schemas.custom.read")
    scopes = ask(portal, "GET", "/crm-object-schemas/2026-03/schemas")
    context = {"requiredGranularScopes": ["str"], "links": ["str"]}
    assert (scopes.status_code, shape(scopes.json())) == (403, ERROR | {"context": context})
    unknown = ask(portal, "POST", f"{OBJECTS}/butterflies/search", {})
    assert (unknown.status_code, unknown.json()["message"]) == (400, "Unable to infer object type from: butterflies")
    assert "category" not in unknown.json()
    portal.limits.searches = 0
    limited = ask(portal, "POST", f"{OBJECTS}/deals/search", {}).json()
    assert (limited["errorType"], limited["policyName"]) == ("RATE_LIMIT", "SECONDLY")
    stranger = ask(portal, "GET", f"{OBJECTS}/deals", token="of somebody else")
    assert (stranger.status_code, stranger.json()["category"]) == (401, "INVALID_AUTHENTICATION")


def test_a_search_ends_at_10_000_results_and_has_limits(portal: Portal) -> None:
    portal.most_results = 30
    for number in range(35):
        portal.insert("deals", {"dealname": f"Deal {number}"})
    first = ask(portal, "POST", f"{OBJECTS}/deals/search", {"limit": 20}).json()
    assert (first["total"], first["paging"]["next"]["after"]) == (35, "20")
    beyond = ask(portal, "POST", f"{OBJECTS}/deals/search", {"limit": 20, "after": "20"})
    assert beyond.status_code == 400
    one = {"propertyName": "dealname", "operator": "HAS_PROPERTY"}
    for body in (
        {"limit": 201},
        {"filterGroups": [{"filters": [one] * 7}]},
        {"filterGroups": [{"filters": [one]}] * 6},
        {"filterGroups": [{"filters": [one] * 6}] * 4},
        {"filterGroups": [{"filters": [{"propertyName": "dealname", "operator": "LIKE"}]}]},
        {"sorts": ["dealname", "amount"]},
        {"properties": ["x" * 3000]},
        {"where": "x"},
    ):
        assert ask(portal, "POST", f"{OBJECTS}/deals/search", body).status_code == 400, body


@pytest.mark.parametrize(
    ("operator", "more", "found"),
    [
        ("EQ", {"value": "20"}, {"20"}),
        ("NEQ", {"value": "20"}, {"3", "100", None}),
        ("GT", {"value": "3"}, {"20", "100"}),
        ("LTE", {"value": "20"}, {"3", "20"}),
        ("BETWEEN", {"value": "3", "highValue": "20"}, {"3", "20"}),
        ("IN", {"values": ["3", "100"]}, {"3", "100"}),
        ("HAS_PROPERTY", {}, {"3", "20", "100"}),
        ("NOT_HAS_PROPERTY", {}, {None}),
    ],
)
def test_filters_compare_numbers_as_numbers(
    portal: Portal, operator: str, more: dict[str, Any], found: set[str | None]
) -> None:
    for amount in ("3", "20", "100", None):
        portal.insert("deals", {"amount": amount})
    filters = [{"propertyName": "amount", "operator": operator, **more}]
    body = {"filterGroups": [{"filters": filters}], "properties": ["amount"]}
    rows = ask(portal, "POST", f"{OBJECTS}/deals/search", body).json()["results"]
    assert {row["properties"]["amount"] for row in rows} == found


def test_contacts_are_not_found_by_the_name_that_other_objects_use(portal: Portal) -> None:
    portal.insert("contacts", {"firstname": "Sam"})
    filters = [{"propertyName": "hs_lastmodifieddate", "operator": "GT", "value": "0"}]
    answer = ask(portal, "POST", f"{OBJECTS}/contacts/search", {"filterGroups": [{"filters": filters}]})
    assert (answer.status_code, answer.json()["total"]) == (200, 0)


def test_archived_records_are_in_no_search_and_in_a_list_of_their_own(portal: Portal) -> None:
    gone = portal.insert("deals", {"dealname": "Gone"})
    assert ask(portal, "DELETE", f"{OBJECTS}/deals/{gone}").status_code == 204
    assert ask(portal, "POST", f"{OBJECTS}/deals/search", {}).json()["total"] == 0
    assert ask(portal, "GET", f"{OBJECTS}/deals").json()["results"] == []
    assert ask(portal, "GET", f"{OBJECTS}/deals/{gone}").status_code == 404
    [row] = ask(portal, "GET", f"{OBJECTS}/deals?archived=true").json()["results"]
    assert row["id"] == gone and row["archived"] and row["archivedAt"]


def test_a_merge_leaves_a_record_to_which_the_old_ids_lead(portal: Portal) -> None:
    winner, loser = (portal.insert("deals", {"dealname": name, "amount": "1"}) for name in ("Winner", "Loser"))
    body = {"primaryObjectId": winner, "objectIdToMerge": loser}
    left = ask(portal, "POST", f"{OBJECTS}/deals/merge", body).json()["id"]
    for old in (winner, loser):
        answer = ask(portal, "GET", f"{OBJECTS}/deals/{old}?properties=dealname,hs_merged_object_ids").json()
        assert (answer["id"], answer["properties"]["dealname"]) == (left, "Winner")
        assert set(answer["properties"]["hs_merged_object_ids"].split(";")) == {winner, loser}


def test_the_index_lags_and_lists_do_not(portal: Portal) -> None:
    portal.rows.index_lag_seconds = 60
    portal.insert("deals", {"dealname": "New"})
    assert ask(portal, "POST", f"{OBJECTS}/deals/search", {}).json()["total"] == 0
    assert len(ask(portal, "GET", f"{OBJECTS}/deals").json()["results"]) == 1
    portal.wait(60)
    assert ask(portal, "POST", f"{OBJECTS}/deals/search", {}).json()["total"] == 1


def test_limits_are_told_but_not_by_searches(portal: Portal) -> None:
    portal.limits.burst = 3
    listing = ask(portal, "GET", f"{OBJECTS}/deals")
    assert listing.headers["X-HubSpot-RateLimit-Daily-Remaining"] == str(portal.limits.daily - 1)
    assert listing.headers["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"
    search = ask(portal, "POST", f"{OBJECTS}/deals/search", {})
    assert not [name for name in search.headers if name.lower().startswith("x-hubspot-ratelimit")]
    ask(portal, "GET", f"{OBJECTS}/deals")
    assert ask(portal, "GET", f"{OBJECTS}/deals").json()["policyName"] == "TEN_SECONDLY_ROLLING"
    portal.wait(10)
    assert ask(portal, "GET", f"{OBJECTS}/deals").status_code == 200


def test_hubspot_ids_are_no_property_to_upsert_by(portal: Portal) -> None:
    inputs = [{"id": "1", "idProperty": "hs_object_id", "properties": {}}]
    answer = ask(portal, "POST", f"{OBJECTS}/companies/batch/upsert", {"inputs": inputs})
    assert answer.status_code == 400 and "non-unique" in answer.json()["message"]


@pytest.mark.parametrize("path", ["/crm/objects/2019-03/deals", "/crm/v1/objects/deals", "/contacts/v1/lists", "/"])
def test_retired_versions_and_paths_are_no_api(portal: Portal, path: str) -> None:
    answer = ask(portal, "GET", path)
    assert answer.status_code == 404 and "html" in answer.headers["Content-Type"]


def test_the_same_seed_gives_the_same_companies(portal: Portal) -> None:
    first = portal.seed(7, 40)
    with running() as other:
        assert other.seed(7, 40) == first
        assert other.all_rows("companies") == portal.all_rows("companies")
