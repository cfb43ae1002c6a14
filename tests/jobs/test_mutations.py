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


@pytest.mark.slow
@pytest.mark.parametrize(("program", "section"), CASES, ids=lambda value: value)
def test_a_changed_value_fails_a_scenario(program: str, section: str) -> None:
    found = [told(mutant) for mutant in survivors(program, section)]
    by_design = SURVIVORS[program]
    unknown = [each for each in found if not any(fnmatchcase(each, pattern) for pattern in by_design)]
    assert not unknown, "no scenario notices:\n" + "\n".join(unknown)
    here = [pattern for pattern in by_design if pattern.partition(".")[0].partition(":")[0] == section]
    noticed = [pattern for pattern in here if not any(fnmatchcase(each, pattern) for each in found)]
    assert not noticed, "noticed by a scenario, or gone; take out of the list:\n" + "\n".join(noticed)


@pytest.mark.parametrize("program", SHIPPED)
def test_mutants_are_different_programs_that_load(program: str) -> None:
    original = load_program(program)
    found = list(mutants(original))
    names = [told(mutant) for mutant in found]
    assert len(found) > 60 and all(mutant.program != original for mutant in found)
    assert len(set(names)) > 0.9 * len(names)
    sections = {mutant.path.partition(".")[0] for mutant in found}
    assert {"settings", "claims", "commission", "statements"} <= sections


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
