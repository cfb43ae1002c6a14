"""YAML with line numbers, for files that people write: every complaint names file, line and key.

YAML 1.2 (``NO`` stays text, ``012`` stays 12). Nothing is constructed but text, whole numbers, booleans, nothing,
lists and mappings; numbers with a decimal point stay the text that was written, so that no float is ever made.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from sync.errors import SyncError

LARGEST_FILE = 1_000_000
DEEPEST = 50
MOST_VALUES = 50_000
"""Nodes of one file, aliases counted at every use: stops a file that unfolds without end."""


class MappingError(SyncError):
    """A mapping file that cannot be used: file, line, key, what was found, what is allowed."""

    def __init__(self, file: str, line: int, key: str, found: str, allowed: str, hint: str = "") -> None:
        at = f"{file}:{line}: " + (f"{key}: " if key else "")
        super().__init__(f"{at}found {found}; allowed: {allowed}" + (f". {hint}" if hint else ""))
        self.file, self.line, self.key, self.found, self.allowed, self.hint = file, line, key, found, allowed, hint


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint naming the closest known word, or nothing."""
    lowered = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return f"Did you mean {lowered[close[0]]!r}?" if close else ""


def shortened(value: Any, length: int = 40) -> str:
    """A value as it may be shown in an error: quoted text, cut at ``length`` characters."""
    shown = repr(value) if isinstance(value, str) else str(value)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the file and where it stands. ``value`` is plain, or a list or dict of nodes."""

    value: Any = field(repr=False)
    file: str
    line: int
    key: str

    def fail(self, allowed: str, *, found: str | None = None, hint: str = "") -> NoReturn:
        """Raise: ``MappingError`` at this place."""
        raise MappingError(self.file, self.line, self.key, found or self.shown, allowed, hint)

    @property
    def shown(self) -> str:
        """What stands here, in a few words."""
        if isinstance(self.value, dict):
            return "a mapping with " + (", ".join(list(self.value)[:6]) or "no keys")
        if isinstance(self.value, list):
            return f"a list of {len(self.value)}"
        return "nothing" if self.value is None else shortened(self.value)

    @property
    def plain(self) -> Any:
        """The value without places, for constants and hashes."""
        if isinstance(self.value, dict):
            return {key: node.plain for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain for node in self.value]
        return self.value

    def keys(self, allowed: Iterable[str], required: Iterable[str] = ()) -> dict[str, Node]:
        """The mapping's nodes by key. Raises: ``MappingError`` for an unknown or missing key."""
        names = list(allowed)
        found = self.mapping()
        for name, node in found.items():
            if name not in names:
                node.fail(", ".join(names), found=f"unknown key {name!r}", hint=did_you_mean(name, names))
        for name in required:
            if name not in found:
                self.fail(f"the key {name!r} is required here", found=self.shown)
        return found

    def mapping(self) -> dict[str, Node]:
        """The nodes by key. Raises: ``MappingError`` when this is no mapping."""
        if not isinstance(self.value, dict):
            self.fail("a mapping (key: value)")
        return self.value

    def items(self) -> list[Node]:
        """The nodes of a list; a single value counts as a list of one."""
        if self.value is None:
            self.fail("a list")
        return self.value if isinstance(self.value, list) else [self]

    def text(self, what: str = "a text") -> str:
        """The text. Raises: ``MappingError`` for anything else, or for an empty one."""
        if not isinstance(self.value, str) or not self.value.strip():
            self.fail(what)
        return self.value.strip()

    def flag(self) -> bool:
        """True or false. Raises: ``MappingError`` for anything else."""
        if not isinstance(self.value, bool):
            self.fail("true or false")
        return self.value

    def one_of(self, allowed: Iterable[str], what: str = "") -> str:
        """One of these words. Raises: ``MappingError`` with the closest one."""
        names = list(allowed)
        word = self.text(what or ", ".join(names))
        if word not in names:
            self.fail(what or ", ".join(names), hint=did_you_mean(word, names))
        return word


def read_text(path: Path | str) -> str:
    """The text of a file. Raises: ``MappingError``."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "bytes that are not UTF-8"
        raise MappingError(str(path), 1, "", str(reason), "a readable UTF-8 file") from None


def read_yaml(path: Path | str, text: str) -> Node:
    """Read one YAML document. Raises: ``MappingError`` for text that is no YAML, or is too large."""
    file = str(path)
    if len(text) > LARGEST_FILE:
        raise MappingError(file, 1, "", f"{len(text)} characters", f"a file of at most {LARGEST_FILE}")
    if _brackets(text) > DEEPEST:
        raise MappingError(
            file, 1, "", f"more than {DEEPEST} brackets inside each other", "a mapping a person can read"
        )
    try:
        root = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise MappingError(file, line, "", error.problem or "text that is not YAML", "YAML 1.2") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise MappingError(file, 1, "", shortened(str(error), 120), "YAML 1.2") from None
    if root is None:
        raise MappingError(file, 1, "", "an empty file", "a mapping")
    budget = iter(range(MOST_VALUES))
    try:
        return _node(root, file, "", budget)
    except RecursionError:
        raise MappingError(file, 1, "", "values nested too deeply", "a mapping a person can read") from None


def _brackets(text: str) -> int:
    """How deep brackets nest; the parser takes seconds over thousands of them."""
    depth = deepest = 0
    for found in re.finditer(r"[\[{]|[\]}]", text):
        depth = depth + 1 if found[0] in "[{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def _node(node: YamlNode, file: str, key: str, budget: Iterator[int]) -> Node:
    line = node.start_mark.line + 1
    if next(budget, None) is None:
        raise MappingError(
            file, line, key, f"more than {MOST_VALUES} values", "a smaller file (aliases count each time)"
        )
    if isinstance(node, ScalarNode):
        return Node(_scalar(node), file, line, key)
    if isinstance(node, SequenceNode):
        rows = [_node(child, file, f"{key}[{number}]", budget) for number, child in enumerate(node.value)]
        return Node(rows, file, line, key)
    assert isinstance(node, MappingNode)
    found: dict[str, Node] = {}
    for key_node, child in node.value:
        at = key_node.start_mark.line + 1
        if not isinstance(key_node, ScalarNode):
            raise MappingError(file, at, key, "a key that is a list or mapping", "a plain word as key")
        name = str(key_node.value)
        path = f"{key}.{name}" if key else name
        if key_node.tag == "tag:yaml.org,2002:merge":
            raise MappingError(file, at, key, "a merge key (<<)", "the keys written out")
        if name in found:
            raise MappingError(
                file, at, path, "the same key twice", f"one {name!r} (the first is on line {found[name].line})"
            )
        read = _node(child, file, path, budget)
        found[name] = Node(read.value, file, at, path)
    return Node(found, file, line, key)


def _scalar(node: ScalarNode) -> Any:
    """Text, whole number, boolean or nothing; everything else stays as written."""
    written = str(node.value)
    if node.style is not None:
        return written
    if node.tag == "tag:yaml.org,2002:null":
        return None
    if node.tag == "tag:yaml.org,2002:bool":
        return written.lower() == "true"
    if node.tag == "tag:yaml.org,2002:int" and written.lstrip("+-").isdecimal() and len(written) < 20:
        return int(written)
    return written
