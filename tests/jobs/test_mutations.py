"""Every value of a program is shown by a scenario: change it, and at least one fails."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from rules.program import SHIPPED, load_program
from rules.program_schema import program_schema
from rules.settings import CATALOGUE
from rules.terms import Terms
from tests.jobs.program_mutations import Mutant, mutants, survivors

ROOT = Path(__file__).parents[2]
SURVIVORS: dict[str, dict[str, str]] = YAML(typ="safe").load(
    Path(__file__).with_name("mutation_survivors.yaml").read_text("utf-8")
)
SECTIONS = [name for name in Terms.model_fields if name not in ("effective_to", "recorded", "content")]
CASES = [(program, section) for program in SHIPPED for section in SECTIONS]


def told(mutant: Mutant) -> str:
    return f"{mutant.path}: {mutant.change}"


def listed(program: str, mutant: Mutant) -> bool:
    """Whether the list says why no scenario notices it."""
    return any(fnmatchcase(told(mutant), pattern) for pattern in SURVIVORS[program])


@pytest.mark.slow
@pytest.mark.parametrize(("program", "section"), CASES, ids=lambda value: value)
def test_a_changed_value_fails_a_scenario(program: str, section: str) -> None:
    made = mutants(load_program(program), section)
    found = [told(mutant) for mutant in survivors(program, (each for each in made if not listed(program, each)))]
    assert not found, "no scenario notices:\n" + "\n".join(found)


@pytest.mark.soak
@pytest.mark.parametrize("program", SHIPPED)
def test_each_line_of_the_list_is_of_a_value_that_is_unnoticed(program: str) -> None:
    asked = [mutant for mutant in mutants(load_program(program)) if listed(program, mutant)]
    unnoticed = [told(mutant) for mutant in survivors(program, asked)]
    noticed = [pattern for pattern in SURVIVORS[program] if not any(fnmatchcase(each, pattern) for each in unnoticed)]
    assert not noticed, "noticed by a scenario; take out of the list:\n" + "\n".join(noticed)


@pytest.mark.parametrize("program", SHIPPED)
def test_mutants_are_different_programs_that_load(program: str) -> None:
    original = load_program(program)
    names, sections = [], set()
    for mutant in mutants(original):
        assert mutant.program != original
        names.append(told(mutant))
        sections.add(mutant.path.partition(".")[0])
    assert len(names) > 60
    assert len(set(names)) > 0.9 * len(names)
    assert {"settings", "claims", "commission", "statements"} <= sections
    gone = [pattern for pattern in SURVIVORS[program] if not any(fnmatchcase(name, pattern) for name in names)]
    assert not gone, "listed, but no such change; take out of the list:\n" + "\n".join(gone)


READ_BY_NAME = {
    "window", "lookback", "engaged_lookback", "release_amount", "tier_uplift.silver", "phone_min_tier", "account_manager_min_tier",
}  # fmt: skip
"""Settings that a term of the program names."""
SAYS_ONLY = {
    "Terms.recorded", "Terms.effective_to", "claim_order", "quarter_min",
}  # fmt: skip
"""What is written down for people, and settings that have one value only in every program."""


def test_whatever_a_program_may_say_is_read_by_something() -> None:
    apart = {"terms.py", "settings.py", "program_check.py", "program_schema.py", "program_diff.py"}
    paths = [
        path for folder in ("rules", "sync", "jobs") for path in (ROOT / folder).rglob("*.py") if path.name not in apart
    ]
    source = "\n".join(path.read_text("utf-8") for path in paths)
    fields = {
        f"{name}.{field}"
        for name, model in program_schema()["$defs"].items()
        for field in model.get("properties", {})
        if not field.endswith("clauses") and not re.search(rf"\.{field}\b", source)
    }
    settings = {key for key in CATALOGUE if not re.search(rf"[\"']{re.escape(key)}[\"']", source)}
    assert fields | settings <= READ_BY_NAME | SAYS_ONLY
