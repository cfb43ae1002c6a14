"""What the connection can see: record types and fields from the metadata catalogue, under their SuiteQL names.

The record API writes ``companyName`` where SuiteQL reads ``companyname``; here a field has the lower-case name,
and :meth:`NetSuiteDescriber.rest_names` gives the other spelling for writing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from connectors.base import Description, Field, FieldType, Usage
from connectors.errors import ConnectorError, NeedsOperator
from connectors.http import Http
from connectors.netsuite.errors import RecordGone
from connectors.netsuite.kinds import STANDARD, Kind, kind_of

CATALOGUE = "/services/rest/record/v1/metadata-catalog"
SUBLISTS = ("item", "expense")
"""Where the lines of a document stand in the record API; SuiteQL has them in one table."""
_COLLECTION = "Collection"


class NetSuiteDescriber:
    """Implements :class:`connectors.base.Describer`; each record type is asked for once."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._schemas: dict[str, Mapping[str, Any] | None] = {}

    def kinds(self) -> list[str]:
        """Names of all objects this connection can see and read."""
        items = self._http.call("GET", CATALOGUE).json().get("items", [])
        seen = {str(item.get("name", "")).lower() for item in items if isinstance(item, dict)}
        return sorted(name for name in seen if name in STANDARD or name.startswith("customrecord"))

    def describe(self, kind: str) -> Description | None:
        """The object's fields: columns of SuiteQL, what the reader computes, and the catalogue's."""
        try:
            known = kind_of(kind)
        except NeedsOperator:
            return None
        schema = self._schema(known)
        if schema is None:
            return None
        fields = {name: Field(name, name, of, updatable=False, creatable=False) for name, of in known.columns.items()}
        for name, of in known.computed.items():
            fields[name] = Field(name, name, of, updatable=False, creatable=False)
        required = set(schema.get("required", ()))
        for name, spec in schema.get("properties", {}).items():
            if isinstance(spec, dict) and name != "links":
                fields[name.lower()] = _field(name, spec, required, known.columns.get(name.lower()))
        for name, spec in self._line_fields(known, schema).items():
            for path in (f"{head}.{name.lower()}" for head in known.line_lists):
                fields[path] = replace(_field(name, spec, set(), None), name=path, creatable=False, updatable=False)
        return Description(kind, str(schema.get("title", kind)), fields)

    def types(self, kind: Kind) -> Mapping[str, FieldType]:
        """The types of the fields that the catalogue lists, by lower-case name."""
        schema = self._schema(kind) or {}
        properties = schema.get("properties", {}).items()
        return {name.lower(): _type(name, spec) for name, spec in properties if isinstance(spec, dict)}

    def rest_names(self, kind: Kind) -> Mapping[str, str]:
        """The record API's spelling of each field."""
        schema = self._schema(kind) or {}
        return {name.lower(): name for name in schema.get("properties", {})}

    def usage(self) -> Usage:
        """NetSuite counts concurrent requests, not calls a day; only administrators may see the limit."""
        try:
            answer = self._http.call("GET", "/services/rest/system/v1/governanceLimits").json()
        except ConnectorError as error:
            if error.status not in (403, 404):
                raise
            return Usage(None, None, "concurrent")
        limit = answer.get("accountConcurrencyLimit") if isinstance(answer, dict) else None
        return Usage(None, limit if isinstance(limit, int) else None, "concurrent")

    def _line_fields(self, kind: Kind, schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """The custom fields of a document's lines, from the schemas that its sublists refer to.

        Columns of NetSuite's own are left out: SuiteQL has other ones for a line, and they do not go.
        """
        found: dict[str, Mapping[str, Any]] = {}
        for sublist in SUBLISTS if kind.line_lists else ():
            refers = str(schema.get("properties", {}).get(sublist, {}).get("$ref", ""))
            if not refers.endswith(_COLLECTION):
                continue
            element = self._named(refers.rpartition("/")[2].removesuffix(_COLLECTION) + "Element") or {}
            for name, spec in element.get("properties", {}).items():
                if name.lower().startswith("custcol") and isinstance(spec, dict):
                    found[name] = spec
        return found

    def _schema(self, kind: Kind) -> Mapping[str, Any] | None:
        return self._named(kind.rest.lower())

    def _named(self, name: str) -> Mapping[str, Any] | None:
        if name not in self._schemas:
            headers = {"Accept": "application/schema+json"}
            try:
                body = self._http.call("GET", f"{CATALOGUE}/{quote(name, safe='')}", headers=headers).json()
                self._schemas[name] = body if isinstance(body, dict) else None
            except RecordGone:
                self._schemas[name] = None
            except NeedsOperator as error:
                if error.status != 403:
                    raise
                self._schemas[name] = None
        return self._schemas[name]


def _field(name: str, spec: Mapping[str, Any], required: set[str], known: FieldType | None) -> Field:
    writable = not spec.get("readOnly", False)
    lower = name.lower()
    return Field(
        lower,
        str(spec.get("title", name)),
        known if known in ("money", "id") else _type(name, spec),
        creatable=writable,
        updatable=writable,
        required=name in required,
        unique=lower in ("id", "externalid"),
        external_id=lower == "externalid",
        length=spec.get("maxLength"),
        values=tuple(map(str, spec.get("enum", ()))),
    )


def _type(name: str, spec: Mapping[str, Any]) -> FieldType:
    if name == "id":
        return "id"
    kind, form = spec.get("type"), spec.get("format")
    if kind == "object":
        return "reference" if "id" in spec.get("properties", {}) else "json"
    if kind == "string" and form in ("date", "date-time"):
        return "date" if form == "date" else "datetime"
    if spec.get("enum"):
        return "picklist"
    plain: dict[Any, FieldType] = {"integer": "integer", "number": "decimal", "boolean": "boolean", "array": "json"}
    return plain.get(kind, "string")
