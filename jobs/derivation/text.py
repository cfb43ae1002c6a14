"""A derivation as a tree of lines, for a terminal or a file."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.text import Text
from rich.tree import Tree

from jobs.derivation.tree import Node
from jobs.show import console

_STYLES = {
    "row": "bold",
    "formula": "green",
    "record": "cyan",
    "terms": "magenta",
    "setting": "magenta",
    "clause": "dim",
}
_WIDE = 100_000
"""Lines of a file are not broken, so that they can be searched."""


def show(trees: Sequence[Node]) -> None:
    """Print trees to a terminal, broken at its width; or whole lines when standard output is none."""
    out = console(wide=_WIDE)
    for tree in trees:
        out.print(_branch(tree))


def as_text(trees: Sequence[Node]) -> str:
    """Trees as plain text."""
    made = io.StringIO()
    out = console(made, wide=_WIDE)
    for tree in trees:
        out.print(_branch(tree))
    return made.getvalue()


def _branch(node: Node, under: Tree | None = None) -> Tree:
    label = Text(node.title, style=_STYLES.get(node.kind, ""))
    if node.says:
        label.append(f"  {node.says}", style="not bold")
    branch = Tree(label) if under is None else under.add(label)
    for each in node.stands_on:
        _branch(each, branch)
    return branch
