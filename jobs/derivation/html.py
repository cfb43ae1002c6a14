"""A derivation as one HTML page that needs nothing else: branches open and close without any script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from jobs.derivation.tree import Node
from jobs.printing import harmless

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "details,.leaf{margin-left:1.2rem;border-left:2px solid #ddd;padding-left:.7rem}summary{cursor:pointer}"
    "b{font-weight:600}.formula b{color:#176b2c}.record b{color:#0b5a75}.terms b,.setting b{color:#7a2a7a}"
    ".clause{color:#555}span{color:#333}"
)


def as_html(title: str, trees: Sequence[Node]) -> str:
    """The page; the first two levels are open."""
    body = "\n".join(part for tree in trees for part in _branch(tree, 0))
    title = _text(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )


def _branch(node: Node, depth: int) -> Iterator[str]:
    words = f"<b>{_text(node.title)}</b> <span>{_text(node.says)}</span>"
    if not node.stands_on:
        yield f'<div class="leaf {node.kind}">{words}</div>'
        return
    yield f'<details class="{node.kind}"{" open" if depth < 2 else ""}><summary>{words}</summary>'
    for each in node.stands_on:
        yield from _branch(each, depth + 1)
    yield "</details>"


def _text(text: str) -> str:
    return escape(harmless(text))
