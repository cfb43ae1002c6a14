"""Webhooks give hints only when HubSpot signed them, lately, for this address; hints name records and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import Hint, Posted
from connectors.errors import HintRefused
from connectors.hubspot.webhooks import hints, signature
from tests.connectors.hubspot_portal import OAUTH, running

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECRET = "client-secret-of-tests"
SECRET_OF_PORTAL = OAUTH["client_secret"]
ADDRESS = "https://referee.example/hooks/hubspot?portal=40400400"
DELETED = {"eventId": 1, "subscriptionType": "contact.deletion", "objectId": 501, "occurredAt": 1772442000000}


def posted(events: Any, *, at: datetime = NOW, secret: str = SECRET, address: str = ADDRESS) -> Posted:
    """A request as HubSpot would post it."""
    body, stamp = json.dumps(events).encode(), str(int(at.timestamp() * 1000))
    headers = {
        "X-HubSpot-Signature-v3": signature(secret, "POST", address, body, stamp),
        "X-HubSpot-Request-Timestamp": stamp,
    }
    return Posted("POST", address, headers, body)


def test_a_signed_request_names_records() -> None:
    assert hints(SECRET, posted([DELETED, DELETED]), NOW) == (Hint("contacts", "501", NOW),)


def test_of_several_events_of_a_record_the_latest_time_stays() -> None:
    events = [{**DELETED, "occurredAt": DELETED["occurredAt"] + later} for later in (0, 7000, 3000)]
    assert hints(SECRET, posted(events), NOW) == (Hint("contacts", "501", NOW + timedelta(seconds=7)),)


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({"subscriptionType": "object.propertyChange", "objectTypeId": "2-106", "objectId": 7}, {("2-106", "7")}),
        ({"subscriptionType": "object.creation", "objectTypeId": "0-3", "objectId": "8"}, {("deals", "8")}),
        (
            {"subscriptionType": "company.merge", "primaryObjectId": 1, "mergedObjectIds": [1, 2], "newObjectId": 3},
            {("companies", "1"), ("companies", "2"), ("companies", "3")},
        ),
        (
            {"subscriptionType": "object.associationChange", "fromObjectTypeId": "0-3", "fromObjectId": 4,
             "toObjectTypeId": "0-2", "toObjectId": 5},
            {("deals", "4"), ("companies", "5")},
        ),
        ({"subscriptionType": "conversation.creation", "objectId": 9}, set()),
        ({"subscriptionType": "deal.creation", "objectId": "not a number"}, set()),
    ],
)  # fmt: skip
def test_every_record_that_an_event_is_about_is_named(event: dict[str, Any], named: set[tuple[str, str]]) -> None:
    assert {(hint.kind, hint.external_id) for hint in hints(SECRET, posted([event]), NOW)} == named


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"headers": {}}, "without a signature"),
        ({"body": b"[]"}, "signature does not fit"),
        ({"method": "PUT"}, "signature does not fit"),
        ({"uri": ADDRESS.replace("https", "http")}, "signature does not fit"),
        ({"now": NOW + timedelta(minutes=5, seconds=1)}, "5 minutes"),
        ({"now": NOW - timedelta(minutes=5, seconds=1)}, "5 minutes"),
    ],
)
def test_anything_else_is_refused(change: dict[str, Any], why: str) -> None:
    now = change.pop("now", NOW)
    with pytest.raises(HintRefused, match=why):
        hints(SECRET, replace(posted([DELETED]), **change), now)


@pytest.mark.parametrize("stamp", ["", "soon", "9" * 14, "-1", "1772442000000.5", "١٧٧٢٤٤٢٠٠٠٠٠٠"])
def test_a_time_that_is_none_is_refused(stamp: str) -> None:
    request = posted([DELETED])
    headers = {**request.headers, "X-HubSpot-Request-Timestamp": stamp}
    with pytest.raises(HintRefused):
        hints(SECRET, replace(request, headers=headers), NOW)


def test_another_apps_secret_does_not_fit() -> None:
    with pytest.raises(HintRefused, match="client secret"):
        hints(SECRET, posted([DELETED], secret="another"), NOW)


def test_a_body_that_is_no_list_is_refused() -> None:
    with pytest.raises(HintRefused, match="no list"):
        hints(SECRET, posted(DELETED), NOW)


def test_headers_are_found_in_any_case_and_five_minutes_are_not_too_old() -> None:
    request = posted([DELETED], at=NOW - timedelta(minutes=5))
    request = replace(request, headers={name.lower(): value for name, value in request.headers.items()})
    assert len(hints(SECRET, request, NOW)) == 1


def test_signs_that_hubspot_signs_decoded_may_arrive_encoded() -> None:
    plain = "https://referee.example/hooks?note=a:b/c@d"
    request = posted([DELETED], address=plain)
    assert hints(SECRET, replace(request, uri="https://referee.example/hooks?note=a%3Ab%2fc%40d"), NOW)


def test_what_a_portal_posts_names_every_record_that_changed() -> None:
    with running() as portal:
        kept, gone, loser, winner = (portal.insert("deals", {"dealname": f"Deal {number}"}) for number in range(4))
        commission = portal.insert("commission", {"sync_key": "k1"})
        portal.webhooks.posted(ADDRESS)
        portal.update("deals", kept, {"amount": "5"})
        portal.archive("deals", gone)
        left = portal.merge("deals", winner, loser)
        portal.update("commission", commission, {"state": "paid"})
        [request] = portal.webhooks.posted(ADDRESS)
        found = hints(SECRET_OF_PORTAL, request, portal.moment)
        named = {(hint.kind, hint.external_id) for hint in found}
        assert named == {("deals", key) for key in (kept, gone, loser, winner, left)} | {("2-106", commission)}
        assert len(found) == len(set(found)), "events that came twice are one hint"
        assert portal.webhooks.posted(ADDRESS) == []


def test_many_events_come_in_requests_of_a_hundred() -> None:
    with running() as portal:
        made = {portal.insert("deals", {"dealname": f"Deal {number}"}) for number in range(250)}
        requests = portal.webhooks.posted(ADDRESS)
        assert len(requests) == 3 and all(len(json.loads(request.body)) <= 100 for request in requests)
        found = [
            hint
            for request in requests
            for hint in hints(SECRET_OF_PORTAL, request, portal.moment)
        ]  # fmt: skip
        assert {hint.external_id for hint in found} == made
