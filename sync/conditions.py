"""Conditions (``when``) of mappings: a field that is true, a comparison with words, a CEL expression, or several of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sync.refusal import Refused
from sync.transforms import FALSE_WORDS, TRUE_WORDS, boolean, text
from sync.yaml_nodes import Node

Condition = Callable[[Any], bool]
"""Says whether a row meets it. Raises: ``Refused`` for a value that is no answer."""
Read = Callable[[Any], Any]


def condition_of(
    node: Node, word: str, read: Callable[[Node, str], Read], evaluate: Callable[[Node, str], Read]
) -> Condition:
    """Compile a condition; ``word`` is the key that names a field (``field`` or ``row``). Raises: ``MappingError``."""
    if isinstance(node.value, list):
        parts = [condition_of(part, word, read, evaluate) for part in node.value]
        if not parts:
            node.fail("at least one condition")
        return lambda row: all(part(row) for part in parts)
    if not isinstance(node.value, dict):
        return _true(read(node, node.text(f"a {word} name, or a mapping with {word} or cel")))
    keys = node.keys((word, "is", "in", "not", "present", "cel"))
    if "cel" in keys:
        if len(keys) > 1:
            node.fail("cel alone")
        return _truth(evaluate(keys["cel"], keys["cel"].text("a CEL expression")))
    if word not in keys:
        node.fail(f"the key {word!r} or 'cel'")
    get = read(keys[word], keys[word].text("a name"))
    tests = [key for key in keys if key != word]
    if not tests:
        return _true(get)
    if len(tests) > 1:
        node.fail("only one of is, in, not, present")
    test, wanted = tests[0], keys[tests[0]]
    if test == "present":
        present = wanted.flag()
        return lambda row: _present(get(row)) is present
    if test == "is" and isinstance(wanted.value, list):
        wanted.fail("one value; a list goes with `in`")
    words = [_word(item) for item in wanted.items()]
    if not words:
        wanted.fail("at least one value")
    if test == "not":
        return lambda row: not _among(get(row), words)
    return lambda row: _among(get(row), words)


def _word(node: Node) -> str:
    if node.value is None or isinstance(node.value, (dict, list)):
        node.fail("a value; for an absent one use `present: false`")
    return text(node.value) or ""


def _present(raw: Any) -> bool:
    return raw is not None and raw != [] and not (isinstance(raw, str) and not raw.strip())


def _among(raw: Any, words: list[str]) -> bool:
    if not _present(raw):
        return False
    if isinstance(raw, bool):
        same = TRUE_WORDS if raw else FALSE_WORDS
        return any(word.lower() in same for word in words)
    return text(raw) in words


def _true(get: Read) -> Condition:
    def condition(row: Any) -> bool:
        raw = get(row)
        return False if not _present(raw) else boolean(raw) is True

    return condition


def _truth(get: Read) -> Condition:
    def condition(row: Any) -> bool:
        found = get(row)
        if not isinstance(found, bool):
            raise Refused(found, "a condition that gives true or false")
        return found

    return condition
