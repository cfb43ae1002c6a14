"""Every clause leads to its terms, its rule and an example; the page that says so is not stale."""

import re
from pathlib import Path

import pytest

from jobs.clauses import PAGE, ROOT, Clause, clauses, page
from jobs.scenarios import load_scenario, scenario_files

STATED = clauses()
ALL = [clause for rows in STATED.values() for clause in rows]


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text("utf-8") == page(STATED), "run python -m jobs.clauses"


@pytest.mark.parametrize("clause", ALL, ids=lambda clause: clause.id)
def test_a_clause_is_shown_by_what_names_it(clause: Clause) -> None:
    assert clause.shown, "no scenario or test names it"
    for path in clause.shown:
        assert re.search(rf"\b{clause.id}\b", (ROOT / path).read_text("utf-8"))
    for rule in clause.statement.rules:
        assert (ROOT / rule).is_file()


def test_scenarios_and_programs_name_only_clauses_that_exist() -> None:
    known = {clause.id for clause in ALL}
    for path in scenario_files():
        named = {name for name in load_scenario(path).clauses if not name.startswith("E")}
        assert named <= known, path.name
    for path in (ROOT / "rules" / "programs").glob("next-technik.yaml"):
        assert set(re.findall(r"\b(?:NT|G)-[AV]?\d+\b", path.read_text("utf-8"))) <= known


def test_the_policy_is_complete() -> None:
    ids = [clause.id for clause in STATED["next-technik"]]
    assert ids == [
        *(f"NT-{n}" for n in range(1, 28)),
        *(f"NT-V{n}" for n in (1, 2, 3)),
        *(f"NT-A{n}" for n in range(1, 12)),
    ]
    assert [clause.id for clause in STATED["shared"]] == [f"G-{n}" for n in range(1, 11)]


def test_every_scenario_says_which_clause_or_case_it_is_about() -> None:
    for path in scenario_files():
        assert load_scenario(path).clauses, path.name


def test_statements_are_sentences(tmp_path: Path) -> None:
    for clause in ALL:
        assert clause.statement.says.endswith("."), clause.id
