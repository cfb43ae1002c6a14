"""Job: check a program against its scenarios, the worked examples that say in rows what each clause means.

A scenario is a YAML file beside the program: records as they go in, dates to settle at, and the rows that must (or
must not) come out. Amounts and dates need no quotes there: they are read as the text that stands in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError

from jobs.problems import UserError
from jobs.settle import LISTS, outcome, settle
from rules.facts import Facts, Rejected, read_facts
from rules.program import SHIPPED, Program, load_program

Row = dict[str, Any]
FOLDER = Path(__file__).parent.parent / "rules" / "programs" / "scenarios"


class ScenarioError(UserError):
    """A scenario file that cannot be used: file, place, what was found, what is allowed."""


class Step(BaseModel):
    """Settle at the end of ``as_of`` under the settings ``set``, and compare the outcome's lists with ``expect``.

    A list's items are partial rows, each of which must be found; ``{absent: row}`` must not be found, and
    ``{count: n}`` (with ``of: row``, and nothing else) counts. Texts under ``because`` and ``reason`` are contained,
    lists are included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of: date
    set: dict[str, str] = {}
    expect: dict[str, list[Row]]


class Scenario(BaseModel):
    """One worked example of a program."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    clauses: tuple[str, ...]
    program: str
    """A shipped program's name, or the path of a program file from this file."""
    settings: dict[str, str] = {}
    uses: tuple[str, ...] = ()
    """Groups of ``_shared.yaml`` in the same folder whose records come first."""
    without: tuple[str, ...] = ()
    """Shared records left out, each as ``type id``."""
    records: list[Row] = []
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as the scenario says: the step's date, the list, and what differs in words.

    Where a row came near, ``fields`` are those that differ: name, expected, found (as JSON).
    """

    as_of: str
    where: str
    text: str
    fields: tuple[tuple[str, str, str], ...] = ()

    def __str__(self) -> str:
        told = "; ".join(f"{name} expected {expected}, found {found}" for name, expected, found in self.fields)
        return f"as of {self.as_of}, {self.where}: {self.text}{': ' if told else ''}{told}"


class _AsWritten(SafeConstructor):
    """Dates, instants and decimals stay the text of the file."""


for _tag in ("timestamp", "float"):
    _AsWritten.add_constructor(f"tag:yaml.org,2002:{_tag}", lambda _constructor, node: node.value)


def scenario_files(folder: Path = FOLDER) -> list[Path]:
    """Every scenario below a folder; files that begin with ``_`` hold shared records."""
    return sorted(path for path in folder.rglob("*.yaml") if not path.name.startswith("_"))


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file. Raises: ``ScenarioError``."""
    try:
        scenario = Scenario.model_validate(_tree(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ScenarioError(f"{path}: {place}: found {first['input']!r:.80}; allowed: {first['msg'].lower()}") from None
    if scenario.program not in SHIPPED:
        scenario = scenario.model_copy(update={"program": str((path.parent / scenario.program).resolve())})
    for step in scenario.steps:
        for name in step.expect:
            if name not in (*LISTS, "programs"):
                raise ScenarioError(f"{path}: expect: found {name!r}; allowed: {', '.join(LISTS)}, programs")
    if scenario.uses:
        try:
            shared = _tree(path.parent / "_shared.yaml")
        except ScenarioError as error:
            raise ScenarioError(f"{path}: uses: {error}") from None
        missing = [name for name in scenario.uses if name not in shared]
        if missing:
            raise ScenarioError(f"{path}: uses: found {missing[0]!r}; allowed: {', '.join(shared)}")
        common = [row for name in scenario.uses for row in shared[name]]
        left = [row for row in common if f"{row.get('type')} {row.get('id')}" not in scenario.without]
        scenario = scenario.model_copy(update={"records": left + scenario.records})
    return scenario


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scenario with its records read, to be settled under one program or many."""

    scenario: Scenario
    facts: Facts
    rejected: list[Rejected]


def prepared(scenario: Scenario) -> Prepared:
    """Read a scenario's records."""
    facts, rejected = read_facts([orjson.dumps(row) for row in scenario.records], file=scenario.name)
    return Prepared(scenario, facts, rejected)


def check_scenario(scenario: Scenario) -> list[Difference]:
    """Settle every step and return all that differs; an empty list is a pass. Raises: ``ProgramError``."""
    program = _program(scenario.program, _changed_at(scenario.program))
    return list(differences(prepared(scenario), program))


def differences(case: Prepared, program: Program) -> Iterator[Difference]:
    """What differs under a program, one after the other, so that whoever asks whether may stop at the first."""
    scenario, rejected = case.scenario, case.rejected
    for step in scenario.steps:
        terms = program.changed({**scenario.settings, **step.set})
        document = outcome(settle([terms], case.facts, step.as_of), step.as_of, rejected)
        if rejected and "rejected" not in step.expect:
            yield Difference(str(step.as_of), "rejected", str(rejected[0]))
        for name, items in step.expect.items():
            rows = document[name] if name != "programs" else [{"id": each} for each in document[name]]
            for text, fields in _differences(rows, items):
                yield Difference(str(step.as_of), name, text, fields)


@cache
def _program(name: str, _changed: int) -> Program:
    """A program, loaded once for all its scenarios and anew when its file was changed."""
    return load_program(name)


def _changed_at(name: str) -> int:
    path = Path(name)
    return path.stat().st_mtime_ns if path.is_file() else 0


def _tree(path: Path) -> Any:
    """What stands in a YAML file. Raises: ``ScenarioError``."""
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, YAMLError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from None


@cache
def _read(path: Path, _changed: int) -> Any:
    """A file, read once, and anew when it was changed; records that are shared are read for many scenarios."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _AsWritten
    return yaml.load(path.read_text("utf-8"))


_Told = tuple[str, tuple[tuple[str, str, str], ...]]


def _differences(rows: list[Row], items: list[Row]) -> Iterator[_Told]:
    for item in items:
        if "count" in item and item.keys() <= {"count", "of"}:
            number = sum(_fits(row, item.get("of", {})) for row in rows)
            if number != item["count"]:
                of = f" of {_shown(item['of'])}" if "of" in item else ""
                yield f"expected {item['count']} rows{of}, found {number}: {_keys(rows)}", ()
        elif "absent" in item:
            for row in rows:
                if _fits(row, item["absent"]):
                    yield f"expected none of {_shown(item['absent'])}, found {_shown(row)}", ()
        elif not any(_fits(row, item) for row in rows):
            yield _nearest(rows, item)


def _fits(found: Any, expected: Any, field: str = "") -> bool:
    if isinstance(expected, Mapping):
        return isinstance(found, Mapping) and all(_fits(found.get(key), expected[key], key) for key in expected)
    if isinstance(expected, list):
        return isinstance(found, list) and (found == expected if not expected else set(expected) <= set(found))
    if field in ("because", "reason"):
        return str(expected) in str(found)
    return bool(found == expected)


def _nearest(rows: list[Row], item: Row) -> _Told:
    """Say what the most similar row has instead."""
    if not rows:
        return f"expected {_shown(item)}, found no rows", ()
    best = max(rows, key=lambda row: sum(_fits(row.get(key), item[key], key) for key in item))
    wrong = [key for key in item if not _fits(best.get(key), item[key], key)]
    return (
        f"no row fits {_shown(item)}; nearest {_keys([best])}",
        tuple((key, _shown(item[key]), _shown(best.get(key))) for key in wrong),
    )


def _keys(rows: list[Row]) -> str:
    return (
        ", ".join(str(row.get("key") or row.get("id") or row.get("referral") or row.get("account")) for row in rows)
        or "none"
    )


def _shown(value: Any) -> str:
    return orjson.dumps(value).decode()
