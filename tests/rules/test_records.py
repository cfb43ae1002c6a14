"""Records: what is taken, what is refused, and whether the refusal tells a person what to do."""

import json
import random
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
import pytest

from rules.errors import RecordError
from rules.facts import read_facts
from rules.program import SHIPPED
from rules.records import RECORDS, parse
from rules.repeated_keys import check_repeated_keys
from tests.jobs.histories import history_of

CORPUS = [
    json.loads(line) for line in (Path(__file__).parent / "bad" / "records.jsonl").read_text("utf-8").splitlines()
]
GOOD: list[dict[str, Any]] = [
    {"type": "partner", "id": "p1", "name": "Alder"},
    {"type": "account", "id": "a1", "name": "Dune"},
    {"type": "invoice", "id": "i1", "account": "a1", "issued_on": "2026-01-01", "currency": "AUD", "lines": [{"kind": "saas", "amount": "10.00"}]},
    {"type": "payment", "id": "y1", "invoice": "i1", "received_on": "2026-01-02", "amount": "10.00", "currency": "AUD"},
    {"type": "referral", "id": "r1", "program": "next-technik", "partner": "p1", "submitted_at": "2026-01-01T09:00:00Z", "channel": "portal", "company": "Dune"},
]  # fmt: skip


@pytest.mark.parametrize("case", CORPUS, ids=[case["name"] for case in CORPUS])
def test_a_bad_record_is_told_by_line_field_what_was_found_and_what_is_allowed(case: dict[str, Any]) -> None:
    lines: list[bytes | str] = [orjson.dumps(row) for row in GOOD]
    lines += [line if isinstance(line, str) else json.dumps(line) for line in case["lines"]]
    _, rejected = read_facts(lines, file="facts.jsonl")
    assert len(rejected) == 1, [str(bad) for bad in rejected]
    bad = rejected[0]
    assert bad.line == len(GOOD) + case.get("line", len(case["lines"]))
    assert bad.field == case["field"]
    assert case["found"] in bad.found
    assert case["allowed"] in bad.allowed
    assert str(bad).startswith(f"facts.jsonl:{bad.line}")


def test_the_corpus_is_worth_its_name() -> None:
    assert len(CORPUS) >= 60
    assert len({case["name"] for case in CORPUS}) == len(CORPUS)


STYLES = [(",", ":"), (", ", ": "), (" , ", " : ")]


def written(value: Any, style: tuple[str, str], twice: str | None = None, path: str = "") -> str:
    """A value as JSON, with the name at the place ``twice`` standing twice."""
    comma, colon = style
    if isinstance(value, dict):
        parts = [
            (json.dumps(name) + colon + written(inner, style, twice, f"{path}{name}."), f"{path}{name}" == twice)
            for name, inner in value.items()
        ]
        return "{" + comma.join(part for part, again in parts for _ in range(1 + again)) + "}"
    if isinstance(value, list):
        return (
            "[" + comma.join(written(one, style, twice, f"{path}{number}.") for number, one in enumerate(value)) + "]"
        )
    return json.dumps(value)


def places(value: Any, path: str = "") -> list[str]:
    """The places of all names in a record and its objects."""
    if isinstance(value, dict):
        own = [f"{path}{name}" for name in value]
        return own + [place for name, inner in value.items() for place in places(inner, f"{path}{name}.")]
    if isinstance(value, list):
        return [place for number, one in enumerate(value) for place in places(one, f"{path}{number}.")]
    return []


@pytest.mark.parametrize("style", STYLES, ids=["close", "as json.dumps does", "wide"])
@pytest.mark.parametrize("program", SHIPPED)
def test_a_name_that_stands_twice_is_told_wherever_it_stands_and_nothing_else_is(
    program: str, style: tuple[str, str]
) -> None:
    rows = list(history_of(program, 5))
    nothing = [{**row, "known_at": row.get("known_at")} for row in rows]
    for some in (rows, nothing):
        assert read_facts([written(row, style) for row in some], file="facts.jsonl")[1] == []
    for number, row in enumerate(rows):
        place = random.Random(number).choice(places(row))
        with pytest.raises(RecordError) as told:
            check_repeated_keys(line := written(row, style, twice=place), parse(line))
        assert told.value.field == place and " and " in told.value.found
        name = json.dumps(place.rpartition(".")[2])
        mixed = line.replace(f"{name}{style[1]}", f"{name} :", 1)
        with pytest.raises(RecordError, match="and"):
            check_repeated_keys(mixed, parse(mixed))


@pytest.mark.parametrize("row", GOOD, ids=lambda row: row["type"])
def test_every_field_is_known_by_name_and_others_are_refused(row: dict[str, Any]) -> None:
    parse(orjson.dumps(row))
    with pytest.raises(RecordError, match="colour"):
        parse(orjson.dumps({**row, "colour": "red"}))


def test_free_fields_live_in_details() -> None:
    fact = parse(orjson.dumps({**GOOD[4], "details": {"anything": [1, {"deep": None}]}}))
    assert fact.details == {"anything": [1, {"deep": None}]}  # type: ignore[union-attr]


def test_an_instant_may_be_written_with_any_offset() -> None:
    utc = parse(orjson.dumps({**GOOD[4], "submitted_at": "2026-01-01T09:00:00Z"}))
    local = parse(orjson.dumps({**GOOD[4], "submitted_at": "2026-01-01T20:00:00+11:00"}))
    assert utc.submitted_at == local.submitted_at  # type: ignore[union-attr]


def test_the_documentation_names_every_type_and_field() -> None:
    text = (Path(__file__).parents[2] / "docs" / "records.md").read_text("utf-8").partition("\n## Outcome")[0]
    sections = {part.split("`")[0]: part for part in text.split("\n### `")[1:]}
    assert set(sections) == set(RECORDS)
    for name, model in RECORDS.items():
        documented = {line.split("`")[1] for line in sections[name].splitlines() if line.startswith("| `")}
        assert documented == {each.name for each in fields(model)} - {"type", "id", "known_at", "deleted"}, name
