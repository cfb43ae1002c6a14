"""A derivation as a Mermaid flow chart, for pages that draw those."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from textwrap import wrap

from jobs.derivation.tree import Node
from jobs.printing import harmless

_MOST = 160
"""Characters of a box; the rest is left to the other formats."""


def as_mermaid(trees: Sequence[Node]) -> str:
    """The chart's text: what a step stands on points at it."""
    numbers = count(1)
    lines = [line for tree in trees for line in _boxes(tree, next(numbers), numbers)]
    return "\n".join(["flowchart LR", *lines]) + "\n"


def _boxes(node: Node, number: int, numbers: Iterator[int]) -> Iterator[str]:
    words = f"{node.title}: {node.says}" if node.says else node.title
    short = words if len(words) <= _MOST else words[: _MOST - 1] + "…"
    label = "<br>".join(_quoted(line) for line in wrap(short, 50))
    yield f'  n{number}["{label}"]'
    for each in node.stands_on:
        below = next(numbers)
        yield from _boxes(each, below, numbers)
        yield f"  n{below} --> n{number}"


def _quoted(text: str) -> str:
    """Mermaid's own way of writing what would end a label or begin a tag."""
    text = harmless(text)
    for sign, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("`", "#96;")):
        text = text.replace(sign, code)
    return text
