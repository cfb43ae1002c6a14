"""Records: what is taken, what is refused, and whether the refusal tells a person what to do."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
import pytest

from rules.errors import RecordError
from rules.facts import read_facts
from rules.records import RECORDS, parse

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
