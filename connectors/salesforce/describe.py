"""What the integration user can see, and how much of the daily quota is used: asked through simple-salesforce.

The library is given our session (timeouts, bounded login, retries) and no password, so its own unbounded
re-login never runs; it is imported only when needed, because that costs a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.base import Description, Field, FieldType, Usage
from connectors.http import Http
from connectors.salesforce import soql
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.errors import NotVisible

if TYPE_CHECKING:
    from simple_salesforce.api import Salesforce

_TYPES: dict[str, FieldType] = {
    "id": "id", "reference": "reference", "boolean": "boolean", "date": "date", "datetime": "datetime",
    "int": "integer", "long": "integer", "double": "decimal", "percent": "decimal", "currency": "money",
    "picklist": "picklist", "combobox": "picklist", "address": "json", "location": "json", "anyType": "json",
}  # fmt: skip


MOST_TOGETHER = 25
"""Requests in one composite request; the vendor's limit."""
_NOT_IN_BULK = frozenset({"address", "location", "base64", "anyType", "complexvalue", "json"})
"""Types that a query job does not give, or not in a form that says what it is."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """The vendor's own types of an object's fields, and the objects that each relationship leads to."""

    types: Mapping[str, str]
    parents: Mapping[str, tuple[str, ...]]


class SeenUsage:
    """What the answers of a connection say of the day's calls; each is passed on to the connection's budget."""

    def __init__(self, observed: Callable[[int | None, int | None], None]) -> None:
        self.usage: Usage | None = None
        self._observed = observed

    def __call__(self, used: int | None, allowed: int | None) -> None:
        """Take note of an answer."""
        self.usage = Usage(used, allowed, "day")
        self._observed(used, allowed)


class SalesforceDescriber:
    """Implements :class:`connectors.base.ManyDescriber`; descriptions are kept for the life of the connection."""

    def __init__(self, config: SalesforceConfig, http: Http, seen: SeenUsage) -> None:
        self._config = config
        self._http = http
        self._seen = seen
        self._client: Salesforce | None = None
        self._known: dict[str, Description | None] = {}
        self._shapes: dict[str, _Shape] = {}

    def kinds(self) -> list[str]:
        """Names of the objects that can be queried."""
        found: Any = self._salesforce().describe()
        return [str(item["name"]) for item in found["sobjects"] if item["queryable"]]

    def describe(self, kind: str) -> Description | None:
        """One object with the fields that field-level security shows."""
        if kind not in self._known:
            try:
                found: Any = self._salesforce().restful(f"sobjects/{soql.name(kind)}/describe")
            except NotVisible:
                self._known[kind] = None
            else:
                self._keep(kind, found)
        return self._known[kind]

    def describe_many(self, kinds: Sequence[str]) -> dict[str, Description | None]:
        """Objects as :meth:`describe` gives them: up to 25 are one request, and one of the day's calls."""
        unknown = [kind for kind in dict.fromkeys(kinds) if kind not in self._known]
        for start in range(0, len(unknown), MOST_TOGETHER):
            self._ask_together(unknown[start : start + MOST_TOGETHER])
        return {kind: self.describe(kind) for kind in kinds}

    def _ask_together(self, kinds: Sequence[str]) -> None:
        """Keep what can be seen and what cannot; an object that is refused otherwise is left to :meth:`describe`."""
        path = self._config.version_path
        parts = [
            {"method": "GET", "url": f"{path}/sobjects/{soql.name(kind)}/describe", "referenceId": f"object{number}"}
            for number, kind in enumerate(kinds)
        ]
        body = {"allOrNone": False, "compositeRequest": parts}
        answer: Any = self._http.call("POST", f"{path}/composite", json=body, idempotent=True).json()
        for kind, part in zip(kinds, answer["compositeResponse"], strict=True):
            if part["httpStatusCode"] == 200:
                self._keep(kind, part["body"])
            elif part["httpStatusCode"] == 404:
                self._known[kind] = None

    def _keep(self, kind: str, found: dict[str, Any]) -> None:
        self._known[kind] = _description(found)
        self._shapes[kind] = _shape(found)

    def bulk_types(self, kind: str, paths: Iterable[str]) -> dict[str, str] | None:
        """The vendor's types of these fields (``Name``, ``Owner.Name``), for reading CSV; ``None`` when one of them is
        not known or does not come in a query job. One call for each object that is not described yet."""
        found = {path: self._bulk_type(kind, path) for path in paths}
        known = {path: name for path, name in found.items() if name is not None}
        return known if len(known) == len(found) else None

    def _bulk_type(self, kind: str, path: str) -> str | None:
        self.describe(kind)
        shape = self._shapes.get(kind)
        if shape is None:
            return None
        first, _, rest = path.partition(".")
        if not rest:
            name = shape.types.get(first)
            return None if name in _NOT_IN_BULK else name
        # Several objects (an owner is a user or a queue) only where they agree on the field.
        names = {name for parent in shape.parents.get(first, ()) if (name := self._bulk_type(parent, rest))}
        return names.pop() if len(names) == 1 else None

    def usage(self) -> Usage:
        """Requests of the last 24 hours, of all programs together: as the last answer said, else asked for."""
        if self._seen.usage is not None:
            return self._seen.usage
        found: Any = self._http.call("GET", f"{self._config.version_path}/limits/").json()
        daily = found["DailyApiRequests"]
        return Usage(int(daily["Max"]) - int(daily["Remaining"]), int(daily["Max"]), "day")

    def _salesforce(self) -> Salesforce:
        if self._client is None:
            from simple_salesforce.api import Salesforce  # costs a second: only describing needs it

            version = f"{self._config.api_version:.1f}"
            self._client = Salesforce(
                instance_url=self._config.url, session_id="set-by-session", session=self._http.session, version=version
            )
            self._client.base_url = f"{self._http.base_url}{self._config.version_path}/"
        return self._client


def _description(found: dict[str, Any]) -> Description:
    fields = {str(item["name"]): _field(item) for item in found["fields"]}
    return Description(
        str(found["name"]), str(found["label"]), fields,
        bool(found["createable"]), bool(found["updateable"]), bool(found["deletable"]),
    )  # fmt: skip


def _shape(found: dict[str, Any]) -> _Shape:
    fields = found["fields"]
    parents = {str(f["relationshipName"]): tuple(map(str, f["referenceTo"])) for f in fields if f["relationshipName"]}
    return _Shape({str(field["name"]): str(field["type"]) for field in fields}, parents)


def _field(item: dict[str, Any]) -> Field:
    kind = _TYPES.get(str(item["type"]), "string")
    if kind == "decimal" and item["type"] == "double" and item.get("scale") == 0:
        kind = "integer"
    return Field(
        name=str(item["name"]),
        label=str(item["label"]),
        type=kind,
        creatable=bool(item["createable"]),
        updatable=bool(item["updateable"]),
        required=bool(item["createable"]) and not item["nillable"] and not item["defaultedOnCreate"],
        unique=bool(item["unique"]),
        external_id=bool(item["externalId"]),
        length=int(item["length"]) or None,
        values=tuple(str(value["value"]) for value in item["picklistValues"] if value["active"]),
        references=tuple(map(str, item["referenceTo"])),
        relationship=str(item["relationshipName"] or ""),
        calculated=bool(item["calculated"]),
    )
