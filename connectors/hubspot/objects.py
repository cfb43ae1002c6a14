"""Asks the object endpoints: lists, searches, batches by id or unique property, and associations.

What a batch leaves out is told by comparing: it drops ids without a word when they are archived, and answers an id
that was merged away with the record that is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from connectors.errors import ConnectorError
from connectors.http import Answer, Http
from connectors.hubspot.config import HubSpotConfig
from connectors.hubspot.errors import category_of
from connectors.hubspot.kinds import MERGED_IDS
from connectors.hubspot.paths import Paths
from connectors.hubspot.records import Row

MOST_INPUTS = 100
"""Records of a batch."""
_NONE_FOUND = "crm.associations.NO_ASSOCIATIONS_FOUND"


class Objects:
    """Reads records of one portal."""

    def __init__(self, config: HubSpotConfig, http: Http) -> None:
        self._http = http
        self._paths = Paths(config.api_version)
        self._longest = config.longest_address

    def listed(
        self, kind: str, properties: Sequence[str], *, limit: int, after: str, archived: bool = False
    ) -> tuple[list[Row], str]:
        """One page of all records from the database, and the place of the next (empty: there is none)."""
        query: dict[str, Any] = {"limit": limit, "archived": str(archived).lower()}
        if after:
            query["after"] = after
        whole = {**query, "properties": ",".join((*properties, MERGED_IDS))}
        fits = len(urlencode(whole)) <= self._longest
        answer = self._http.call("GET", self._paths.objects(kind), query=whole if fits else query)
        rows, body = _results(answer)
        if not fits and not archived:  # a list of properties that is too long for an address goes into a body
            rows = self.read(kind, [str(row["id"]) for row in rows], properties)
        following = (body.get("paging") or {}).get("next") or {}
        return rows, str(following.get("after") or "")

    def found(self, kind: str, filters: Sequence[Mapping[str, Any]], *, limit: int, after_id: str) -> list[str]:
        """Ids of the next records that meet all filters, in ascending order, behind ``after_id``.

        The vendor's ``after`` ends at 10,000 results; the id does not, and it repeats nothing when records change.
        """
        body = {
            "filterGroups": [
                {"filters": [*filters, {"propertyName": "hs_object_id", "operator": "GT", "value": after_id or "0"}]}
            ],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": ["hs_object_id"],
            "limit": limit,
        }
        rows, _ = _results(self._http.call("POST", self._paths.objects(kind, "search"), json=body))
        return [str(row["id"]) for row in rows]

    def fitting(self, kind: str, filters: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> list[str]:
        """Those of these ids that meet all filters, as far as the index knows by now."""
        found: list[str] = []
        for start in range(0, len(ids), MOST_INPUTS):
            few = ids[start : start + MOST_INPUTS]
            among = {"propertyName": "hs_object_id", "operator": "IN", "values": few}
            found += self.found(kind, [*filters, among], limit=len(few), after_id="")
        return found

    def read(
        self,
        kind: str,
        keys: Sequence[str],
        properties: Sequence[str],
        *,
        key_field: str | None = None,
        archived: bool = False,
    ) -> list[Row]:
        """The records with these ids (or values of ``key_field``) that are there, from the database."""
        rows: list[Row] = []
        for start in range(0, len(keys), MOST_INPUTS):
            body: dict[str, Any] = {
                "inputs": [{"id": key} for key in keys[start : start + MOST_INPUTS]],
                "properties": [*properties, MERGED_IDS],
                "propertiesWithHistory": [],
            }
            if key_field is not None:
                body["idProperty"] = key_field
            path = self._paths.objects(kind, "batch", "read")
            query = {"archived": "true"} if archived else None
            found, answered = _results(self._http.call("POST", path, json=body, query=query))
            rows += found
            for error in answered.get("errors") or ():
                if category_of(error) != "OBJECT_NOT_FOUND":
                    raise _incomplete(kind, error)
        return rows

    def associated(self, kind: str, other: str, ids: Sequence[str]) -> dict[str, str | list[str]]:
        """Whom each record belongs to: the primary record, else the only one; where there are several, all of them."""
        linked: dict[str, dict[str, bool]] = {}
        for start in range(0, len(ids), MOST_INPUTS):
            asked = [{"id": key} for key in ids[start : start + MOST_INPUTS]]
            while asked:
                asked = [dict(more) for more in self._links(kind, other, asked, linked)]
        return {key: _one_of(found) for key, found in linked.items() if found}

    def _links(
        self, kind: str, other: str, asked: Sequence[Mapping[str, str]], linked: dict[str, dict[str, bool]]
    ) -> Iterator[Mapping[str, str]]:
        """Take one page of each record's associations; yields what must be asked next."""
        path = self._paths.associations(kind, other, "batch", "read")
        results, body = _results(self._http.call("POST", path, json={"inputs": list(asked)}))
        for error in body.get("errors") or ():
            if error.get("subCategory") != _NONE_FOUND:
                raise _incomplete(kind, error)
        for result in results:
            key = str(result["from"]["id"])
            found = linked.setdefault(key, {})
            for link in result.get("to") or ():
                primary = any(one.get("label") == "Primary" for one in link.get("associationTypes") or ())
                found[str(link["toObjectId"])] = primary
            after = ((result.get("paging") or {}).get("next") or {}).get("after")
            if after:
                yield {"id": key, "after": str(after)}


def _one_of(found: Mapping[str, bool]) -> str | list[str]:
    primary = [key for key, is_primary in found.items() if is_primary]
    if len(primary) == 1 or len(found) == 1:
        return (primary or list(found))[0]
    return sorted(found, key=lambda key: (len(key), key))


def _results(answer: Answer) -> tuple[list[Row], Mapping[str, Any]]:
    """The rows of an answer, and the answer."""
    body = answer.json()
    rows = body.get("results") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise ConnectorError("hubspot: an answer about records holds no results")
    return rows, body


def _incomplete(kind: str, error: Mapping[str, Any]) -> ConnectorError:
    code = category_of(error) or "an error without a category"
    return ConnectorError(f"hubspot: a batch of {kind} is incomplete: {code}; nothing of it was taken", code=code)
