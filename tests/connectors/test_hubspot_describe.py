"""What HubSpot says of itself: properties with their types and rules, custom objects, calls of the day."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.base import Usage
from connectors.errors import NeedsOperator
from connectors.simulation import Faults
from tests.connectors.hubspot_portal import Portal, running


@pytest.fixture
def portal() -> Iterator[Portal]:
    with running() as started:
        yield started


def test_properties_come_with_their_types_and_rules(portal: Portal) -> None:
    description = portal.connect().describe("p_commission")
    assert description is not None and description.label == "Commissions"
    fields = description.fields
    assert {name: fields[name].type for name in ("amount", "rate", "due_on", "kind", "because", "hs_object_id")} == {
        "amount": "money", "rate": "decimal", "due_on": "date", "kind": "picklist", "because": "string",
        "hs_object_id": "id",
    }  # fmt: skip
    key = fields["sync_key"]
    assert (key.unique, key.external_id, key.required, key.length) == (True, True, True, 65_536)
    assert fields["state"].values == ("accrued", "held", "payable", "stated", "paid")
    assert not fields["hs_createdate"].updatable and fields["hubspot_owner_id"].type == "reference"
    assert fields["associations.companies"].references == ("companies",)


def test_custom_objects_go_by_their_name_without_the_portals_number(portal: Portal) -> None:
    kinds = portal.connect().kinds()
    assert {"companies", "deals", "p_commission", "p_referral"} <= set(kinds)


def test_without_the_scope_for_definitions_standard_objects_remain(portal: Portal) -> None:
    portal.logins.missing_scopes.add("crm.schemas.custom.read")
    connector = portal.connect()
    assert not [kind for kind in connector.kinds() if kind.startswith("p_")]
    description = connector.describe("p_commission")
    assert description is not None and not description.fields["sync_key"].required


def test_each_object_is_asked_about_once(portal: Portal) -> None:
    connector = portal.connect()
    for _ in range(3):
        connector.describe("deals")
        connector.describe("no_such_object")
    assert portal.total_requests == 2


def test_hidden_options_are_no_values(portal: Portal) -> None:
    listed = [
        {"name": "stage", "label": "Stage", "type": "enumeration", "fieldType": "select", "hasUniqueValue": False,
         "options": [{"label": "A", "value": "a", "hidden": False}, {"label": "B", "value": "b", "hidden": True}]},
        {"name": "calculated", "label": "", "type": "number", "fieldType": "calculation", "calculated": True},
    ]  # fmt: skip
    portal.faults.add(Faults.status(200, body={"results": listed}))
    description = portal.connect().describe("deals")
    assert description is not None
    assert description.fields["stage"].values == ("a",)
    assert (description.fields["calculated"].updatable, description.fields["calculated"].label) == (False, "calculated")


def test_usage_is_what_the_portal_counts_and_unknown_where_it_does_not_say(portal: Portal) -> None:
    connector = portal.connect()
    connector.kinds()
    assert connector.usage() == Usage(2, 650_000)
    portal.faults.add(Faults.status(403, body={"status": "error", "category": "OTHER"}))
    assert connector.usage() == Usage(None, None)
    portal.logins.tokens.clear()
    with pytest.raises(NeedsOperator):
        connector.usage()
