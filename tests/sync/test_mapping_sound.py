"""Facts of the shipped mappings are sound whatever the records hold, also where they are not validated one by one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Record
from rules.records import check
from sync.mapping import load_mapping
from sync.object_maps import ObjectMap
from sync.payloads import fact_json

CONNECTORS = Path(__file__).parents[2] / "connectors"
OBJECTS = [
    found
    for path in sorted(CONNECTORS.glob("*/mapping.yaml"))
    for found in load_mapping(path).objects
    if any(plan.needed_only is not None for plan in found.records)
]
"""Those whose facts are not all validated one by one."""

TEXTS = st.sampled_from(
    ["", " ", "0", "1", "-1", "12.50", "1.123456789", "9" * 40, "AUD", "aud", "good", "portal", "crm", "once", "saas",
     "customer", "approved", "billing;support", "2026-03-01", "0001-01-01", "9999-12-31T23:59:59.999-0100",
     "2026-02-30", "2026-02-30T10:00:00Z", "2026-03-01T10:00:00.000+0000", "2026-03-01T10:00:00.120+1000",
     "example.com", "a@Example.com", "true", "F", "{}", "[1]", '{"a": true}', "x" * 255, "x" * 256, "\ud800", "\x00"]
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | TEXTS
    | st.text(max_size=8)
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals(places=2)
    | st.just(Decimal("1E+20")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


class Anything:
    """A store in which every record is found, with the same fields."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields

    def get(self, kind: str, external_id: str) -> Mapping[str, Any] | None:
        return self.fields


SOUND: dict[str, Any] = {
    "text": "x", "date": "2026-03-01", "instant": "2026-03-01T10:00:00Z", "money": "1.00", "decimal": "0.1",
    "currency": "AUD", "integer": 1, "boolean": True, "any": "1",
}  # fmt: skip


def sound(plan: ObjectMap) -> dict[str, Any]:
    """Fields that give facts, by what the mapping makes of each."""
    found: dict[str, Any] = dict.fromkeys(plan.query.fields, "1")
    for use in plan.uses:
        words = use.values or use.shape.values
        found[use.path] = words[0] if words else SOUND.get(use.shape.kind)
    return found


@st.composite
def records(draw: st.DrawFn, plan: ObjectMap) -> Record:
    """A record with sound fields, but for a few."""
    fields = sound(plan) | draw(st.dictionaries(st.sampled_from(plan.query.fields), VALUES, max_size=4))
    external_id = draw(st.sampled_from(["001", "002", "003", "", "x" * 255, "x" * 256, "\ud800"]))
    return Record(plan.kind, external_id, "1", fields, created_at=datetime(2026, 3, 1, tzinfo=UTC))


@settings(max_examples=300)
@given(st.data(), st.sampled_from(OBJECTS))
def test_every_fact_is_one_that_the_rules_take(data: st.DataObject, plan: ObjectMap) -> None:
    record = data.draw(records(plan))
    [found] = plan.facts([record], Anything(record.fields))
    for fact, written in zip(found.facts, found.bodies, strict=True):
        check(fact)
        assert written == fact_json(fact)
