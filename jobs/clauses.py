"""Job: write docs/clauses.md, which leads from each clause to its terms, its rule and the examples that show it.

The statements are kept in ``rules/programs/clauses/*.yaml``; everything else is looked up: where a program file names the clause,
and which scenarios and tests of the rules name it. Run ``python -m jobs.clauses`` after changing any of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

from jobs.scenarios import load_scenario, scenario_files

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "clauses.md"
_ID = re.compile(r"\b[A-Z]{1,2}-[AVX]?\d+\b")


class Statement(BaseModel):
    """One clause in our own words: its kind, what it asks, and the modules that do it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    says: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause with all that names it: places in program files, scenarios and tests, as paths from the project's root."""

    id: str
    statement: Statement
    terms: tuple[str, ...]
    shown: tuple[str, ...]


def clauses(root: Path = ROOT) -> dict[str, list[Clause]]:
    """Every clause by the file that states it. Raises: ``ScenarioError``, ``pydantic.ValidationError``."""
    terms = _terms(root)
    shown = _shown(root)
    found: dict[str, list[Clause]] = {}
    for path in sorted((root / "rules" / "programs" / "clauses").glob("*.yaml")):
        for name, body in _read(path).items():
            statement = Statement.model_validate(body)
            found.setdefault(path.stem, []).append(
                Clause(name, statement, tuple(terms.get(name, ())), tuple(sorted(shown.get(name, ()))))
            )
    return found


def page(stated: dict[str, list[Clause]]) -> str:
    """The text of docs/clauses.md."""
    lines = [
        "# Clauses",
        "",
        "Each clause in our own words, where the program file names it, the module that does it, and what shows that it",
        "does. Written by `python -m jobs.clauses` from `rules/programs/clauses/*.yaml`; a test fails when it is stale.",
    ]
    for name, rows in stated.items():
        lines += [
            "",
            f"## {name}",
            "",
            "| clause | kind | what it asks | terms | rule | shown by |",
            "|---|---|---|---|---|---|",
        ]
        for row in rows:
            shown = ", ".join(f"`{Path(path).stem}`" for path in row.shown)
            terms = ", ".join(f"`{term}`" for term in row.terms)
            rules = ", ".join(f"`{rule}`" for rule in row.statement.rules)
            lines.append(f"| {row.id} | {row.statement.kind} | {row.statement.says} | {terms} | {rules} | {shown} |")
    return "\n".join(lines) + "\n"


def _shown(root: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in scenario_files(root / "rules" / "programs" / "scenarios"):
        for name in load_scenario(path).clauses:
            found.setdefault(name, set()).add(str(path.relative_to(root)))
    for path in sorted((root / "tests" / "rules").rglob("test_*.py")):
        for name in _ID.findall(path.read_text("utf-8")):
            found.setdefault(name, set()).add(str(path.relative_to(root)))
    return found


def _terms(root: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted((root / "rules" / "programs").glob("*.yaml")):
        for version in _read(path)["versions"]:
            for place, name in _named(version, ""):
                if place not in found.setdefault(name, []):
                    found[name].append(place)
    return found


def _named(node: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every (place, clause) of a program version; a list item is called by what it is, not by its number."""
    if isinstance(node, dict):
        for key, value in node.items():
            if str(key).endswith("clauses") and isinstance(value, list):
                yield from (
                    (place if key == "clauses" else f"{place}.{key.removesuffix('_clauses')}", name) for name in value
                )
            elif _ID.fullmatch(str(key)):
                yield place, str(key)
            else:
                yield from _named(value, f"{place}.{key}" if place else str(key))
    elif isinstance(node, list):
        for value in node:
            label = (value.get("label") or value.get("kind")) if isinstance(value, dict) else None
            yield from _named(value, f"{place}: {label}" if label else place)


def _read(path: Path) -> dict[str, Any]:
    tree: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    return tree


if __name__ == "__main__":
    PAGE.write_text(page(clauses()), "utf-8")
