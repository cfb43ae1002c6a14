"""Records as the rules see them: read, arranged and turned into views as `referee settle` does it."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import orjson

from rules.facts import View, read_facts, timelines
from rules.program import Program
from rules.records import RECORDS

Seen = dict[str, dict[str, list[View[Any]]]]


def seen(program: Program, records: Iterable[dict[str, Any]], as_of: str) -> Seen:
    """The views of all records by type and id, as known at the end of a local date."""
    facts, rejected = read_facts((orjson.dumps(record) for record in records), file="records.jsonl")
    assert not rejected, [str(bad) for bad in rejected]
    until = program.calendar.end_of(date.fromisoformat(as_of))
    return {kind: timelines(facts.of(kind), program.calendar, until) for kind in RECORDS}


def partner(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "partner", "id": name, "name": f"{name} Partners", **fields}


def enrollment(program: Program, partner: str, starts_on: str = "2026-01-01", **fields: Any) -> dict[str, Any]:
    body = {"type": "enrollment", "id": f"e-{partner}", "partner": partner, "program": program.id}
    return {**body, "starts_on": starts_on, **fields}
