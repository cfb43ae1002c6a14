"""Every row of an outcome can be explained down to the records, terms and clauses behind it (G-8)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.derivation.html import as_html
from jobs.derivation.mermaid import as_mermaid
from jobs.derivation.sources import Sources, from_facts
from jobs.derivation.text import as_text
from jobs.derivation.tree import Derivations, Node
from jobs.problems import UserError
from jobs.scenarios import FOLDER, load_scenario, scenario_files
from jobs.settle import outcome, settle
from rules.facts import read_facts
from rules.program import load_program

CREDIT = FOLDER / "next-technik" / "e03_credit_after_statement.yaml"
ENTRY = "next-technik:r1:commission:payment:pay1:1"


def nodes(tree: Node) -> Iterator[Node]:
    yield tree
    for each in tree.stands_on:
        yield from nodes(each)


def derivations(path: Path, number: int = -1, day: date | None = None) -> Iterator[tuple[str, dict[str, Any], Node]]:
    """Every row at the last step of a scenario, or at another one or day, with its tree."""
    scenario = load_scenario(path)
    step = scenario.steps[number]
    as_of = day or step.as_of
    facts, _ = read_facts([json.dumps(row) for row in scenario.records], file="x")
    program = load_program(scenario.program).changed({**scenario.settings, **step.set})
    (settled,) = settle([program], facts, as_of)
    document = outcome([settled], as_of)
    made = Derivations(program, document, Sources(from_facts(facts, program.calendar, as_of)), settled.ledger.entries)
    for name in ("claims", "entries", "statements", "tiers", "support", "tasks"):
        for row in document[name]:
            yield name, row, made.of(name, row)


@pytest.mark.parametrize("path", scenario_files(), ids=lambda path: path.stem)
def test_every_row_of_every_scenario_has_a_derivation_that_says_what_the_row_says(path: Path) -> None:
    for name, row, tree in derivations(path):
        told = as_text([tree])
        assert all(str(row[field]) in told for field in ("because", "reason", "state", "amount") if row.get(field)), (
            name
        )
        clauses = {node.title for node in nodes(tree) if node.kind == "clause"}
        assert {*row.get("clauses", ()), *row.get("failed", ())} <= clauses
        if name == "entries":
            kind, identity = row["source"]["type"], row["source"]["id"]
            source = f"{kind} {identity}, version " if kind != "timer" else f"timer {identity}"
            assert any(node.title.startswith(source) for node in nodes(tree)), source
            (formula, *_) = (node for node in tree.stands_on if node.kind == "formula")
            amounts = [Decimal(text) for text in re.findall(r"-?\d+\.?\d*", formula.says)]
            assert Decimal(row["amount"]) in amounts or row["rate"] is None


def test_a_correction_and_its_original_lead_to_one_another() -> None:
    trees = {row["key"]: tree for name, row, tree in derivations(CREDIT) if name == "entries"}
    original, correction = trees[ENTRY], trees["next-technik:r1:reversal:credit_note:cn1:1"]
    (back,) = (node for node in correction.stands_on if node.title == "corrects")
    (forth,) = (node for node in original.stands_on if node.title == "corrected by")
    assert ENTRY in back.stands_on[0].title
    assert "credit_note:cn1" in forth.stands_on[0].title
    assert any(node.title == "-200.00 AUD x 10% = -20" for node in nodes(correction))


def test_what_no_statement_holds_yet_says_which_one_will() -> None:
    """A quarterly customer's payment is stated at the end of the quarter (NT-18)."""
    path = FOLDER / "next-technik" / "nt_18_quarterly_customer.yaml"
    key = "next-technik:r1:commission:payment:inside:1"
    (tree,) = (tree for _, row, tree in derivations(path, 0, date(2026, 3, 31)) if row.get("key") == key)
    (note,) = (node.says for node in tree.stands_on if node.title == "on no statement yet")
    day = note.removeprefix("the one whose period holds ").removesuffix(" takes it up")
    (tree,) = (tree for _, row, tree in derivations(path, 0) if row.get("key") == key)
    (held,) = (node.title for node in tree.stands_on if node.title.startswith("on statement "))
    assert held == f"on statement next-technik:p1:{day[:7]}-01:AUD"


