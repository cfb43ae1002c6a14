"""Other terms over the same history: what would change, for whom, and for which clause (CN-68, TC-27, G-1)."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.problems import UserError
from jobs.scenarios import FOLDER, load_scenario
from jobs.settle import outcome, settle
from jobs.what_if import OtherTerms, what_if_of_file
from rules.errors import RuleError
from rules.facts import Facts, read_facts
from rules.program import load_program

CREDIT = FOLDER / "next-technik" / "e03_credit_after_statement.yaml"
DAY = date(2026, 5, 1)
PARTS = ("partners", "clauses", "claims", "tiers", "statements", "entries", "tasks")


def facts_of(path: Path) -> Facts:
    facts, rejected = read_facts([json.dumps(row) for row in load_scenario(path).records], file="x")
    assert not rejected
    return facts


def what_if(since: date | None = None, **sets: str) -> dict[str, Any]:
    terms = OtherTerms(sets, None, since)
    return what_if_of_file(load_program("next-technik"), terms, facts_of(CREDIT), DAY, file="x")


def test_the_difference_is_told_by_partner_and_by_clause() -> None:
    found = what_if(net_excludes="tax,refund,discount,shipping")
    (partner,) = found["partners"]
    assert (partner["partner"], partner["entries"]["difference"]) == ("p1", "20.00")
    assert {row["clause"]: row["difference"] for row in found["clauses"]}["NT-17"] == "20.00"
    (gone,) = found["entries"]
    assert gone["key"] == "next-technik:r1:reversal:credit_note:cn1:1" and gone["after"] is None
    assert found["claims"] == found["tiers"] == []


def test_claims_that_change_their_state_are_named() -> None:
    (claim,) = what_if(channels="email")["claims"]
    assert (claim["referral"], claim["before"]["state"], claim["after"]["state"]) == ("r1", "won", "inadmissible")
    assert claim["after"]["failed"] == ["NT-8"]


def test_terms_from_a_day_on_leave_alone_what_was_pinned_before() -> None:
    assert what_if(date(2026, 1, 22), net_excludes="tax")["entries"]  # approved on that day: the new terms hold
    found = what_if(date(2026, 1, 23), net_excludes="tax")
    assert not any(found[part] for part in PARTS)
    assert found["terms"] == {"before": ["2023-07-20"], "after": ["2023-07-20", "2026-01-23"]}


def test_differences_are_those_of_two_settlements() -> None:
    program, facts = load_program("next-technik"), facts_of(CREDIT)
    other = program.changed({"statement_basis": "won", "net_excludes": "tax"})
    sums = []
    for each in (program, other):
        document = outcome(settle([each], facts, DAY), DAY)
        sums.append(sum(Decimal(entry["amount"]) for entry in document["entries"]))
    (partner,) = what_if(statement_basis="won", net_excludes="tax")["partners"]
    assert [Decimal(partner["entries"][side]) for side in ("before", "after")] == sums


def test_the_same_terms_make_no_difference(tmp_path: Path) -> None:
    path = tmp_path / "same.yaml"
    path.write_text((files("rules") / "programs" / "next-technik.yaml").read_text("utf-8"), "utf-8")
    for since in (None, date(2026, 1, 1)):
        terms = OtherTerms({}, str(path), since)
        found = what_if_of_file(load_program("next-technik"), terms, facts_of(CREDIT), DAY, file="x")
        assert not any(found[part] for part in PARTS)


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    path = tmp_path / "facts.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in load_scenario(CREDIT).records), "utf-8")
    return ["what-if", "-p", "next-technik", "-r", str(path), "--as-of", "2026-05-01"]


def test_the_command_prints_tables_or_json(asked: list[str]) -> None:
    done = CliRunner().invoke(app, [*asked, "--set", "net_excludes=tax"])
    assert done.exit_code == 0 and "nothing was changed" in done.stdout and "20.00" in done.stdout
    body = json.loads(CliRunner().invoke(app, [*asked, "--set", "net_excludes=tax", "--json"]).stdout)
    assert set(PARTS) <= set(body)
    assert "no difference" in CliRunner().invoke(app, [*asked, "--set", "stale_days=none"]).stdout


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "found no other terms, or both kinds"),
        (["--set", "rounding=up", "--program-file", "x.yaml"], "both kinds"),
        (["--set", "rounding"], "found 'rounding'; allowed: key=value"),
        (["--set", "rounding=upwards"], "allowed: half_even"),
        (["--set", "roundin=up"], "did you mean rounding"),
        (["--set", "rounding=up", "--since", "soon"], "--since: found 'soon'"),
        (["--program-file", "nowhere.yaml"], "found 'nowhere.yaml'"),
        (["--program-file", "optimetriks"], "allowed: the time zone and currency of next-technik"),
    ],
)
def test_other_terms_that_cannot_be_used_are_told(asked: list[str], more: list[str], told: str) -> None:
    done = CliRunner().invoke(app, [*asked, *more])
    assert isinstance(done.exception, UserError | RuleError) and told in str(done.exception)
    assert done.stdout == ""
