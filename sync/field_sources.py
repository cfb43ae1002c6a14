"""Where the value of one field comes from, compiled from the mapping into small functions.

A source reads a :class:`Row` (one raw record, and the list elements in scope) and gives a clean value or ``None``.
Sources that are one plain field carry ``path`` and ``convert`` apart, so that the loop over records stays short.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from connectors.base import Record
from sync.conditions import Condition, condition_of
from sync.expressions import Expression, ExpressionError, compile_expression
from sync.moments import FORMAT_WORDS, Parser, Zone, iso, parser_of
from sync.record_shapes import ANY, Shape, converter
from sync.refusal import Refused, shown
from sync.transforms import TRANSFORMS, Convert, picklist, text
from sync.yaml_nodes import Node, did_you_mean

Get = Callable[["Row"], Any]


class Lookups(Protocol):
    """Raw fields of records already pulled over the same connection."""

    def get(self, kind: str, external_id: str) -> Mapping[str, Any] | None:
        """The record's raw fields, or ``None`` when it has not been pulled (yet)."""
        ...


class Row:
    """One raw record under the reader's eyes; ``elements`` are the list elements in scope, by their ``as`` name."""

    __slots__ = ("elements", "fields", "lookups", "record")

    def __init__(self, record: Record | None, fields: Mapping[str, Any], lookups: Lookups) -> None:
        self.record = record
        self.fields = fields
        self.lookups = lookups
        self.elements: dict[str, tuple[Any, int]] = {}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a source may name where it stands: list elements by ``as``, each with the list's field; and defaults."""

    zone: Zone = None
    elements: Mapping[str, str] = field(default_factory=dict)
    rows: bool = False
    """True for outcome rows (write): sources say ``row``, not ``field``."""

    def inside(self, name: str, list_path: str) -> Scope:
        """The scope of the elements of a list."""
        return replace(self, elements={**self.elements, name: list_path})

    @property
    def word(self) -> str:
        """The key that names a field here."""
        return "row" if self.rows else "field"


@dataclass(frozen=True, slots=True)
class Use:
    """One field of an object that a mapping reads or writes: for checks against the system's description."""

    path: str
    target: str
    shape: Shape
    place: Node
    transforms: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    """The system's words that the mapping translates."""
    strict: bool = False
    """Whether a word that is not among ``values`` rejects the record."""


@dataclass(frozen=True, slots=True)
class LookupUse:
    """A look-up of another object's field."""

    object: str
    get: str
    place: Node


@dataclass(frozen=True, slots=True)
class Source:
    """A compiled source. ``path`` and ``convert`` are set when it is one field of the record and no default."""

    get: Get
    uses: tuple[Use, ...] = ()
    lookups: tuple[LookupUse, ...] = ()
    path: str | None = None
    convert: Convert | None = None


_ORIGINS = ("first", "value", "template", "lookup", "list", "cel")
_COMMON = ("transform", "values", "otherwise", "default", "required", "zone", "format", "direction")
_META: dict[str, Callable[[Record], Any]] = {
    "$id": lambda record: record.external_id,
    "$created_at": lambda record: record.created_at,
    "$modified_at": lambda record: record.modified_at,
}
_PART = re.compile(r"\{([^{}]*)\}")
_REPEATING = {"choice", "date", "currency"}
"""Kinds of which a page holds few different values."""
_MOST_REMEMBERED = 4096


def absent(raw: Any) -> bool:
    """Whether a raw value counts as no value: nothing, empty or blank text, an empty list."""
    return raw is None or raw == "" or (isinstance(raw, str) and not raw.strip()) or (isinstance(raw, list) and not raw)


def zone_of(node: Node) -> ZoneInfo:
    """A time zone by its IANA name. Raises: ``MappingError``."""
    name = node.text("an IANA time zone such as Australia/Sydney")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        node.fail("an IANA time zone such as Australia/Sydney")


def reader_of(node: Node, path: str, scope: Scope) -> tuple[Get, str | None]:
    """A function that reads a dotted name from a row, and the field to ask the system for (``None``: nothing to ask)."""
    if not path or any(not part.strip() for part in path.split(".")) or len(path) > 200:
        node.fail("a field name")
    if path.startswith("$"):
        if path not in _META or scope.rows:
            node.fail("$id, $created_at, $modified_at" if not scope.rows else "a name of the row", found=repr(path))
        meta = _META[path]
        return (lambda row: meta(row.record)), None
    head, _, rest = path.partition(".")
    if head in scope.elements:
        if rest == "n":
            return (lambda row: row.elements[head][1]), None
        if not rest:
            return (lambda row: row.elements[head][0]), scope.elements[head]
        inner = path_getter(rest)
        return (lambda row: inner(row.elements[head][0])), f"{scope.elements[head]}.{rest}"
    plain = path_getter(path)
    return (lambda row: plain(row.fields)), path


def path_getter(path: str) -> Callable[[Any], Any]:
    """Read a dotted name from raw fields: the name as it is, or step by step into related objects."""
    if "." not in path:
        return lambda fields: fields.get(path) if isinstance(fields, Mapping) else None
    parts = path.split(".")

    def walk(fields: Any) -> Any:
        if not isinstance(fields, Mapping):
            return None
        if path in fields:
            return fields[path]
        for part in parts:
            fields = fields.get(part) if isinstance(fields, Mapping) else None
        return fields

    return walk


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
        name = node.text(f"a {scope.word} name, or a mapping with one of {scope.word}, {', '.join(_ORIGINS)}")
        return _finished(node, {}, shape, scope, target, _plain(node, name, scope, target, shape))
    keys = node.value
    if "list" in keys:
        return _list(node, shape, scope, target)
    origins = [key for key in (scope.word, *_ORIGINS) if key in keys]
    if not origins or "fields" in keys:
        return _object(node, shape, scope, target)
    if len(origins) > 1:
        node.fail(f"only one of {', '.join(origins)}")
    keys = node.keys((scope.word, *_ORIGINS, *_COMMON))
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
    return _finished(node, keys, shape, scope, target, source)


