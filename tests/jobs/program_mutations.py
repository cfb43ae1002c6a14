"""Programs with one value changed: numbers, lengths, dates, settings, choices, lists and whole terms.

A scenario that still passes under such a program does not show the value; if none fails, nothing does. Run
``python -m tests.jobs.program_mutations PROGRAM`` to see which values of a program survive.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, get_args

import orjson

from jobs.scenarios import FOLDER, Prepared, differences, load_scenario, prepared, scenario_files
from rules.errors import RuleError
from rules.program import Program, load_program
from rules.settings import CATALOGUE
from rules.terms import Term

Path = tuple[str | int, ...]
WORDS = ("label", "label_per_person", "recorded", "content", "name", "id", "time_zone", "currency")
"""Texts that people read, and what a program is; they decide nothing."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A program with one value changed: where, from what to what, and the clauses of the term."""

    path: str
    change: str
    clauses: frozenset[str]
    program: Program


def mutants(program: Program, section: str = "") -> Iterator[Mutant]:
    """Every mutant that loads; of one section of a version (``settings``, ``claims``, …) when it is named."""
    body = program.model_dump(mode="json")
    for number, version in enumerate(program.versions):
        for name, field in type(version).model_fields.items():
            if section not in ("", name) or name in WORDS:
                continue
            for path, change, clauses, value in _field(getattr(version, name), (name,), frozenset(), field.annotation):
                changed = _changed(body, ("versions", number, *path), value)
                try:
                    made = Program.model_validate_json(orjson.dumps(changed))
                except (RuleError, ValueError):
                    continue  # refused when it is loaded: nobody can settle by it
                if made != program:
                    yield Mutant(".".join(map(str, path)), change, clauses, made)


_Change = tuple[Path, str, frozenset[str], Any]
_GONE = object()


def _field(value: Any, path: Path, clauses: frozenset[str], annotation: Any = None) -> Iterator[_Change]:
    """Changes of a value and of all below it."""
    if isinstance(value, Term):
        own = frozenset(
            each for name in type(value).model_fields if name.endswith("clauses") for each in getattr(value, name)
        )
        for name, field in type(value).model_fields.items():
            if not name.endswith("clauses") and name not in (*WORDS, "kind", "allowed"):
                yield from _field(getattr(value, name), (*path, name), own or clauses, field.annotation)
        if path[-2:-1] == ("settings",):
            return
        if type(None) in get_args(annotation):
            yield path, "taken out", own, None
        return
    if path[0] == "settings" and path[-1] == "value":
        for text in _texts(str(path[1]), value):
            yield path, f"{value} → {text}", clauses, text
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _field(each, (*path, key), clauses)
            if path[0] != "settings":
                yield (*path, key), "taken out", clauses, _GONE
    elif isinstance(value, tuple | list):
        for number, each in enumerate(value):
            if isinstance(each, Term):
                yield from _field(each, (*path, number), clauses)
            own = frozenset(getattr(each, "clauses", ())) or clauses
            yield (*path, number), f"{_short(each)} taken out", own, _GONE
    else:
        for other in _others(value, annotation):
            yield path, f"{value} → {other}", clauses, other
        if value is not None and type(None) in get_args(annotation):
            yield path, f"{value} taken out", clauses, None


def _others(value: Any, annotation: Any) -> Iterator[Any]:
    """Other values of the same kind."""
    choices = [each for each in get_args(annotation) if isinstance(each, str)]
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
        yield value - 1
    elif isinstance(value, Decimal):
        step = Decimal("0.01") if value <= 1 else Decimal(1)
        yield from (format(value + step, "f"), format(value - step, "f"))
    elif choices:
        yield from (each for each in choices if each != value)
    elif isinstance(value, str) and (length := re.fullmatch(r"P(\d+)([DMY])", value)):
        for number in (int(length[1]) + 1, int(length[1]) - 1):
            yield f"P{number}{length[2]}"


@cache
def _texts(key: str, value: str) -> tuple[str, ...]:
    """Other values of a setting, as text: every choice, numbers one up and one down, lists with one less and one more."""
    allowed = CATALOGUE[key].allowed
    if "separated by commas" in allowed:
        chosen, known = value.split(","), allowed.partition(" (")[0].split(", ")
        fewer = [",".join(each for each in chosen if each != one) for one in chosen]
        return (*fewer, *(",".join([*chosen, one]) for one in known if one not in chosen))
    if re.fullmatch(r"[a-z0-9_/()]+(, [a-z0-9_/()]+)+", allowed, re.I) and "whole" not in allowed:
        return tuple(each for each in allowed.split(", ") if each != value)
    numbers = re.findall(r"\d+(?:\.\d+)?", value)
    if not numbers:
        return ("7", "P7D")  # none: what it could be instead; the one that does not fit is refused
    found = []
    for match in re.finditer(r"\d+(?:\.\d+)?", value):
        for step in (1, -1):
            found.append(f"{value[: match.start()]}{Decimal(match[0]) + step}{value[match.end() :]}")
    return (*found, "none")


def _changed(body: Mapping[str, Any], path: Path, value: Any) -> Any:
    copy: Any = orjson.loads(orjson.dumps(body))
    node = copy
    for part in path[:-1]:
        node = node[part]
    if value is _GONE:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return copy


def _short(value: Any) -> str:
    return str(
        next((getattr(value, name) for name in ("kind", "label", "tier", "anchor") if hasattr(value, name)), value)
    )


@cache
def cases(program: str) -> tuple[Prepared, ...]:
    """The scenarios of a shipped program, read once."""
    folder = FOLDER / program
    return tuple(prepared(load_scenario(path)) for path in scenario_files(folder)) if folder.is_dir() else ()


def survivors(program: str, candidates: Iterable[Mutant]) -> Iterator[Mutant]:
    """Those mutants of a shipped program that none of its scenarios notices.

    Scenarios that noticed a change of the same name are asked first, then those about the term's clauses.
    """
    known: dict[str, list[int]] = {}
    scenarios = cases(program)
    for mutant in candidates:
        first = known.setdefault(re.sub(r"\.\d+", "", mutant.path), [])
        rest = [number for number in range(len(scenarios)) if number not in first]
        rest.sort(key=lambda number: not mutant.clauses & set(scenarios[number].scenario.clauses))
        by = next((number for number in (*first, *rest) if _notices(scenarios[number], mutant)), None)
        if by is None:
            yield mutant
        elif by not in first:
            first.append(by)


def _notices(case: Prepared, mutant: Mutant) -> bool:
    try:
        return next(differences(case, mutant.program), None) is not None
    except Exception:  # the rules never expect such terms: that is noticed, too
        return True


if __name__ == "__main__":
    for one in survivors(sys.argv[1], mutants(load_program(sys.argv[1]), *sys.argv[2:])):
        print(f"{one.path}: {one.change}", flush=True)
