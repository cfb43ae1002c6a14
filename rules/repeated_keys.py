"""Names that stand twice in one object of a record: a parser takes the last one and tells nothing of the others.

Looking at every name would cost as much as reading the record. So the names in the line are only counted, and compared with
what the record has; a line is read by its names where there are more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from operator import attrgetter
from typing import Any

import orjson

from rules.errors import RecordError
from rules.records import RECORDS, Fact, Withdrawal, shortened


def check_repeated_keys(line: bytes | str, record: Fact | Withdrawal) -> None:
    """Refuse a line in which a name stands twice in one object. Raises: ``RecordError``. ``record``: what was read of it."""
    text = line.encode() if isinstance(line, str) else line
    if b'" :' not in text:  # then each name is followed by its colon, and can be counted
        names = text.count(b'":')
        kind = _KINDS.get(record.__class__)
        if kind is not None:
            most, values_of, has_lines = kind
            given = most - values_of(record).count(None)
            if has_lines and record.lines:  # type: ignore[union-attr]
                given += 2 * len(record.lines)  # type: ignore[union-attr]
            if names == given:
                return
        body = orjson.loads(text)
        if names == len(body) or names == _names_in(body):
            return
    for path, said in _repeated(json.loads(text, object_pairs_hook=_Pairs)):
        raise RecordError(
            path, " and ".join(map(shortened, said)), "each name once in a record, and in each of its objects"
        )


def _kind(model: type[Fact]) -> tuple[int, Callable[[Any], tuple[Any, ...]], bool]:
    """How many names a record of a type has at most, without those in objects and those that say what holds anyway; the
    values that are ``None`` where one of them was not given; whether it has lines, of two names each."""
    required = [each.name for each in fields(model) if each.default is MISSING]
    optional = [each.name for each in fields(model) if each.default is None]
    return len(required) + len(optional), attrgetter("id", *optional), "lines" in (*required, *optional)


_KINDS: dict[type, tuple[int, Callable[[Any], tuple[Any, ...]], bool]] = {
    model: _kind(model) for model in RECORDS.values()
}


def _names_in(value: Any) -> int:
    """How many names there are in an object or list and within it, each once."""
    count = 0
    if isinstance(value, dict):
        count, value = len(value), value.values()
    for inner in value:
        if inner.__class__ is dict or inner.__class__ is list:
            count += _names_in(inner)
    return count


class _Pairs(list[tuple[str, Any]]):
    """An object, as its names and values in order."""


def _repeated(value: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Names that stand twice in one object, by their place, with what they say."""
    if isinstance(value, _Pairs):
        said: dict[str, list[Any]] = {}
        for name, inner in value:
            said.setdefault(name, []).append(inner)
        for name, values in said.items():
            if len(values) > 1:
                yield path + name, values
            for inner in values:
                yield from _repeated(inner, f"{path}{name}.")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _repeated(inner, f"{path}{number}.")