def _off(node: Node, scope: Scope) -> bool:
    direction = "push" if scope.rows else "pull"
    return node.one_of((direction, "off")) == "off"


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
                raise Refused(identity, f"a {kind} that has been pulled; this record waits for it", "waiting", (kind, identity))
            return None
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


def _finished(node: Node, keys: Mapping[str, Node], shape: Shape, scope: Scope, target: str, source: Source) -> Source:
    """Add transforms, values, default and the record's own type to a source."""
    zone = zone_of(keys["zone"]) if "zone" in keys else scope.zone
    parse = _format(keys["format"]) if "format" in keys else iso
    otherwise = _otherwise(keys, shape, target)
    names, steps = _transforms(keys.get("transform"), zone, parse)
    if "format" in keys and not names and shape.kind not in ("date", "instant"):
        keys["format"].fail("format only where a date or an instant is needed, or with the transform date or instant")
    if otherwise == "keep":
        steps = [_kept(_chain(tuple(steps)))] if steps else []
    words = _values(keys, shape)
    if words is not None:
        steps.append(picklist(words, otherwise))
    last = TRANSFORMS[names[-1]].gives if names and words is None and otherwise != "keep" else ""
    if last != shape.kind or shape.kind == "any":
        moved = words is not None or any(TRANSFORMS[name].gives in ("date", "instant") for name in names)
        steps.append(converter(shape, zone, iso if moved else parse))
    convert = steps[0] if len(steps) == 1 else _chain(tuple(steps))
    if otherwise == "null":
        convert = _dropped(convert)
    if shape.kind in _REPEATING:
        convert = remembered(convert)
    default = _default(keys, shape, zone)
    required = "required" in keys and keys["required"].flag()
    strict = words is not None and otherwise == "reject"
    uses = tuple(replace(use, transforms=names, values=tuple(words or ()), strict=strict) for use in source.uses)
    if source.path is not None and default is None and not required:
        return Source(_piped(source.get, convert), uses, source.lookups, source.path, convert)
    return Source(_ended(_piped(source.get, convert), default, required), uses, source.lookups)


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
                raise Refused(None, "a value (this field is required by the mapping)", "missing")
            return default
        return found

    return get


def _chain(steps: tuple[Convert, ...]) -> Convert:
    def convert(raw: Any) -> Any:
        for step in steps:
            if absent(raw):
                return None
            raw = step(raw)
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


def _object(node: Node, shape: Shape, scope: Scope, target: str) -> Source:
    """An object of our record: its members each have a source."""
    members = node.mapping()
    if "fields" in members:
        members = node.keys(("fields",))["fields"].mapping()
    if shape.kind not in ("object", "any"):
        known = (scope.word, *_ORIGINS, *_COMMON)
        odd = next((key for key in members if key not in known), "")
        hint = did_you_mean(odd, known) if odd else ""
        node.fail(f"one of the keys {scope.word}, {', '.join(_ORIGINS)}", hint=hint)
    if not members:
        node.fail("an object with at least one field")
    found: list[tuple[str, Source]] = []
    for name, inner in members.items():
        if shape.members and name not in shape.names:
            inner.fail(", ".join(shape.names), found=f"unknown field {name!r} of {target}", hint=did_you_mean(name, shape.names))
        member = shape.names[name] if shape.members else shape.item or ANY
        source = source_of(inner, member, scope, f"{target}.{name}")
        if source is not None:
            found.append((name, source))
    get = object_getter([(name, source.get) for name, source in found])
    return Source(
        get,
        tuple(use for _, source in found for use in source.uses),
        tuple(use for _, source in found for use in source.lookups),
    )


def object_getter(members: list[tuple[str, Get]]) -> Get:
    """A function that makes an object, absent when no member has a value."""

    def get(row: Row) -> dict[str, Any] | None:
        made = {}
        for name, read in members:
            try:
                value = read(row)
            except Refused as error:
                raise error.inside(name) from None
            if value is not None:
                made[name] = value
        return made or None

    return get


def _list(node: Node, shape: Shape, scope: Scope, target: str) -> Source:
    """A list of objects, one for each element of a list field."""
    keys = node.keys(("list", "as", "when", "fields", "required", "direction"), ("list", "as", "fields"))
    if "direction" in keys and _off(keys["direction"], scope):
        return None  # type: ignore[return-value]
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


def list_at(list_node: Node, as_node: Node, scope: Scope) -> tuple[str, str, Get]:
    """The ``as`` name of a list, the list's own field, and how to read it."""
    name = as_node.text("a short name for one element, such as line")
    if not name.isidentifier():
        as_node.fail("a short name of letters for one element, such as line")
    if name in scope.elements:
        as_node.fail("a name that is not used by the list around it")
    read, path = reader_of(list_node, list_node.text("the name of a list field"), scope)
    return name, path or "", read


def elements_of(raw: Any) -> list[Any]:
    """The elements of a list field; a list wrapped as ``{"records": […]}`` or ``{"items": […]}`` is unwrapped."""
    if raw is None or raw == "":
        return []
    if isinstance(raw, Mapping):
        raw = raw.get("records", raw.get("items", raw))
    if not isinstance(raw, (list, tuple)):
        raise Refused(raw, "a list")
    return list(raw)
