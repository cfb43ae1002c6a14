"""A derivation as a picture, PNG or SVG, typeset by Typst."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module

from jobs.derivation.tree import Node
from jobs.printing import harmless
from jobs.problems import UserError

_COLOURS = {"formula": "#176b2c", "record": "#0b5a75", "terms": "#7a2a7a", "setting": "#7a2a7a", "clause": "#555555"}
_HEAD = "#set page(width: 26cm, height: auto, margin: 1cm)\n#set text(size: 9pt)\n#set par(leading: 0.5em)\n"


def as_picture(trees: Sequence[Node], form: str) -> bytes:
    """One page as high as the trees need; ``form`` is png or svg. Raises: ``UserError`` when Typst is not installed."""
    try:
        typst = import_module("typst")
    except ModuleNotFoundError:
        raise UserError(
            f"--format: found {form}, which needs the package typst; allowed: text, json, html, mermaid"
        ) from None
    source = _HEAD + "\n".join(line for tree in trees for line in _blocks(tree))
    drawn: bytes = typst.compile(source.encode(), format=form, ppi=144.0)
    return drawn


def _blocks(node: Node) -> Iterator[str]:
    colour = _COLOURS.get(node.kind, "#000000")
    yield "#block(inset: (left: 8pt, y: 2pt), stroke: (left: 1pt + luma(200)), spacing: 4pt)["
    yield f'#text(weight: "bold", fill: rgb("{colour}"), {_string(node.title)}) #h(4pt) #text({_string(node.says)})'
    for each in node.stands_on:
        yield from _blocks(each)
    yield "]"


def _string(text: str) -> str:
    """A Typst string: nothing in it is markup."""
    escaped = harmless(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
