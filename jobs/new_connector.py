"""Job: a package to start a connector from: settings, reading, writing, a mapping, and the acceptance suite that it passes."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from keyword import iskeyword
from pathlib import Path
from typing import Any

from connectors.registry import UnknownSystem, load, owners
from jobs.problems import UserError
from jobs.show import console, table

_NAME = re.compile(r"[a-z][a-z0-9]{1,29}")
_EXAMPLE = "acme"


def write_connector(name: str, folder: Path) -> list[Path]:
    """Write the package ``referee-NAME`` into a folder; returns the paths of its files.

    Raises: ``UserError`` for a name that cannot be one or is taken, and when the package is there already.
    """
    if not _NAME.fullmatch(name) or iskeyword(name) or iskeyword(name.capitalize()):
        raise UserError(
            f"connector new: found {name!r}; allowed: 2 to 30 small letters and digits, a letter first, and no word of Python's, such as harbour"
        )
    owner = owners().get(name)
    if owner is not None:
        raise UserError(f"connector new: found {name!r}, which {owner[0]} has already; allowed: a name of its own")
    place = folder / f"referee-{name}"
    if place.exists():
        raise UserError(f"{place}: is there already; allowed: another --folder, or another name")
    written = []
    for path, text in rendered(name).items():
        target = place / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        except OSError as error:
            raise UserError(f"{target}: cannot be written: {error.strerror}") from None
        written.append(target)
    return written


def rendered(name: str) -> dict[str, str]:
    """The files of the package by their path in it."""
    start = files("jobs") / "start" / "connector"
    return {_named(path, name): _named(text, name) for path, text in _texts(start, "")}


def _texts(folder: Traversable, path: str) -> list[tuple[str, str]]:
    found = []
    for one in sorted(folder.iterdir(), key=lambda one: one.name):
        if one.name[:1] in "._" and one.name != "__init__.py":
            continue  # what tools leave behind
        if one.is_dir():
            found += _texts(one, f"{path}{one.name}/")
        elif one.is_file():
            found.append((path + one.name, one.read_text("utf-8")))
    return found


def _named(text: str, name: str) -> str:
    return text.replace(_EXAMPLE.capitalize(), name.capitalize()).replace(_EXAMPLE, name)


def connectors() -> list[dict[str, Any]]:
    """Every connector that is installed, whose it is, and what it follows; one that cannot be loaded says why.

    Raises: ``TwoOwners``.
    """
    found = []
    for name, (owner, target) in sorted(owners().items()):
        row: dict[str, Any] = {"name": name, "owner": owner, "plugin": target, "sources": None, "problem": None}
        try:
            row["sources"] = load(name).sources
        except UnknownSystem as error:
            row["problem"] = str(error)
        found.append(row)
    return found


def show_connectors(found: list[dict[str, Any]]) -> None:
    """Print them."""
    rows = [(one["name"], one["owner"], one["problem"] or one["sources"]) for one in found]
    console().print(table("", ("connector", "from", "follows"), rows))
