"""Every clause leads to its terms, its rule and an example; the page that says so is not stale."""

import re
from pathlib import Path

import pytest

from jobs.clauses import PAGE, ROOT, Clause, clauses, page
from jobs.scenarios import load_scenario, scenario_files

STATED = clauses()
ALL = [clause for rows in STATED.values() for clause in rows]
COUNTS = {
    "shared": ("G", 10, 0, 0, 0),
    "next-technik": ("NT", 27, 0, 3, 11),
    "one-network": ("ON", 26, 0, 5, 9),
    "code-ninety": ("CN", 130, 17, 5, 35),
    "technology-consultant": ("TC", 34, 0, 4, 12),
    "optimetriks": ("OP", 26, 0, 5, 13),
}
"""For each program its clauses' prefix, and how many clauses, worked examples, worked values and ambiguities it has."""


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text("utf-8") == page(STATED), "run python -m jobs.clauses"


@pytest.mark.parametrize("clause", ALL, ids=lambda clause: clause.id)
def test_a_clause_is_named_by_what_is_said_to_show_it(clause: Clause) -> None:
    for path in clause.shown:
        assert re.search(rf"\b{clause.id}\b", (ROOT / path).read_text("utf-8"))
    for rule in clause.statement.rules:
        assert (ROOT / rule).is_file(), f"{rule}: no such module"


def test_what_nothing_shows_is_listed_as_such() -> None:
    _, _, listed = PAGE.read_text("utf-8").partition("## Not shown by a test yet")
    assert set(re.findall(r"[A-Z]+-[AVX]?\d+", listed)) == {clause.id for clause in ALL if not clause.shown}


def test_a_scenario_shows_a_clause_and_a_test_only_in_what_it_says_of_itself(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    for folder in ("clauses", "scenarios"):
        (tmp_path / "rules" / "programs" / folder).mkdir(parents=True)
    stated = "".join(f"XY-{n}: {{kind: enforce, says: Something., rules: []}}\n" for n in (1, 2, 3, 4))
    (tmp_path / "rules" / "programs" / "clauses" / "mine.yaml").write_text(stated, "utf-8")
    scenario = "name: XY-2 is about this\nclauses: [XY-1]\nprogram: next-technik\nsteps: []\n"
    (tmp_path / "rules" / "programs" / "scenarios" / "one.yaml").write_text(scenario, "utf-8")
    test = 'def test_it():\n    """Source: XY-3."""\n    assert "XY-4"\n'
    (tmp_path / "tests" / "test_it.py").write_text(test, "utf-8")
    found = {clause.id: clause.shown for clause in clauses(tmp_path)["mine"]}
    path = "rules/programs/scenarios/one.yaml"
    assert found == {"XY-1": (path,), "XY-2": (), "XY-3": ("tests/test_it.py",), "XY-4": ()}


def test_scenarios_and_programs_name_only_clauses_that_exist() -> None:
    known = {clause.id for clause in ALL}
    for path in scenario_files():
        named = {name for name in load_scenario(path).clauses if not re.fullmatch(r"E\d+", name)}
        assert named <= known, path.name
    for path in (ROOT / "rules" / "programs").glob("*.yaml"):
        assert set(re.findall(r"\b[A-Z]{1,2}-[AVX]?\d+\b", path.read_text("utf-8"))) <= known, path.name


def test_the_policies_are_complete() -> None:
    for program, (prefix, *counts) in COUNTS.items():
        wanted = [
            f"{prefix}-{kind}{n}" for kind, count in zip("·XVA", counts, strict=True) for n in range(1, count + 1)
        ]
        assert [clause.id for clause in STATED[program]] == [name.replace("·", "") for name in wanted], program


def test_every_scenario_says_which_clause_or_case_it_is_about() -> None:
    for path in scenario_files():
        assert load_scenario(path).clauses, path.name


def test_statements_are_sentences(tmp_path: Path) -> None:
    for clause in ALL:
        assert clause.statement.says.endswith("."), clause.id
