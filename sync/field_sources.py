"""Where the value of one field comes from, compiled from the mapping into small functions.

A source reads a :class:`~sync.raw_rows.Row` (one raw record, and the list elements in scope) and gives a clean value
or ``None`` when there is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sync.conditions import Condition, condition_of
from sync.expressions import Expression, ExpressionError, compile_expression
from sync.field_steps import COMMON_KEYS, finished
from sync.raw_rows import (
    Get,
    LookupUse,
    Row,
    Scope,
    Source,
    Use,
    absent,
    elements_of,
    fill,
    list_at,
    path_getter,
    reader_of,
    told_apart,
)
from sync.record_shapes import ANY, Shape
from sync.refusal import Refused
from sync.related import came_with
from sync.transforms import text
from sync.yaml_nodes import Node, did_you_mean

ORIGINS = ("first", "value", "template", "lookup", "list", "cel")
"""Keys that say where a value comes from, beside `field` or `row`."""
_PART = re.compile(r"\{([^{}]*)\}")


def template_of(node: Node, written: str, scope: Scope, target: str, shape: Shape) -> Source:
    """Text with ``{field}`` parts; absent when a part is absent."""
    if written.count("{") != len(_PART.findall(written)) or written.count("}") != written.count("{"):
        node.fail('text with {field} parts, such as "{id}-{application.invoice}"')
    pieces = _PART.split(written)
    texts = pieces[::2]
    names = [name.strip() for name in pieces[1::2]]
    read = [reader_of(node, name, scope) for name in names]

    def get(row: Row) -> str | None:
        made = texts[0]
        for (reader, _), after in zip(read, texts[1:], strict=True):
            part = reader(row)
            shown_part = None if absent(part) else text(part)
            if shown_part is None:
                return None
            made += shown_part + after
        return made

    return Source(get, tuple(Use(path, target, ANY, node) for _, path in read if path))


def source_of(node: Node, shape: Shape, scope: Scope, target: str) -> Source | None:
    """Compile the source of one field; ``None`` when it is switched off. Raises: ``MappingError``."""
    if not isinstance(node.value, dict):
        name = node.text(f"a {scope.word} name, or a mapping with one of {scope.word}, {', '.join(ORIGINS)}")
        return finished({}, shape, scope, target, _plain(node, name, scope, target, shape))
    keys = node.value
    if "list" in keys:
        return _list(node, shape, scope, target)
    origins = [key for key in (scope.word, *ORIGINS) if key in keys]
    if not origins or "fields" in keys:
        return _object(node, shape, scope, target)
    if len(origins) > 1:
        node.fail(f"only one of {', '.join(origins)}")
    keys = node.keys((scope.word, *ORIGINS, *COMMON_KEYS))
    if "direction" in keys and _off(keys["direction"], scope):
        return None
    inner = keys[origins[0]]
    if shape.kind == "object" and shape.members:
        node.fail(f"an object with {', '.join(shape.names)}", found=f"one {origins[0]}")
    if origins[0] == scope.word:
        source = _plain(inner, inner.text("a name"), scope, target, shape)
    elif origins[0] == "value":
        source = _constant(inner)
    elif origins[0] == "first":
        source = _first(inner, scope, target, shape)
    elif origins[0] == "template":
        source = template_of(inner, inner.text(), scope, target, shape)
    elif origins[0] == "lookup":
        source = _lookup(inner, scope, target)
    else:
        source = _expression(inner, shape, scope, target)
    return finished(keys, shape, scope, target, source)


def _off(node: Node, scope: Scope) -> bool:
    assert not scope.rows, "a write part settles its direction itself"
    return node.one_of(("pull", "off")) == "off"


def _plain(node: Node, name: str, scope: Scope, target: str, shape: Shape) -> Source:
    get, path = reader_of(node, name, scope)
    own = path == name and "." not in name
    return Source(get, (Use(path, target, shape, node),) if path else (), path=name if own else None)


def _constant(node: Node) -> Source:
    value = node.plain
    if value is None:
        node.fail("a value")
    return Source(lambda _row: value)


def _first(node: Node, scope: Scope, target: str, shape: Shape) -> Source:
    read = [reader_of(part, part.text("a field name"), scope) for part in node.items()]
    if len(read) < 2:
        node.fail("a list of two or more field names")

    def get(row: Row) -> Any:
        for reader, _ in read:
            raw = reader(row)
            if not absent(raw):
                return raw
        return None

    return Source(get, tuple(Use(path, target, shape, node) for _, path in read if path))


def _lookup(node: Node, scope: Scope, target: str) -> Source:
    keys = node.keys((scope.word, "object", "get", "required"), (scope.word, "object", "get"))
    if scope.rows:
        node.fail("row, value, template, first or cel in a write part", found="a lookup")
    kind, wanted = keys["object"].text("an object name"), keys["get"].text("a field name")
    must = keys["required"].flag() if "required" in keys else True
    read, path = reader_of(keys["field"], keys["field"].text("a field name"), scope)
    inner = path_getter(wanted)

    def get(row: Row) -> Any:
        raw = read(row)
        identity = None if absent(raw) else text(raw)
        if identity is None:
            return None
        parent = row.lookups.get(kind, identity)
        if parent is None:
            if must:
                raise Refused(
                    identity, f"a {kind} that has been pulled; this record waits for it", "waiting", (kind, identity)
                )
            return None
        if not came_with(parent, wanted):
            allowed = f"a {kind} with its {wanted}, which is not read now; this record waits for it"
            raise Refused(identity, allowed, "waiting", (kind, identity))
        return inner(parent)

    use = (Use(path, target, ANY, keys["field"]),) if path else ()
    return Source(get, use, (LookupUse(kind, wanted, keys["object"]),))


def _expression(node: Node, shape: Shape, scope: Scope, target: str) -> Source:
    if shape.inexact_refused:
        node.fail(
            f"field, first, value, template or lookup for {target}",
            found="a cel expression that would make money or a rate",
            hint="CEL computes with binary floats; amounts stay exact text from the system to the ledger",
        )
    expression = expression_at(node, node.text("a CEL expression"))
    read, uses = expression_reads(node, expression, scope, target)
    return Source(lambda row: expression.value(lambda path: read[path](row)), uses)


def expression_at(node: Node, source: str) -> Expression:
    """Compile CEL. Raises: ``MappingError`` at the node."""
    try:
        return compile_expression(source)
    except ExpressionError as error:
        node.fail(error.allowed, found=error.found)


def expression_reads(
    node: Node, expression: Expression, scope: Scope, target: str
) -> tuple[dict[str, Get], tuple[Use, ...]]:
    """How to read each name of an expression, and which fields that needs."""
    read = {path: reader_of(node, path, scope)[0] for path in expression.paths}
    needed = [reader_of(node, path, scope)[1] for path in expression.fields]
    return read, tuple(Use(path, target, ANY, node) for path in needed if path)


def condition_at(node: Node, scope: Scope) -> tuple[Condition, tuple[Use, ...]]:
    """Compile a ``when``. Raises: ``MappingError``."""
    uses: list[Use] = []

    def read(place: Node, path: str) -> Get:
        get, needed = reader_of(place, path, scope)
        if needed:
            uses.append(Use(needed, "when", ANY, place))
        return get

    def evaluate(place: Node, source: str) -> Get:
        expression = expression_at(place, source)
        reads, needed = expression_reads(place, expression, scope, "when")
        uses.extend(needed)
        return lambda row: expression.value(lambda path: reads[path](row))

    return condition_of(node, scope.word, read, evaluate), tuple(uses)


def _object(node: Node, shape: Shape, scope: Scope, target: str) -> Source:
    """An object of our record: its members each have a source."""
    members = node.mapping()
    if "fields" in members:
        members = node.keys(("fields",))["fields"].mapping()
    if shape.kind not in ("object", "any"):
        known = (scope.word, *ORIGINS, *COMMON_KEYS)
        odd = next((key for key in members if key not in known), "")
        hint = did_you_mean(odd, known) if odd else ""
        node.fail(f"one of the keys {scope.word}, {', '.join(ORIGINS)}", hint=hint)
    if not members:
        node.fail("an object with at least one field")
    found: list[tuple[str, Source]] = []
    for name, inner in members.items():
        if shape.members and name not in shape.names:
            inner.fail(
                ", ".join(shape.names),
                found=f"unknown field {name!r} of {target}",
                hint=did_you_mean(name, shape.names),
            )
        member = shape.names[name] if shape.members else shape.item or ANY
        source = source_of(inner, member, scope, f"{target}.{name}")
        if source is not None:
            found.append((name, source))
    return Source(
        _object_getter(found),
        tuple(use for _, source in found for use in source.uses),
        tuple(use for _, source in found for use in source.lookups),
        assured=all(source.assured for _, source in found)
        and not any(member.required for member in shape.names.values()),
    )


def _object_getter(members: Sequence[tuple[str, Source]]) -> Get:
    """A function that makes an object, absent when no member has a value."""
    plain, others = told_apart(members)

    def get(row: Row) -> dict[str, Any] | None:
        made: dict[str, Any] = {}
        fill(made, row.fields, plain)
        for name, read in others:
            try:
                value = read(row)
            except Refused as error:
                raise error.inside(name) from None
            if value is not None:
                made[name] = value
        return made or None

    return get


def _list(node: Node, shape: Shape, scope: Scope, target: str) -> Source | None:
    """A list of objects, one for each element of a list field."""
    keys = node.keys(("list", "as", "when", "fields", "required", "direction"), ("list", "as", "fields"))
    if "direction" in keys and _off(keys["direction"], scope):
        return None
    if shape.kind not in ("list", "any"):
        node.fail(f"one value for {target}", found="a list of objects")
    name, list_path, read = list_at(keys["list"], keys["as"], scope)
    inner = scope.inside(name, list_path)
    item = shape.item or ANY
    member = _object(keys["fields"], item, inner, target)
    condition, uses = condition_at(keys["when"], inner) if "when" in keys else (None, ())
    required = "required" in keys and keys["required"].flag()

    def get(row: Row) -> list[Any] | None:
        made = []
        for number, element in enumerate(elements_of(read(row)), 1):
            row.elements[name] = (element, number)
            try:
                if condition is None or condition(row):
                    value = member.get(row)
                    if value is not None:
                        made.append(value)
            except Refused as error:
                raise error.inside(str(number - 1)) from None
        if not made and required:
            raise Refused(None, "at least one element (this field is required by the mapping)", "missing")
        return made or None

    return Source(get, (*member.uses, *uses), member.lookups)
