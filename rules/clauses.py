"""The clauses of the shipped programs in our own words, for whoever asks why."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files


@cache
def all_statements() -> dict[str, str]:
    """What each clause asks for, by its id."""
    from ruamel.yaml import YAML

    found: dict[str, str] = {}
    for path in sorted((files("rules") / "programs" / "clauses").iterdir(), key=lambda each: each.name):
        if path.name.endswith(".yaml"):
            stated = YAML(typ="safe").load(path.read_text("utf-8"))
            found |= {str(name): str(body["says"]) for name, body in stated.items()}
    return found


def statements(ids: Iterable[str]) -> dict[str, str]:
    """What these clauses ask for, in the order given; a clause of a program of one's own is left out."""
    known = all_statements()
    return {name: known[name] for name in dict.fromkeys(ids) if name in known}