def test_a_record_is_shown_as_it_read_when_the_entry_was_posted() -> None:
    rows = load_scenario(CREDIT).records
    (payment,) = (row for row in rows if row["id"] == "pay1")
    later = {**payment, "amount": "550.00", "known_at": "2026-04-02T09:00:00+11:00"}
    facts, _ = read_facts([json.dumps(row) for row in [*rows, later]], file="x")
    program, day = load_program("next-technik"), date(2026, 5, 1)
    (settled,) = settle([program], facts, day)
    document = outcome([settled], day)
    made = Derivations(program, document, Sources(from_facts(facts, program.calendar, day)), settled.ledger.entries)
    trees = {row["key"]: made.of("entries", row) for row in document["entries"]}
    first = next(node for node in trees[ENTRY].stands_on if node.title.startswith("payment pay1"))
    assert "version 1, known since 2026-01-28T00:00:00+11:00 (1 later version)" in first.title
    assert "amount 1100.00" in first.says
    (key,) = (key for key in trees if ":adjustment:payment:pay1" in key)
    second = next(node for node in trees[key].stands_on if node.title.startswith("payment pay1"))
    assert "version 2" in second.title and "amount 550.00" in second.says


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onclick"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_takes_names_as_text() -> None:
    page = _Page()
    evil = '<script>alert("1")</script>'
    page.feed(as_html(evil, [Node("row", evil, evil, (Node("record", "r", evil),))]))
    assert page.open == [] and "script" not in page.seen


def test_a_chart_names_every_box_that_it_joins() -> None:
    trees = [tree for _, _, tree in derivations(CREDIT)]
    chart = as_mermaid([*trees, Node("row", 'a "quoted" <name> #1', "`code`")])
    boxes = re.findall(r'^  n(\d+)\["([^"]*)"\]$', chart, re.M)
    joined = set(re.findall(r"\bn(\d+)\b", chart))
    assert {number for number, _ in boxes} == joined
    assert len(boxes) == sum(1 for tree in trees for _ in nodes(tree)) + 1
    assert "a #quot;quoted#quot; #lt;name#gt; #35;1" in chart


@pytest.mark.parametrize(("form", "begins"), [("png", b"\x89PNG"), ("svg", b"<svg")])
def test_a_picture_is_drawn(form: str, begins: bytes) -> None:
    pytest.importorskip("typst")
    from jobs.derivation.drawing import as_picture

    drawn = as_picture([Node("row", 'a "name" \\ #1 ] $x$', "`code` *b*", (Node("record", "r"),))], form)
    assert drawn.startswith(begins)


@pytest.fixture
def records(tmp_path: Path) -> str:
    path = tmp_path / "facts.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in load_scenario(CREDIT).records), "utf-8")
    return str(path)


def test_a_file_is_explained_as_text_json_and_html(records: str, tmp_path: Path) -> None:
    asked = ["explain", ENTRY, "--program", "next-technik", "--records", records, "--as-of", "2026-05-01"]
    run = CliRunner().invoke
    text = run(app, asked)
    assert text.exit_code == 0 and text.stdout.startswith(f"entry {ENTRY}: 100.00 AUD, stated")
    assert "1000.00 AUD x 10% = 100  rounded once, half_even, to 2 digits: 100.00 AUD" in text.stdout
    body = json.loads(run(app, [*asked, "--json"]).stdout)
    assert body["rows"][0]["key"] == ENTRY and body["derivations"][0]["stands_on"]
    assert body["clauses"]["NT-17"]
    done = run(app, [*asked, "--format", "html", "--output", str(tmp_path / "why.html")])
    assert (done.exit_code, done.stdout) == (0, "")
    assert ENTRY in (tmp_path / "why.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("key", "lists"),
    [
        ("r1", {"claims", "entries", "tasks"}),
        ("c1", {"entries"}),
        ("p1", {"statements", "tasks"}),
        ("next-technik:p1:2026-01-01:AUD", {"statements"}),
        ("next-technik:commission_review:r1:2026-01-20", {"tasks"}),
    ],
)
def test_what_a_key_names_is_explained(key: str, lists: set[str], records: str) -> None:
    asked = ["explain", key, "-p", "next-technik", "-r", records, "--as-of", "2026-05-01", "--json"]
    body = json.loads(CliRunner().invoke(app, asked).stdout)
    assert {row["list"] for row in body["rows"]} == lists
    assert len(body["derivations"]) == len(body["rows"])


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["next-technik:r1:commission:payment:pay2:1", "-p", "next-technik"], f"did you mean {ENTRY}"),
        (["r1"], "--program: found nothing"),
        (["r1", "-p", "next-technik", "--format", "gif"], "--format: found 'gif'; allowed: text, json, html"),
        (["r1", "-p", "next-technik", "--output", "/nowhere/x"], "cannot be written"),
    ],
)
def test_what_cannot_be_explained_is_told(more: list[str], told: str, records: str) -> None:
    done = CliRunner().invoke(app, ["explain", *more, "-r", records, "--as-of", "2026-05-01"])
    assert isinstance(done.exception, UserError) and told in str(done.exception)
    assert done.stdout == ""
