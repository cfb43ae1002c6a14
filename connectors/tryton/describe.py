"""What the connection can see: models and fields as Tryton describes them, and what the connector adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.base import Description, Field, FieldType, Usage
from connectors.tryton.kinds import Kind, kind_of
from connectors.tryton.rpc import Rpc

Specs = Mapping[str, Mapping[str, Any]]
_TYPES: Mapping[str, FieldType] = {
    "char": "string", "text": "string", "fullname": "string", "integer": "integer", "biginteger": "integer",
    "float": "decimal", "numeric": "decimal", "boolean": "boolean", "date": "date", "datetime": "datetime",
    "timestamp": "datetime", "time": "string", "timedelta": "string", "selection": "picklist", "reference": "reference",
    "many2one": "reference", "one2one": "reference", "one2many": "json", "many2many": "json", "multiselection": "json",
    "dict": "json", "binary": "string",
}  # fmt: skip
_PAGE = 500


class TrytonDescriber:
    """Implements :class:`connectors.base.Describer`; each model is asked for once."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._access: dict[str, Mapping[str, bool] | None] = {}
        self._labels: dict[str, str] = {}
        self._specs: dict[str, Specs] = {}

    def kinds(self) -> list[str]:
        """Names of all models that this connection may read."""
        names: list[str] = []
        last, more = 0, True
        while more:
            rows = self._rpc.search_read("ir.model", [["id", ">", last]], _PAGE, [("id", "ASC")], ["name"])
            names += [row["name"] for row in rows]
            more = len(rows) == _PAGE
            last = rows[-1]["id"] if rows else last
        access = self._rpc.call("ir.model.access", "get_access", names)
        return sorted(name for name, may in access.items() if may["read"])

    def describe(self, kind: str) -> Description | None:
        """The model's fields, and those that the connector puts together."""
        specs = self.specs(kind)
        access = self._access.get(kind)
        if specs is None or access is None:
            return None
        ours = kind_of(kind)
        needed = [name for name, spec in specs.items() if spec["required"]]
        defaults = self._rpc.call(kind, "default_get", needed, False) if needed else {}
        linked = {link.field for link in ours.links.values()}
        fields = {
            name: _field(name, spec, ours, access, optional=name in defaults or name in linked)
            for name, spec in specs.items()
        }
        for name, one in ours.computed.items():
            key = name in ours.keys
            fields[name] = Field(
                name, one.label, one.type, creatable=one.writable, updatable=one.writable, unique=key, external_id=key
            )
        for name, link in ours.links.items():
            fields[name] = Field(name, link.label, "string", creatable=access["create"], updatable=access["write"])
        return Description(
            kind, self._labels[kind], fields, creatable=access["create"], updatable=access["write"],
            deletable=access["delete"],
        )  # fmt: skip

    def usage(self) -> Usage:
        """Tryton counts no calls."""
        return Usage(None, None)

    def specs(self, kind: str) -> Specs | None:
        """The model's own fields as Tryton describes them; ``None`` when the connection may not read it."""
        if kind not in self._access:
            self._access[kind] = self._access_to(kind)
        access = self._access[kind]
        if access is None:
            return None
        if kind not in self._specs:
            self._specs[kind] = self._rpc.call(kind, "fields_get")
        return self._specs[kind]

    def _access_to(self, kind: str) -> Mapping[str, bool] | None:
        [*found] = self._rpc.search_read("ir.model", [["name", "=", kind]], 1, [("id", "ASC")], ["string"])
        if not found:
            return None
        self._labels[kind] = str(found[0]["string"] or kind)
        found_access = self._rpc.call("ir.model.access", "get_access", [kind])[kind]
        access = {may: bool(value) for may, value in found_access.items()}
        return access if access["read"] else None


def _field(name: str, spec: Mapping[str, Any], ours: Kind, access: Mapping[str, bool], *, optional: bool) -> Field:
    kind = _TYPES.get(spec["type"], "json")
    if spec.get("monetary"):
        kind = "money"
    elif name == "id":
        kind = "id"
    choices = spec.get("selection")
    values = tuple(str(value) for value, _ in choices if value) if isinstance(choices, list) else ()
    changeable = not spec["readonly"] and name != "id"
    key = name in ours.keys
    return Field(
        name,
        str(spec.get("string") or name),
        kind,
        creatable=changeable and bool(spec.get("create", True)) and access["create"],
        updatable=changeable and access["write"],
        required=bool(spec["required"]) and not optional,
        unique=key or name == "id",
        external_id=key,
        length=spec["size"] if isinstance(spec.get("size"), int) else None,
        values=values if kind == "picklist" else (),
        references=(spec["relation"],) if kind == "reference" and spec.get("relation") else (),
    )
