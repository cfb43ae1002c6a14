"""The mapping of one connection, loaded from an admin's YAML and compiled (docs/mapping.md).

Reading a file is the only effect here. A loaded mapping is pure: records in, facts out; outcome rows in, desired
records out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from connectors.base import Query
from sync.conditions import Condition
from sync.field_sources import condition_at, source_of, template_of
from sync.object_maps import Mapped, ObjectMap, RecordMap
from sync.raw_rows import Get, Lookups, LookupUse, Row, Scope, Source, Use, list_at, reader_of, told_apart, zone_of
from sync.record_shapes import Shape, record_types, shapes_of
from sync.refusal import Reject
from sync.transforms import text
from sync.write_maps import Desired, WriteMap, write_map_of
from sync.yaml_nodes import MappingError, Node, did_you_mean, read_text, read_yaml

__all__ = ["Desired", "Lookups", "Mapped", "Mapping", "MappingError", "ObjectMap", "Reject", "WriteMap", "load_mapping"]

FORMAT = 1
"""Part of every hash: raised when the same file starts to mean something else."""
_ID = Shape("text", required=True)


@dataclass(frozen=True, slots=True)
class Mapping:
    """A loaded mapping. ``objects`` come in an order in which looked-up objects are pulled first."""

    system: str
    name: str
    objects: tuple[ObjectMap, ...]
    writes: tuple[WriteMap, ...]
    hash: str
    text: str
    """The file as it was read."""
    protected: tuple[str, ...] = ()

    def object(self, kind: str) -> ObjectMap:
        """The map of one object. Raises: ``KeyError`` for an object that is not in the mapping."""
        for found in self.objects:
            if found.kind == kind:
                return found
        raise KeyError(kind)


def load_mapping(path: Path | str, text: str | None = None) -> Mapping:
    """Read and compile a mapping file (``text``: its content, when it is not on disk).

    Raises: ``MappingError`` naming file, line, key, what was found and what is allowed.
    """
    text = text if text is not None else read_text(path)
    root = read_yaml(path, text)
    keys = root.keys(("system", "name", "zone", "objects", "write", "protected"), ("system",))
    if "objects" not in keys and "write" not in keys:
        root.fail("a mapping with objects, write, or both")
    scope = Scope(zone=zone_of(keys["zone"]) if "zone" in keys else None)
    system = keys["system"].text("the connector's name")
    objects = _objects(keys["objects"], scope, system) if "objects" in keys else ()
    protected = tuple(node.text("Object.Field, with * for any text") for node in _list(keys.get("protected")))
    writes = tuple(write_map_of(node, protected, scope) for node in _list(keys.get("write")))
    name = keys["name"].text() if "name" in keys else system
    return Mapping(system, name, objects, writes, _digest(root.plain), text, protected)


def _list(node: Node | None) -> list[Node]:
    return node.items() if node is not None else []


def _digest(value: Any) -> str:
    written = json.dumps([FORMAT, value], sort_keys=True, ensure_ascii=True).encode()
    return hashlib.blake2b(written, digest_size=12).hexdigest()


def _objects(node: Node, scope: Scope, system: str) -> tuple[ObjectMap, ...]:
    """Compile all objects; items of the same object become one."""
    items: dict[str, list[Node]] = {}
    for item in node.items():
        kind = item.keys(_ITEM_KEYS, ("object",))["object"].text("an object's name")
        items.setdefault(kind, []).append(item)
    compiled = {kind: _object(kind, nodes, scope, system) for kind, nodes in items.items()}
    needed: dict[str, list[str]] = {}
    for found in compiled.values():
        for use in found.lookups:
            if use.object not in compiled:
                use.place.fail(
                    "an object of this mapping: " + ", ".join(compiled),
                    hint=did_you_mean(use.object, compiled)
                    or f"To read it for look-ups only, add `- object: {use.object}`",
                )
            needed.setdefault(use.object, []).append(use.get)
    order = _ordered(compiled)
    return tuple(_reading(compiled[kind], needed.get(kind, []), items[kind], scope, system) for kind in order)


_RECORD_KEYS = ("record", "when", "id", "each", "fields", "zone")
_ITEM_KEYS = ("object", "where", "records", "keep", *_RECORD_KEYS)


def _ordered(compiled: dict[str, ObjectMap]) -> list[str]:
    graph = {kind: [use.object for use in found.lookups if use.object != kind] for kind, found in compiled.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " → ".join(error.args[1])
        place = next(use.place for use in compiled[error.args[1][1]].lookups if use.object == error.args[1][0])
        place.fail("look-ups that do not go in a circle", found=circle)


def _object(kind: str, nodes: list[Node], scope: Scope, system: str) -> ObjectMap:
    plans: list[RecordMap] = []
    uses: list[Use] = []
    lookups: list[LookupUse] = []
    wheres: list[str | None] = []
    for node in nodes:
        keys = node.keys(_ITEM_KEYS)
        where = keys["where"].text("a filter in the system's language") if "where" in keys else None
        if wheres and where != wheres[0]:
            place = keys.get("where", node)
            place.fail(f"one filter for {kind}, as on line {nodes[0].line}; use `when` to tell records apart")
        wheres.append(where)
        inner = replace(scope, zone=zone_of(keys["zone"])) if "zone" in keys else scope
        for part in _parts(node, keys):
            plan, used, looked = _record(part, inner)
            plans.append(plan)
            uses += used
            lookups += looked
        for kept in _list(keys.get("keep")):
            uses.append(Use(kept.text("a field name"), "", Shape("any"), kept))
    types = tuple(dict.fromkeys(plan.record for plan in plans))
    query = Query(kind, (), wheres[0])
    return ObjectMap(kind, query, "", "", types, tuple(plans), tuple(uses), tuple(lookups), nodes[0])


def _parts(node: Node, keys: dict[str, Node]) -> list[Node]:
    """The record items of an object item; none when it is read for look-ups only."""
    if "records" in keys:
        for name in ("record", "when", "id", "each", "fields"):
            if name in keys:
                keys[name].fail("either `record` with its keys, or `records`")
        return keys["records"].items()
    if "record" not in keys:
        for name in ("when", "id", "each", "fields"):
            if name in keys:
                keys[name].fail("these keys only beside `record`; an object without `record` is read for look-ups only")
        return []
    return [Node({name: keys[name] for name in _RECORD_KEYS if name in keys}, node.file, node.line, node.key)]


def _record(node: Node, scope: Scope) -> tuple[RecordMap, list[Use], list[LookupUse]]:
    keys = node.keys(_RECORD_KEYS, ("record", "fields"))
    record = keys["record"].one_of(record_types())
    if "zone" in keys:
        scope = replace(scope, zone=zone_of(keys["zone"]))
    uses: list[Use] = []
    each: tuple[str, Get] | None = None
    if "each" in keys:
        inner = keys["each"].keys(("list", "as"), ("list", "as"))
        name, path, read = list_at(inner["list"], inner["as"], scope)
        scope, each = scope.inside(name, path), (name, read)
        uses.append(Use(path, "each", Shape("any"), inner["list"]))
    when: Condition | None = None
    if "when" in keys:
        when, used = condition_at(keys["when"], scope)
        uses += used
    identity, used = _identity(keys["id"], scope) if "id" in keys else (None, ())
    uses += used
    if each is not None and identity is None:
        keys["each"].fail(f'an `id` beside `each`, such as "{{$id}}-{{{each[0]}.n}}", so that each record has its own')
    shapes = shapes_of(record)
    sources: list[tuple[str, Source]] = []
    for target, place in keys["fields"].mapping().items():
        if target not in shapes:
            place.fail(
                ", ".join(shapes), found=f"unknown field {target!r} of {record}", hint=did_you_mean(target, shapes)
            )
        source = source_of(place, shapes[target], scope, target)
        if source is None:
            continue
        uses += source.uses
        sources.append((target, source))
    given = {target for target, _ in sources}
    for target, shape in shapes.items():
        if shape.required and target not in given:
            keys["fields"].fail(f"the field {target!r}, which every {record} has", found="no source for it")
    lookups = [use for _, source in sources for use in source.lookups]
    plain, others = told_apart(sources)
    # Only where every single value is sure to be taken is a fact sure to be: else each one is validated whole.
    needed = frozenset(target for target, shape in shapes.items() if shape.required)
    needed_only = needed if all(source.assured for _, source in sources) else None
    return RecordMap(record, identity, plain, others, when, each, needed_only), uses, lookups


def _identity(node: Node, scope: Scope) -> tuple[Callable[[Row], Any], tuple[Use, ...]]:
    written = node.text('a field name, or a template such as "{id}-{line.n}"')
    if "{" in written:
        source = template_of(node, written, scope, "id", _ID)
        return source.get, source.uses
    read, path = reader_of(node, written, scope)

    def get(row: Row) -> str | None:
        raw = read(row)
        return None if raw is None else text(raw)

    return get, (Use(path, "id", _ID, node),) if path else ()


def _reading(found: ObjectMap, looked_up: list[str], nodes: list[Node], scope: Scope, system: str) -> ObjectMap:
    """Complete an object with the fields to ask for and the hashes."""
    fields = [use.path for use in found.uses if use.path and not _is_list(use, found.uses)] + looked_up
    query = replace(found.query, fields=tuple(dict.fromkeys(fields)))
    asked = [system, found.kind, query.where, sorted(query.fields)]
    zone = scope.zone.key if scope.zone else None
    query_hash = _digest(asked)
    return replace(
        found, query=query, query_hash=query_hash, hash=_digest([asked, zone, [_ordered_plain(node) for node in nodes]])
    )


def _is_list(use: Use, uses: tuple[Use, ...]) -> bool:
    """Whether a list field is asked for by its elements' fields already."""
    return any(other.path.startswith(use.path + ".") for other in uses)


def _ordered_plain(node: Node) -> Any:
    """The plain value with its order kept: `first`, `values` and transforms mean something by their order."""
    if isinstance(node.value, dict):
        return [[key, _ordered_plain(inner)] for key, inner in node.value.items()]
    if isinstance(node.value, list):
        return [_ordered_plain(inner) for inner in node.value]
    return node.value
