"""The record API: one record at a time, typed JSON, upserts by external id, and the metadata catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from connectors.netsuite.simulator.answers import Refused
from connectors.netsuite.simulator.database import Row, number_text, to_stored
from connectors.netsuite.simulator.formats import rest_text
from connectors.netsuite.simulator.rows import Rows
from connectors.netsuite.simulator.schema import RECORD_TYPES, ColumnSpec, RecordType
from connectors.simulation import Action, SimRequest, SimResponse

ROOT = "/services/rest/record/v1"
Applied = Callable[[RecordType, str | None, int, Action, Mapping[str, Any]], None]


class Records:
    """Reads and writes single records. ``applied`` is told of every write that was carried out."""

    def __init__(self, rows: Rows, allowed: Callable[[str, str | None], bool], applied: Applied) -> None:
        self._rows = rows
        self._allowed = allowed
        self._applied = applied
        self.locked: set[tuple[str, int]] = set()
        """(record type, id): locked by a workflow"""

    def kind(self, name: str) -> RecordType:
        """The record type in an address. Raises: ``Refused``."""
        try:
            kind = self._rows.kind(name)
        except KeyError:
            raise Refused(
                404,
                "NONEXISTENT_ID",
                f"Record type '{name}' does not exist.",
                path=name,
            ) from None
        if not self._allowed(kind.table, None) or not self._allowed(kind.name.lower(), None):
            detail = (
                f"Permission Violation: You need a higher level of the '{kind.label}' permission to access this page."
            )
            raise Refused(403, "INSUFFICIENT_PERMISSION", detail)
        return kind

    def row(self, kind: RecordType, key: str) -> Row | None:
        """The row that an address names, by id or ``eid:``."""
        if key.startswith("eid:"):
            return self._rows.by_external_id(kind.name, key.removeprefix("eid:"))
        return self._rows.find(kind.name, int(key)) if key.isdigit() else None

    def existing(self, kind: RecordType, key: str) -> Row:
        """As :meth:`row`. Raises: ``Refused`` (404) when there is none."""
        row = self.row(kind, key)
        if row is None:
            raise Refused(
                404,
                "NONEXISTENT_ID",
                "The record instance does not exist. Provide a valid record instance ID.",
                path=key,
            )
        return row

    def create(self, kind: RecordType, body: Any, external_id: str | None = None) -> int:
        """Create a record. Raises: ``Refused`` for a body that is not acceptable."""
        fields = self._fields(kind, body)
        if external_id is not None:
            fields["externalid"] = external_id
        key = fields.get("externalid")
        if key and self._rows.by_external_id(kind.name, key):
            raise Refused(
                400,
                "USER_ERROR",
                "Error while accessing a resource. This entity already exists.",
            )
        for column in self._rows.database.tables[kind.table].columns.values():
            if column.required and fields.get(column.name) is None:
                detail = f"Error while accessing a resource. Please enter value(s) for: {column.rest}."
                raise Refused(400, "USER_ERROR", detail, path=column.rest)
        record_id = self._rows.insert(kind.name, fields)
        self._applied(kind, key, record_id, "created", fields)
        return record_id

    def change(self, kind: RecordType, row: Row, body: Any) -> None:
        """Change fields of a record. Raises: ``Refused``."""
        if (kind.name.lower(), row["id"]) in self.locked:
            detail = "Error while accessing a resource. This record has been locked by a user defined workflow."
            raise Refused(400, "USER_ERROR", detail)
        fields = self._fields(kind, body)
        key = fields.get("externalid", row.get("externalid"))
        other = self._rows.by_external_id(kind.name, key) if key else None
        if other is not None and other["id"] != row["id"]:
            raise Refused(
                400,
                "USER_ERROR",
                "Error while accessing a resource. This entity already exists.",
            )
        self._rows.update(kind.name, row["id"], fields)
        self._applied(kind, key, row["id"], "updated", fields)

    def remove(self, kind: RecordType, row: Row) -> None:
        """Delete a record."""
        self._rows.delete(kind.name, row["id"])
        self._applied(kind, row.get("externalid"), row["id"], "deleted", {})

    def _fields(self, kind: RecordType, body: Any) -> Row:
        if not isinstance(body, dict):
            raise Refused(
                400,
                "INVALID_CONTENT",
                "Invalid content in the request body: an object is expected.",
            )
        columns = {c.rest: c for c in self._rows.database.tables[kind.table].columns.values() if c.rest}
        fields: Row = {}
        for name, value in body.items():
            column = columns.get(name)
            if column is None or not self._allowed(kind.table, column.name):
                detail = f"Error while accessing a resource. Unknown reference or field '{name}'."
                raise Refused(400, "NONEXISTENT_FIELD", detail, path=name)
            if column.read_only:
                raise Refused(
                    400,
                    "INVALID_CONTENT",
                    f"The field '{name}' is read-only.",
                    path=name,
                )
            fields[column.name] = self._value(column, value)
        return fields

    def _value(self, column: ColumnSpec, value: Any) -> Any:
        bad = Refused(
            400,
            "INVALID_CONTENT",
            f"Invalid content in the request body. Invalid value for the field '{column.rest}'.",
            path=column.rest,
        )
        if value is None:
            return None
        if column.references:
            if not isinstance(value, dict) or not {"id", "externalId"} & value.keys():
                raise bad
            return self._reference(column, value)
        wanted: dict[str, type | tuple[type, ...]] = {"integer": int, "number": (int, float), "boolean": bool}
        if not isinstance(value, wanted.get(column.type, str)) or (
            isinstance(value, bool) and column.type != "boolean"
        ):
            raise bad
        if column.length is not None and len(str(value)) > column.length:
            detail = f"The field {column.rest} contained more than the maximum number ( {column.length} ) of characters allowed."
            raise Refused(400, "USER_ERROR", detail, path=column.rest)
        if column.values and value not in column.values:
            raise bad
        try:
            return to_stored(column, value)
        except (ValueError, ArithmeticError):
            raise bad from None

    def _reference(self, column: ColumnSpec, value: Mapping[str, Any]) -> int:
        names = ("customer", "partner", "employee") if column.references == "entity" else (column.references or "",)
        for name in names:
            table = self._rows.database.tables[name]
            if "id" in value:
                found = self._rows.database.rows(name, id=int(value["id"])) if str(value["id"]).isdigit() else []
            else:
                found = (
                    self._rows.database.rows(name, externalid=value["externalId"])
                    if "externalid" in table.columns
                    else []
                )
            if found:
                return int(found[0]["id"])
        detail = f"Error while accessing a resource. Invalid reference key for the field '{column.rest}'."
        raise Refused(400, "INVALID_KEY_OR_REF", detail, path=column.rest)

    def shown(self, kind: RecordType, row: Row, request: SimRequest) -> SimResponse:
        """A record as JSON: real numbers and booleans, UTC minutes, references as objects."""
        only = {name for part in request.query.get("fields", []) for name in part.split(",")}
        table = self._rows.database.tables[kind.table]
        body: dict[str, Any] = {"links": [{"rel": "self", "href": self.address(kind, row["id"], request)}]}
        for column in table.columns.values():
            value = row.get(column.name)
            visible = column.rest and value is not None and self._allowed(table.name, column.name)
            if visible and (not only or column.rest in only):
                body[column.rest or ""] = _rest_value(column, value)
        if kind.code and (not only or "item" in only):
            body["item"] = self._items(kind, row["id"], request)
        return SimResponse.json(
            body,
            headers={"Content-Type": "application/vnd.oracle.resource+json; type=singular"},
        )

    def _items(self, kind: RecordType, record_id: int, request: SimRequest) -> dict[str, Any]:
        here = f"{self.address(kind, record_id, request)}/item"
        if request.query.get("expandSubResources") != ["true"]:
            return {"links": [{"rel": "self", "href": here}]}
        lines = [
            {
                "links": [],
                "line": row["id"],
                "amount": abs(float(row["foreignamount"])),
                "itemType": {"id": row.get("itemtype")},
                **{name: value for name, value in row.items() if name.startswith("custcol")},
            }
            for row in self._rows.database.rows("transactionline", transaction=record_id)
            if row["mainline"] == "F" and row["taxline"] == "F"
        ]
        return {"links": [], "items": lines, "totalResults": len(lines)}

    @staticmethod
    def address(kind: RecordType, record_id: int, request: SimRequest) -> str:
        """The full address of a record."""
        return f"{request.host_url}{ROOT}/{quote(kind.name.lower())}/{record_id}"

    def catalogue(self, request: SimRequest) -> SimResponse:
        """The names of all record types that the role may see."""
        names = [k.name for k in RECORD_TYPES] + [t for t in self._rows.database.tables if t.startswith("customrecord")]
        items = [
            {
                "name": name.lower(),
                "links": [
                    {
                        "rel": "canonical",
                        "href": f"{request.host_url}{ROOT}/metadata-catalog/{name.lower()}",
                    }
                ],
            }
            for name in names
            if self._allowed(self._rows.kind(name).table, None) and self._allowed(name.lower(), None)
        ]
        return SimResponse.json({"items": items})

    def schema(self, kind: RecordType) -> SimResponse:
        """A record type as JSON schema."""
        properties: dict[str, Any] = {"links": {"type": "array", "readOnly": True}}
        for column in self._rows.database.tables[kind.table].columns.values():
            if column.rest and self._allowed(kind.table, column.name):
                properties[column.rest] = _schema_of(column)
        if kind.table == "transaction":
            refers = f"{ROOT}/metadata-catalog/{kind.name}-itemCollection"
            properties["item"] = {"type": "object", "$ref": refers}
        required = [c.rest for c in self._rows.database.tables[kind.table].columns.values() if c.required]
        body = {
            "type": "object",
            "title": kind.label,
            "properties": properties,
            "required": required,
        }
        return SimResponse.json(body, headers={"Content-Type": "application/schema+json"})

    def line_schema(self, kind: RecordType) -> SimResponse:
        """An element of the record type's item sublist as JSON schema; of its fields the custom ones."""
        table = "transactionline"
        custom = [one for one in self._rows.database.tables[table].columns.values() if one.name.startswith("custcol")]
        properties = {one.name: _schema_of(one) for one in custom if self._allowed(table, one.name)}
        body = {"type": "object", "title": f"{kind.label} item", "properties": properties}
        return SimResponse.json(body, headers={"Content-Type": "application/schema+json"})


