"""The association endpoints: batches of at most 1,000, pages of links for each record, errors for records without any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.hubspot.simulator.answers import Refusal, bad_request, row_error
from connectors.hubspot.simulator.rows import Rows
from connectors.hubspot.simulator.schema import ObjectSpec

MOST_INPUTS = 1000
Results = tuple[list[dict[str, Any]], list[dict[str, Any]]]


class Associations:
    """Reads and writes associations."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.page_size = 500
        """links of one record in one answer"""

    def read(self, here: ObjectSpec, there: ObjectSpec, body: Mapping[str, Any]) -> Results:
        """``batch/read``."""
        results, errors = [], []
        for one in _inputs(body):
            asked = str(one.get("id"))
            row = self._rows.live(here.name, asked)
            ids = self._rows.links.of(here.name, row.id, there.name) if row is not None else []
            if row is None or not ids:
                singular = there.name.removesuffix("s")
                context = {
                    "fromObjectId": [asked], "fromObjectType": [here.name.removesuffix("s")],
                    "toObjectType": [singular],
                }  # fmt: skip
                message = f"No {singular} is associated with {here.name.removesuffix('s')} {asked}."
                sub = "crm.associations.NO_ASSOCIATIONS_FOUND"
                errors.append(row_error("OBJECT_NOT_FOUND", message, context, subCategory=sub))
                continue
            start = int(one.get("after") or 0)
            page = ids[start : start + self.page_size]
            to = [self._link(here, row.id, there, key) for key in page]
            result: dict[str, Any] = {"from": {"id": row.id}, "to": to}
            if start + self.page_size < len(ids):
                result["paging"] = {"next": {"after": str(start + self.page_size)}}
            results.append(result)
        return results, errors

    def shown(self, here: ObjectSpec, record_id: str, others: Sequence[ObjectSpec]) -> dict[str, Any]:
        """The associations that a list shows beside a record when asked to: those that there are."""
        found = {}
        for there in others:
            kind = f"{here.name.removesuffix('s')}_to_{there.name.removesuffix('s')}"
            ids = self._rows.links.of(here.name, record_id, there.name)
            if ids:
                found[there.name] = {"results": [{"id": key, "type": kind} for key in ids]}
        return found

    def associate(self, here: ObjectSpec, there: ObjectSpec, body: Mapping[str, Any]) -> Results:
        """``batch/associate/default``; may be repeated."""
        results, errors = [], []
        for one in _inputs(body):
            from_id, to_id = str(one["from"]["id"]), str(one["to"]["id"])
            if self._rows.live(here.name, from_id) is None or self._rows.live(there.name, to_id) is None:
                context = {"fromObjectId": [from_id], "toObjectId": [to_id]}
                errors.append(row_error("OBJECT_NOT_FOUND", "One of the objects does not exist", context))
                continue
            self._rows.associate(here.name, from_id, there.name, to_id)
            results.append(
                {"from": {"id": from_id}, "to": {"id": to_id},
                 "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}}
            )  # fmt: skip
        return results, errors

    def create(self, here: ObjectSpec, there: ObjectSpec, body: Mapping[str, Any]) -> Results:
        """``batch/create``, whose answer names types and objects by number; labels are not simulated."""
        results, errors = self.associate(here, there, body)
        return [
            {"fromObjectTypeId": here.type_id, "fromObjectId": int(one["from"]["id"]), "toObjectTypeId": there.type_id,
             "toObjectId": int(one["to"]["id"]), "labels": []}
            for one in results
        ], errors  # fmt: skip

    def one(self, here: ObjectSpec, from_id: str, there: ObjectSpec, to_id: str) -> Results:
        """``PUT …/associations/default/…``; may be repeated."""
        results, errors = self.associate(here, there, {"inputs": [{"from": {"id": from_id}, "to": {"id": to_id}}]})
        if errors:
            raise Refusal(404, "OBJECT_NOT_FOUND", "One of the objects does not exist")
        return results, []

    def remove(self, here: ObjectSpec, there: ObjectSpec, body: Mapping[str, Any]) -> None:
        """``batch/archive``."""
        for one in _inputs(body):
            for target in one.get("to") or ():
                self._rows.separate(here.name, str(one["from"]["id"]), there.name, str(target["id"]))

    def _link(self, here: ObjectSpec, from_id: str, there: ObjectSpec, to_id: str) -> dict[str, Any]:
        types: list[dict[str, Any]] = [{"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None}]
        if self._rows.links.primary(here.name, from_id) == to_id:
            types.insert(0, {"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"})
        return {"toObjectId": int(to_id), "associationTypes": types}


def _inputs(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = body.get("inputs")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise bad_request("inputs must be a list of objects")
    if len(found) > MOST_INPUTS:
        raise bad_request(f"The maximum batch size is {MOST_INPUTS}")
    return found
