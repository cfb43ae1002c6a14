"""Describing a Salesforce org: many objects are one call of the day, and what is told of each is the same."""

from __future__ import annotations

from connectors.base import Usage, descriptions
from tests.connectors.salesforce_org import running

KINDS = ["Account", "Contact", "Lead", "Opportunity", "Contract", "Case", "Gone__c", "Commission__c"]


def test_many_objects_are_one_call_and_the_same_as_one_by_one() -> None:
    with running() as org:
        org.hide("Lead", "Industry")
        together, alone = org.connect(), org.connect()
        together.usage()  # logs in
        calls = together.http.calls
        seen = descriptions(together, [*KINDS, *KINDS])
        assert seen == {kind: alone.describe(kind) for kind in KINDS}
        assert seen["Gone__c"] is None
        assert together.http.calls - calls == 1
        assert org.requests["POST", "composite"] == 1


def test_more_objects_than_one_request_takes() -> None:
    with running() as org:
        connector = org.connect()
        kinds = ["Account", *(f"Gone{number}__c" for number in range(25))]
        seen = descriptions(connector, kinds)
        assert [kind for kind, found in seen.items() if found] == ["Account"]
        assert org.requests["POST", "composite"] == 2


def test_a_part_that_fails_for_another_reason_is_asked_for_alone() -> None:
    """What the org cannot tell just now is not taken for gone."""
    with running() as org:
        org.faults.add(org.error(500, "UNKNOWN_EXCEPTION", "busy", match=lambda request: "Contact" in request.path))
        seen = descriptions(org.connect(), ["Account", "Contact"])
        assert None not in seen.values()
        assert org.requests["GET", "sobjects/Contact/describe"] == 1


def test_the_usage_is_what_the_last_answer_said() -> None:
    with running() as org:
        org.requests_used = 100
        connector = org.connect()
        connector.describe("Account")
        assert connector.usage() == Usage(101, org.daily_requests)
        assert org.requests["GET", "limits"] == 0