def _rest_value(column: ColumnSpec, value: Any) -> Any:
    if column.references:
        return {"links": [], "id": str(value)}
    if column.name == "id":
        return str(value)
    match column.type:
        case "integer":
            return int(value)
        case "number":
            return float(number_text(value))
        case "boolean":
            return value == "T"
        case "datetime":
            return rest_text(value)
        case _:
            return value


def _schema_of(column: ColumnSpec) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {
        "integer": {"type": "integer", "format": "int64"},
        "number": {"type": "number", "format": "double"},
        "boolean": {"type": "boolean"},
        "date": {"type": "string", "format": "date"},
        "datetime": {"type": "string", "format": "date-time"},
        "text": {"type": "string"},
    }
    found = dict(kinds[column.type])
    if column.references:
        target = column.references
        found = {"type": "object", "properties": {"id": {"type": "string"}, "refName": {"type": "string"}},
                 "x-ns-reference": target}  # fmt: skip
    if column.name == "id":
        found = {"type": "string"}
    if column.values:
        found["enum"] = list(column.values)
    if column.length:
        found["maxLength"] = column.length
    found["title"] = column.rest
    found["nullable"] = not column.required
    if column.read_only:
        found["readOnly"] = True
    if column.custom:
        found["x-ns-custom-field"] = True
    return found
