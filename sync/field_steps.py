"""What is done with the value of a source, in order: transforms, table of words, the record's own type, default."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sync.moments import FORMAT_WORDS, Parser, Zone, iso, parser_of
from sync.raw_rows import Get, Plain, Row, Scope, Source, absent, missing, zone_of
from sync.record_shapes import Shape, converter
from sync.refusal import Refused, shown
from sync.transforms import TRANSFORMS, Convert, picklist, text
from sync.yaml_nodes import Node, did_you_mean

COMMON_KEYS = ("transform", "values", "otherwise", "default", "required", "zone", "format", "direction")
"""Keys that may stand beside any source."""
_REPEATING = {"choice", "date", "currency"}
"""Kinds of which a page holds few different values."""
_MOST_REMEMBERED = 4096


def finished(keys: Mapping[str, Node], shape: Shape, scope: Scope, target: str, source: Source) -> Source:
    """Add transforms, values, default and the record's own type to a source."""
    zone = zone_of(keys["zone"]) if "zone" in keys else scope.zone
    parse = _format(keys["format"]) if "format" in keys else iso
    otherwise = _otherwise(keys, shape, target)
    names, steps = _transforms(keys.get("transform"), zone, parse)
    if "format" in keys and not names and shape.kind not in ("date", "instant"):
        keys["format"].fail("format only where a date or an instant is needed, or with the transform date or instant")
    if otherwise == "keep":
        steps = [_kept(_chain(steps))] if steps else []
    words = _values(keys, shape)
    if words is not None:
        steps.append(picklist(words, otherwise))
    last = TRANSFORMS[names[-1]].gives if names and words is None else ""
    if otherwise == "keep" and last != "text":
        last = ""  # a value that is kept is text
    # What a transform gives is always fit for a field of any kind; an id has a length that no transform knows.
    if not last or shape.kind not in (last, "any") or shape.longest is not None:
        moved = words is not None or any(TRANSFORMS[name].gives in ("date", "instant") for name in names)
        steps.append(converter(shape, zone, iso if moved else parse))
    convert = _chain(steps)
    if otherwise == "null":
        convert = _dropped(convert)
    if shape.kind in _REPEATING:
        convert = remembered(convert)
    default = _default(keys, shape, zone)
    required = "required" in keys and keys["required"].flag()
    strict = words is not None and otherwise == "reject"
    uses = tuple(replace(use, transforms=names, values=tuple(words or ()), strict=strict) for use in source.uses)
    as_it_is = not names and words is None and shape.kind in ("text", "any")
    longest = (shape.longest or sys.maxsize) if as_it_is else -1
    plain = None if source.path is None else Plain(target, source.path, convert, default, required, longest)
    get = _ended(_piped(source.get, convert), default, required)
    return Source(get, uses, source.lookups, source.path, plain, shape.assured)


def _otherwise(keys: Mapping[str, Node], shape: Shape, target: str) -> str:
    """What becomes of a value that cannot be taken. YAML's own null is the natural way to write ``null``."""
    node = keys.get("otherwise")
    if node is None:
        return "reject"
    found = "null" if node.value is None else node.one_of(("reject", "keep", "null"))
    if found != "reject" and shape.inexact_refused:
        node.fail(f"reject for {target}", hint="Money and rates that cannot be read are never left out without a word")
    return found


def _kept(convert: Convert) -> Convert:
    def keep(raw: Any) -> Any:
        try:
            return convert(raw)
        except Refused:
            return text(raw)

    return keep


def _dropped(convert: Convert) -> Convert:
    def drop(raw: Any) -> Any:
        try:
            return convert(raw)
        except Refused:
            return None

    return drop


def _piped(read: Get, convert: Convert) -> Get:
    def get(row: Row) -> Any:
        raw = read(row)
        return None if absent(raw) else convert(raw)

    return get


def _ended(read: Get, default: Any, required: bool) -> Get:
    def get(row: Row) -> Any:
        found = read(row)
        if found is None:
            if default is None and required:
                raise missing()
            return default
        return found

    return get


def _chain(steps: Sequence[Convert]) -> Convert:
    if len(steps) == 1:
        return steps[0]

    def convert(raw: Any) -> Any:
        for step in steps:
            raw = step(raw)
            if raw is None or absent(raw):
                return None
        return raw

    return convert


def remembered(convert: Convert) -> Convert:
    """The same, with the answers for short texts kept: a few hundred days and picklist words make up whole tables."""
    known: dict[str, Any] = {}

    def convert_once(raw: Any) -> Any:
        if type(raw) is not str:
            return convert(raw)
        found = known.get(raw)
        if found is None:
            found = convert(raw)
            if len(known) < _MOST_REMEMBERED and len(raw) < 64:
                known[raw] = found
        return found

    return convert_once


def _format(node: Node) -> Parser:
    try:
        return parser_of(node.text("a date format"))
    except ValueError as error:
        node.fail(f"a format made of {FORMAT_WORDS} such as D/M/YYYY HH24:MI, or epoch_s, epoch_ms", found=str(error))


def _transforms(node: Node | None, zone: Zone, parse: Parser) -> tuple[tuple[str, ...], list[Convert]]:
    names: list[str] = []
    steps: list[Convert] = []
    for item in node.items() if node else []:
        argument: Any = None
        if isinstance(item.value, dict):
            if len(item.value) != 1:
                item.fail("one transform with its argument, such as {truncate: 255}")
            name, inner = next(iter(item.value.items()))
            argument = inner.plain
        else:
            name, inner = item.text("the name of a transform"), item
        if name not in TRANSFORMS:
            item.fail(", ".join(TRANSFORMS), found=repr(name), hint=did_you_mean(name, TRANSFORMS))
        transform = TRANSFORMS[name]
        good = argument is None if transform.argument is None else type(argument) is transform.argument
        if not good or (isinstance(argument, int) and argument < 1) or argument == "":
            kind = {int: "a whole number above 0", str: "a text", dict: "a mapping old: new"}
            wanted = kind[transform.argument] if transform.argument else "no argument"
            inner.fail(f"{name} with {wanted}")
        if isinstance(argument, dict) and not all(isinstance(new, str) and old for old, new in argument.items()):
            inner.fail("replace with texts, such as {replace: {old: new}}")
        names.append(name)
        steps.append(transform.build(argument, zone, parse))
    return tuple(names), steps


def _values(keys: Mapping[str, Node], shape: Shape) -> dict[str, Any] | None:
    """The table from the system's words to ours, each of ours fit for the field."""
    if "values" not in keys:
        return None
    found = {}
    own = converter(shape) if shape.kind in ("choice", "boolean", "integer", "currency", "text") else None
    for word, node in keys["values"].mapping().items():
        if isinstance(node.value, (dict, list)):
            node.fail("one value")
        found[word] = node.value
        if own is not None and node.value is not None:
            try:
                own(node.value)
            except Refused as error:
                hint = did_you_mean(str(node.value), map(str, shape.values))
                node.fail(error.allowed.partition(" (map")[0], hint=hint)
    return found


def _default(keys: Mapping[str, Node], shape: Shape, zone: Zone) -> Any:
    if "default" not in keys:
        return None
    node = keys["default"]
    if node.value is None:
        node.fail("a value")
    try:
        return converter(shape, zone)(node.plain)
    except Refused as error:
        node.fail(error.allowed, found=shown(node.plain))
