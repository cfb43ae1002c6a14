"""What the connection can see: properties and custom objects, the portal's clock and zone, and calls of the day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from connectors.base import Description, Field, FieldType, Usage
from connectors.errors import ConnectorError, NeedsOperator
from connectors.http import Http
from connectors.hubspot.config import HubSpotConfig
from connectors.hubspot.errors import NotVisible
from connectors.hubspot.kinds import ASSOCIATED, ASSOCIATION, STANDARD
from connectors.hubspot.paths import Paths

LONGEST_TEXT = 65_536
_TYPES: dict[str, FieldType] = {
    "string": "string", "number": "decimal", "date": "date", "datetime": "datetime", "bool": "boolean",
    "enumeration": "picklist", "phone_number": "string", "json": "json", "object_coordinates": "json",
}  # fmt: skip


class HubSpotDescriber:
    """Implements :class:`connectors.base.Describer`; descriptions are kept for the life of the connection."""

    def __init__(self, config: HubSpotConfig, http: Http, learn_zone: Callable[[str], None]) -> None:
        self._config = config
        self._http = http
        self._paths = Paths(config.api_version)
        self._learn_zone = learn_zone
        self._known: dict[str, Description | None] = {}
        self._schemas: dict[str, Mapping[str, Any]] | None = None

    def kinds(self) -> list[str]:
        """Standard objects, and custom ones as ``p_name`` (the name without the portal's number)."""
        return [*STANDARD, *(f"p_{name}" for name in sorted(self._custom()))]

    def describe(self, kind: str) -> Description | None:
        """One object with its properties, and the standard objects that it can be associated with."""
        if kind not in self._known:
            try:
                found = self._http.call("GET", self._paths.properties(kind)).json()
            except NotVisible:
                self._known[kind] = None
            else:
                self._known[kind] = self._description(kind, found.get("results") or [])
        return self._known[kind]

    def hinted_as(self, kind: str) -> tuple[str, ...]:
        """Webhooks call a custom object by its type id."""
        if kind in STANDARD:
            return (kind,)
        found = self._custom().get(kind.removeprefix("p_"))
        return (kind, str(found["objectTypeId"])) if found and "objectTypeId" in found else (kind,)

    def usage(self) -> Usage:
        """Calls of today, as HubSpot counts them for service keys and private apps; it does not say for OAuth apps."""
        try:
            found = self._http.call("GET", self._paths.usage).json()
        except NeedsOperator as error:
            if error.status not in (403, 404):
                raise
            return Usage(None, None)
        first = next((one for one in found.get("results") or () if "usageLimit" in one), None)
        return Usage(int(first["currentUsage"]), int(first["usageLimit"])) if first else Usage(None, None)

    def now(self) -> datetime:
        """The portal's time (UTC); its zone is learned from the same answer."""
        answer = self._http.call("GET", self._paths.details)
        self._learn_zone(str(answer.json().get("timeZone", "")))
        if answer.received_at is None:
            raise ConnectorError("hubspot: an answer came without a Date header, so the time there is not known")
        return answer.received_at

    def _custom(self) -> dict[str, Mapping[str, Any]]:
        """Definitions of the custom objects, by name; none when the app may not see them."""
        if self._schemas is None:
            try:
                found = self._http.call("GET", self._paths.schemas).json().get("results") or []
            except NeedsOperator as error:
                if error.code != "MISSING_SCOPES":
                    raise
                found = []
            self._schemas = {str(one["name"]): one for one in found}
        return self._schemas

    def _description(self, kind: str, properties: list[Mapping[str, Any]]) -> Description:
        schema = self._custom().get(kind.removeprefix("p_")) if kind not in STANDARD else None
        required = frozenset(schema["requiredProperties"]) if schema else frozenset[str]()
        label = str(schema["labels"].get("plural") or kind) if schema else kind
        fields = {str(item["name"]): _field(item, required) for item in properties}
        for other in ASSOCIATED:
            name = f"{ASSOCIATION}{other}"
            fields[name] = Field(name, f"Associated {other}", "reference", references=(other,))
        return Description(kind, label, fields)


def _field(item: Mapping[str, Any], required: frozenset[str]) -> Field:
    name = str(item["name"])
    kind = _TYPES.get(str(item["type"]), "string")
    if name == "hs_object_id":
        kind = "id"
    elif item.get("showCurrencySymbol"):
        kind = "money"
    elif item.get("externalOptions") or item.get("referencedObjectType"):
        kind = "reference"
    limits = item.get("modificationMetadata") or {}
    writable = not (limits.get("readOnlyValue") or item.get("calculated"))
    unique = bool(item.get("hasUniqueValue"))
    options = [option for option in item.get("options") or () if not option.get("hidden")]
    return Field(
        name=name,
        label=str(item.get("label") or name),
        type=kind,
        creatable=writable,
        updatable=writable,
        required=name in required,
        unique=unique,
        external_id=unique,
        length=LONGEST_TEXT if kind == "string" else None,
        values=tuple(str(option["value"]) for option in options) if kind == "picklist" else (),
    )
