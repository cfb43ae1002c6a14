"""The JSON Schema of mapping files, for editors: it completes and underlines while a person types.

Looser than :func:`sync.mapping.load_mapping`, which has the last word; never stricter.
"""

from __future__ import annotations

import json
from typing import Any

from sync.decisions import DIRECTIONS, IF_DELETED, POLICIES
from sync.field_sources import ORIGINS
from sync.field_steps import COMMON_KEYS
from sync.record_shapes import Shape, record_types, shapes_of
from sync.transforms import TRANSFORMS
from sync.write_maps import NULLS, ROWS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1}
_SCALAR: Schema = {"type": ["string", "integer", "boolean"]}


def mapping_schema() -> Schema:
    """The schema of a whole file, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Referee mapping",
        **_object(
            {
                "system": _TEXT,
                "name": _TEXT,
                "zone": {**_TEXT, "description": "IANA time zone, such as Australia/Sydney"},
                "objects": _list_of({"$ref": "#/$defs/object"}),
                "write": _list_of({"$ref": "#/$defs/write"}),
                "protected": _list_of({**_TEXT, "description": "Object.Field, * for any text"}),
            },
            ["system"],
        ),
        "$defs": {
            "object": _object(
                {
                    "object": _TEXT,
                    "where": _TEXT,
                    "keep": _list_of(_TEXT),
                    "records": _list_of(_record()),
                    **_record_keys(),
                },
                ["object"],
                _fields_by_record(),
            ),
            "write": _write(),
            "condition": {"anyOf": [_condition("field"), _list_of(_condition("field"))]},
            "row_condition": {"anyOf": [_condition("row"), _list_of(_condition("row"))]},
            "transform": _transform(),
            "source": _source("field"),
            "row_source": _source("row"),
            **{f"{name}_fields": _fields(shapes_of(name)) for name in record_types()},
        },
    }


def schema_text() -> str:
    """The content of ``docs/mapping.schema.json``."""
    return json.dumps(mapping_schema(), indent=1, ensure_ascii=False) + "\n"


def _object(properties: Schema, required: list[str], more: Schema | None = None) -> Schema:
    return {
        "type": "object", "properties": properties, "required": required, "additionalProperties": False, **(more or {})
    }  # fmt: skip


def _list_of(item: Schema) -> Schema:
    return {"anyOf": [item, {"type": "array", "items": item}]}


def _record_keys() -> Schema:
    return {
        "record": {"enum": record_types()},
        "when": {"$ref": "#/$defs/condition"},
        "id": _TEXT,
        "each": _object({"list": _TEXT, "as": _TEXT}, ["list", "as"]),
        "fields": {"type": "object"},
        "zone": _TEXT,
    }


def _record() -> Schema:
    return _object(_record_keys(), ["record", "fields"], _fields_by_record())


def _fields_by_record() -> Schema:
    """The fields that are known follow from the record type."""
    return {
        "allOf": [
            {
                "if": {"properties": {"record": {"const": name}}, "required": ["record"]},
                "then": {"properties": {"fields": {"$ref": f"#/$defs/{name}_fields"}}},
            }
            for name in record_types()
        ]
    }


def _fields(shapes: dict[str, Shape]) -> Schema:
    required = [name for name, shape in shapes.items() if shape.required]
    return _object({name: {"$ref": "#/$defs/source"} for name in shapes}, required)


def _source(word: str) -> Schema:
    """A name, a mapping with an origin, or an object of our record (whose keys are free here)."""
    origins: Schema = {
        word: _TEXT,
        "first": _list_of(_TEXT),
        "value": {},
        "template": _TEXT,
        "lookup": _object(
            {word: _TEXT, "object": _TEXT, "get": _TEXT, "required": {"type": "boolean"}}, ["object", "get"]
        ),
        "list": _TEXT,
        "cel": {**_TEXT, "maxLength": 500},
    }
    steps: Schema = {
        "transform": _list_of({"$ref": "#/$defs/transform"}),
        "values": {"type": "object"},
        "otherwise": {"enum": ["reject", "keep", "null", None]},
        "default": _SCALAR,
        "required": {"type": "boolean"},
        "zone": _TEXT,
        "format": _TEXT,
        "direction": {"enum": ["pull", "off"]},
    }
    assert set(steps) == set(COMMON_KEYS)
    assert set(origins) == {word, *ORIGINS}
    plain = _object({**origins, **steps, "as": _TEXT, "when": {}, "fields": {"type": "object"}}, [])
    if word == "row":
        plain["properties"]["null"] = {"enum": list(NULLS)}
        plain["properties"]["direction"] = {"enum": [*DIRECTIONS, "off"]}
        plain["properties"]["conflict"] = {"enum": list(POLICIES)}
        return {"anyOf": [_TEXT, plain]}
    return {"anyOf": [_TEXT, plain, {"type": "object", "additionalProperties": {"$ref": "#/$defs/source"}}]}


def _condition(word: str) -> Schema:
    tests: Schema = {"is": _SCALAR, "in": {"type": "array", "items": _SCALAR}, "not": _list_of(_SCALAR),
                     "present": {"type": "boolean"}}  # fmt: skip
    return {
        "anyOf": [
            _TEXT,
            _object({word: _TEXT, **tests}, [word]),
            _object({"cel": {**_TEXT, "maxLength": 500}}, ["cel"]),
        ]
    }


def _transform() -> Schema:
    plain = [name for name, transform in TRANSFORMS.items() if transform.argument is None]
    kinds: dict[type, Schema] = {str: _TEXT, int: {"type": "integer", "minimum": 1}, dict: {"type": "object"}}
    others = {name: kinds[one.argument] for name, one in TRANSFORMS.items() if one.argument is not None}
    return {"anyOf": [{"enum": plain}, {**_object(others, []), "minProperties": 1, "maxProperties": 1}]}


def _write() -> Schema:
    keys: Schema = {
        "object": _TEXT,
        "rows": {"enum": list(ROWS)},
        "key": {"anyOf": [_TEXT, _object({"field": _TEXT, "row": _TEXT, "template": _TEXT,
                                          "transform": _list_of({"$ref": "#/$defs/transform"})}, ["field"])]},
        "id": _TEXT,
        "when": {"$ref": "#/$defs/row_condition"},
        "parent": _TEXT,
        "frozen": _object({"field": _TEXT, "is": {}, "reason": _TEXT}, ["field", "is", "reason"]),
        "changed_at": _TEXT,
        "changed_by": _TEXT,
        "if_deleted": {"enum": list(IF_DELETED)},
        "fields": {"type": "object", "additionalProperties": {"$ref": "#/$defs/row_source"}, "minProperties": 1},
    }  # fmt: skip
    either: Schema = {"oneOf": [{"required": ["key"]}, {"required": ["id"]}]}
    return _object(keys, ["object", "rows", "fields"], either)
