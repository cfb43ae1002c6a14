"""What differs between two programs, or two versions of one: term by term and setting by setting, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rules.program import Program
from rules.program_schema import program_schema
from rules.settings import CATALOGUE

_NAMED_BY = ("effective_from", "kind", "tier", "label", "anchor", "from_value")
"""What an item of a list is called by; the first that it has."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs: where, what it means, and both values (``None``: not there)."""

    where: str
    means: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            change = f"added: {self.after}"
        elif self.after is None:
            change = f"taken out: {self.before}"
        else:
            change = f"{self.before} → {self.after}"
        return f"{self.where}: {change}{f' ({self.means})' if self.means else ''}"


def diff_programs(before: Program, after: Program) -> list[Difference]:
    """Every difference, in the order of the file. Versions are compared by their first day; one version with the other."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    if len(old["versions"]) == len(new["versions"]) == 1:
        return list(_differences(old, new, "", _meanings()))
    return list(_differences({**old, "versions": _by_day(old)}, {**new, "versions": _by_day(new)}, "", _meanings()))


def _by_day(body: Mapping[str, Any]) -> dict[str, Any]:
    return {version["effective_from"]: version for version in body["versions"]}


def _differences(old: Any, new: Any, where: str, meanings: Mapping[str, str]) -> Iterator[Difference]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}" if where else key, meanings)
    elif _has_items(old) and _has_items(new):
        one, two = _items(old), _items(new)
        if len(one) == len(two) == 1:
            one, two = ({"": next(iter(each.values()))} for each in (one, two))
        for name in dict.fromkeys([*one, *two]):
            place = f"{where}[{name}]" if name else where
            yield from _differences(one.get(name), two.get(name), place, meanings)
    else:
        yield Difference(_short(where), _meaning(where, meanings), _told(old), _told(new))


def _has_items(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _items(values: list[dict[str, Any]]) -> dict[str, Any]:
    """Items of a list by what they are called; the second of a name is ``name 2``."""
    found: dict[str, Any] = {}
    for value in values:
        name = next((str(value[key]) for key in _NAMED_BY if value.get(key) is not None), "")
        number = sum(1 for other in found if other == name or other.startswith(f"{name} "))
        found[f"{name} {number + 1}" if number else name] = value
    return found


def _told(value: Any) -> str | None:
    if value is None or value == [] or value == {}:
        return None
    if isinstance(value, Mapping):
        parts = {key: _told(each) for key, each in value.items()}
        return ", ".join(f"{key} {part}" for key, part in parts.items() if part is not None)
    if isinstance(value, list):
        return ", ".join(_told(each) or "none" for each in value)
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _short(where: str) -> str:
    """The place without what every term of a program with one version has in front."""
    return where.removeprefix("versions.").removesuffix(".value")


def _meanings() -> dict[str, str]:
    """Field names with what they mean; a name that means several things is left out."""
    schema = program_schema()
    found: dict[str, set[str]] = {}
    for model in (schema, *schema["$defs"].values()):
        for name, body in model.get("properties", {}).items():
            if "description" in body:
                found.setdefault(name, set()).add(body["description"])
    return {name: next(iter(words)) for name, words in found.items() if len(words) == 1}


def _meaning(where: str, meanings: Mapping[str, str]) -> str:
    _, in_settings, setting = where.partition("settings.")
    if in_settings:
        key = setting.removesuffix(".value").removesuffix(".clauses").removesuffix(".allowed")
        return CATALOGUE[key].meaning.rstrip(".") if key in CATALOGUE else ""
    name = where.rpartition(".")[2].partition("[")[0]
    return meanings.get(name, "")
