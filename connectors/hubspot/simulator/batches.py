"""The batch endpoints: at most 100 inputs, one refusal for all when a value is wrong, else a result each.

Whether a record that conflicts or is not there refuses the whole batch depends on the inputs: with an
``objectWriteTraceId`` each, the answer is 207 with an error for that record; without, it is 409 or 404.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from connectors.hubspot.simulator.answers import PropertyError, Refusal, bad_request, invalid_values, row_error
from connectors.hubspot.simulator.rows import Row, Rows
from connectors.hubspot.simulator.schema import ObjectSpec
from connectors.hubspot.simulator.values import stamp_of

MOST_INPUTS = 100
Results = tuple[list[dict[str, Any]], list[dict[str, Any]]]
Note = Callable[[str, str | None, str, str, Mapping[str, Any]], None]


class Batches:
    """Carries batches out; ``note`` is told of every applied write (object, key, id, action, properties)."""

    def __init__(self, rows: Rows, note: Note) -> None:
        self._rows = rows
        self._note = note
        self.races: dict[str, int] = {}
        """unique value → how many more upserts of it meet another insert"""
        self.names_inputs = True
        """whether results repeat the trace id of their input"""
        self.rules: list[tuple[str, Callable[[Mapping[str, str]], str | None]]] = []
        """validation rules of the portal: (object, properties as they would be → complaint, or ``None``)"""

    def read(self, spec: ObjectSpec, body: Mapping[str, Any], archived: bool) -> Results:
        """``batch/read`` by id or unique property; ids that are not there are left out, unless by a property."""
        inputs = _inputs(body)
        key_field = self._key_field(spec, body.get("idProperty"))
        names = [str(name) for name in body.get("properties") or ()]
        results, missing = {}, []
        for one in inputs:
            key = str(one.get("id"))
            row = self._found(spec, key_field, key, archived)
            if row is None:
                missing.append(key)
            else:
                results[row.id] = shown(spec, row, names)
        errors = []
        if missing and key_field is not None:
            errors = [row_error("OBJECT_NOT_FOUND", "Could not get some objects, they may be deleted or not exist. "
                                "Check that ids are valid.", {"ids": missing})]  # fmt: skip
        return list(results.values()), errors

    def create(self, spec: ObjectSpec, body: Mapping[str, Any]) -> Results:
        """``batch/create``."""
        inputs = _inputs(body)
        texts = self._checked(spec, inputs)
        results, errors = [], []
        for one, values in zip(inputs, texts, strict=True):
            other = self._rows.taken(spec.name, values, None)
            if other is not None:
                errors.append(self._conflict(spec, one, other))
                continue
            row = self._rows.insert(spec.name, values)
            self._note(spec.name, _key_of(spec, values), row.id, "created", values)
            results.append(self._result(spec, row, one, values))
        return results, errors

    def update(self, spec: ObjectSpec, body: Mapping[str, Any]) -> Results:
        """``batch/update`` by id, or by ``idProperty``."""
        inputs = _inputs(body)
        texts = self._checked(spec, inputs)
        results, errors = [], []
        for one, values in zip(inputs, texts, strict=True):
            key = str(one.get("id"))
            row = self._found(spec, self._key_field(spec, one.get("idProperty")), key, False)
            if row is None:
                if "objectWriteTraceId" not in one:
                    raise Refusal(404, "OBJECT_NOT_FOUND", "Could not get some objects", context={"ids": [key]})
                context = {"ids": [key], "objectWriteTraceId": [str(one["objectWriteTraceId"])]}
                errors.append(row_error("OBJECT_NOT_FOUND", "Could not get some objects", context))
                continue
            other = self._rows.taken(spec.name, values, row.id)
            if other is not None:
                errors.append(self._conflict(spec, one, other))
                continue
            self._rows.update(spec.name, row, values)
            self._note(spec.name, _key_of(spec, row.properties), row.id, "updated", values)
            results.append(self._result(spec, row, one, values))
        return results, errors

    def upsert(self, spec: ObjectSpec, body: Mapping[str, Any]) -> Results:
        """``batch/upsert`` by a property with unique values."""
        inputs = _inputs(body)
        keys = [self._key_field(spec, one.get("idProperty")) for one in inputs]
        if None in keys:
            raise bad_request("Unable to perform upsert without a unique idProperty")
        for one, name in zip(inputs, keys, strict=True):
            one["properties"] = {**(one.get("properties") or {}), str(name): one.get("id")}
        texts = self._checked(spec, inputs)
        results, errors = [], []
        for one, values, name in zip(inputs, texts, keys, strict=True):
            key = values[str(name)]
            row = self._rows.by_value(spec.name, str(name), key)
            other = self._rows.taken(spec.name, values, row.id if row else None)
            if self.races.get(key, 0) > 0:
                self.races[key] -= 1
                other = row.id if row else "0"
            if other is not None:
                errors.append(self._conflict(spec, one, other))
                continue
            new = row is None
            if row is None:
                missing = [required for required in spec.required if not values.get(required)]
                if missing:
                    raise invalid_values(
                        [PropertyError("REQUIRED_FIELD", missing[0], "a required property is missing")]
                    )
                row = self._rows.insert(spec.name, values)
            else:
                self._rows.update(spec.name, row, values)
            self._note(spec.name, key, row.id, "created" if new else "updated", values)
            results.append({**self._result(spec, row, one, values), "new": new})
        return results, errors

    def archive(self, spec: ObjectSpec, body: Mapping[str, Any]) -> None:
        """``batch/archive``; ids that are not there are no error."""
        for one in _inputs(body):
            row = self._rows.get(spec.name, str(one.get("id")))
            if row is not None and row.archived_at is None and row.merged_into is None:
                self._rows.archive(spec.name, row)
                self._note(spec.name, None, row.id, "deleted", {})

    def _found(self, spec: ObjectSpec, key_field: str | None, key: str, archived: bool) -> Row | None:
        if key_field is not None:
            return self._rows.by_value(spec.name, key_field, key)
        if archived:
            row = self._rows.get(spec.name, key)
            return row if row is not None and row.archived_at is not None else None
        return self._rows.live(spec.name, key)

    def _key_field(self, spec: ObjectSpec, name: Any) -> str | None:
        if name is None:
            return None
        known = spec.properties.get(str(name))
        if known is None or not known.unique:
            raise bad_request(f"Unable to perform update/upsert by non-unique {spec.type_id} property {name}")
        return known.name

    def _checked(self, spec: ObjectSpec, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
        """The texts of every input. Raises: :class:`Refusal` for the whole batch, naming all that is wrong."""
        texts: list[dict[str, str]] = []
        wrong: list[PropertyError] = []
        for one in inputs:
            values, errors = self._rows.checked(spec.name, one.get("properties") or {})
            texts.append(values)
            wrong += errors
            for kind, rule in self.rules:
                if kind == spec.name and not errors and (complaint := rule(values)):
                    wrong.append(PropertyError("VALIDATION_RULE", next(iter(values), ""), complaint))
        if wrong:
            raise invalid_values(wrong)
        return texts

    def _conflict(self, spec: ObjectSpec, one: Mapping[str, Any], other: str) -> dict[str, Any]:
        label = spec.label.removesuffix("s")
        if "objectWriteTraceId" not in one:
            raise Refusal(409, "CONFLICT", f"{label} already exists. Existing ID: {other}")
        context = {"objectWriteTraceId": [str(one["objectWriteTraceId"])], "existingId": [other]}
        return row_error("CONFLICT", f"{label} already exists. Existing ID: {other}", context)

    def _result(self, spec: ObjectSpec, row: Row, one: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
        answer = shown(spec, row, [*spec.shown, *values])
        if self.names_inputs and "objectWriteTraceId" in one:
            answer["objectWriteTraceId"] = str(one["objectWriteTraceId"])
        return answer


def shown(spec: ObjectSpec, row: Row, names: Sequence[str]) -> dict[str, Any]:
    """A record as the API shows it: the properties asked for (unknown ones are left out without a word), as text."""
    always = ("hs_object_id", spec.created, spec.modified)
    wanted = [name for name in dict.fromkeys((*always, *(names or spec.shown))) if name in spec.properties]
    answer: dict[str, Any] = {
        "id": row.id, "properties": {name: row.properties.get(name) for name in wanted},
        "createdAt": stamp_of(row.created), "updatedAt": stamp_of(row.updated), "archived": row.archived_at is not None,
    }  # fmt: skip
    if row.archived_at is not None:
        answer["archivedAt"] = stamp_of(row.archived_at)
    return answer


def _inputs(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = body.get("inputs")
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise bad_request("inputs must be a list of objects")
    if len(found) > MOST_INPUTS:
        raise bad_request(f"The maximum batch size is {MOST_INPUTS}")
    repeated = list(_repeated([str(one["id"]) for one in found if "id" in one]))
    if repeated:
        listed = ", ".join(repeated)
        message = f"Duplicate IDs found in batch input: [{listed}]. IDs must be unique"
        raise Refusal(400, "VALIDATION_ERROR", message, context={"ids": repeated})
    return [dict(one) for one in found]


def _repeated(keys: Sequence[str]) -> Iterator[str]:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            yield key
        seen.add(key)


def _key_of(spec: ObjectSpec, values: Mapping[str, str]) -> str | None:
    return next(
        (text for name, text in values.items() if name in spec.properties and spec.properties[name].unique), None
    )
