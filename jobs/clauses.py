"""Job: write docs/clauses.md, which leads from each clause to its terms, its rule and the examples that show it.

The statements are kept in ``rules/programs/clauses/*.yaml``; everything else is looked up: where a program file names the clause,
and which scenarios and tests do. A scenario names it under ``clauses``, a test in a docstring or comment: an id that is
only data of a test shows nothing. Run ``python -m jobs.clauses`` after changing any of them.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

from jobs.scenarios import load_scenario, scenario_files

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "clauses.md"
_ID = re.compile(r"\b[A-Z]{1,2}-[AVX]?\d+\b")


Kind = Literal[
    "enforce", "record", "schedule", "compute", "display", "notify", "write back", "task",
    "worked example", "worked value", "ambiguity",
]  # fmt: skip
"""What software does about a clause; a worked example stands in the program's text, a worked value is derived from it."""


class Statement(BaseModel):
    """One clause in our own words: its kind, what it asks, and the modules that do it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
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
        "",
        *_counts(stated),
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
    return "\n".join([*lines, *_not_shown(stated)]) + "\n"


def _counts(stated: dict[str, list[Clause]]) -> Iterator[str]:
    """A table of how many clauses of each kind a program has, and how many of them a test shows."""
    kinds = [
        kind for kind in get_args(Kind) if any(row.statement.kind == kind for rows in stated.values() for row in rows)
    ]
    yield f"| program | {' | '.join(kinds)} | all | shown |"
    yield "|---" * (len(kinds) + 3) + "|"
    for name, rows in stated.items():
        found = Counter(row.statement.kind for row in rows)
        figures = [found[kind] for kind in kinds] + [len(rows), sum(bool(row.shown) for row in rows)]
        yield f"| {name} | {' | '.join(map(str, figures))} |"


def _not_shown(stated: dict[str, list[Clause]]) -> Iterator[str]:
    open_rows = {name: [row.id for row in rows if not row.shown] for name, rows in stated.items()}
    if not any(open_rows.values()):
        return
    yield from ("", "## Not shown by a test yet", "")
    for name, ids in open_rows.items():
        if ids:
            yield f"- {name}: {', '.join(ids)}"


def _shown(root: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in scenario_files(root / "rules" / "programs" / "scenarios"):
        for name in load_scenario(path).clauses:
            found.setdefault(name, set()).add(str(path.relative_to(root)))
    for path in sorted((root / "tests").rglob("test_*.py")):
        for name in _ID.findall(_words(path.read_text("utf-8"))):
            found.setdefault(name, set()).add(str(path.relative_to(root)))
    return found


def _words(source: str) -> str:
    """What a test says of itself: its docstrings and comments."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    said = [token.string for token in tokens if token.type == tokenize.COMMENT]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            said.append(ast.get_docstring(node) or "")
    return "\n".join(said)


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
