"""The record resources: one record, one by external id, and collections of at most 200."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from connectors.salesforce.simulator.answers import Choices, Refusal, not_found, row_done, row_error
from connectors.salesforce.simulator.evaluate import Evaluator, Shape
from connectors.salesforce.simulator.rows import NotThere, Rows
from connectors.salesforce.simulator.schema import NUMBERS, FieldSpec, ObjectSpec
from connectors.salesforce.simulator.values import BadJson, FieldError, instant_text, stamp_of
from connectors.salesforce.simulator.writes import ManyMatches, Saved, UnknownColumn, Writes

MOST_RECORDS = 200
MOST_RETRIEVED = 2000
BIN = timedelta(days=15)
Body = Mapping[str, Any]


class Records:
    """Carries out record requests; ``journal`` is told of every applied write."""

    def __init__(self, rows: Rows, writes: Writes, evaluator: Evaluator, journal: Callable[[Saved], None]) -> None:
        self._rows, self._writes, self._evaluator, self._journal = rows, writes, evaluator, journal

    # -- one record

    def get(self, spec: ObjectSpec, record_id: str, fields: Sequence[str], version: str) -> dict[str, Any]:
        """``GET /sobjects/X/id``."""
        try:
            row = self._rows.live(spec.name, record_id)
        except NotThere:
            raise not_found("Provided external ID field does not exist or is not accessible") from None
        return self._evaluator.printed([row], self._shape(spec, fields), version)[0]

    def insert(self, spec: ObjectSpec, body: Body, user: str, allow: bool) -> dict[str, Any]:
        """``POST /sobjects/X``."""
        return row_done(self._one(spec, body, lambda: self._writes.save(spec, None, body, user, allow)).id)

    def update(self, spec: ObjectSpec, record_id: str, body: Body, user: str, allow: bool, unless: str | None) -> None:
        """``PATCH /sobjects/X/id``; ``unless`` is If-Unmodified-Since in the vendor's stamp form."""
        found = self._rows.find(spec.name, record_id)
        if unless and found is not None and found["LastModifiedDate"] > unless:
            raise Refusal(412, "PRECONDITION_FAILED", "Record has been modified")
        self._one(spec, body, lambda: self._writes.save(spec, record_id, body, user, allow))

    def upsert(
        self,
        spec: ObjectSpec,
        field: str,
        key: str,
        body: Body,
        user: str,
        allow: bool,
        update_only: bool,
        version: str,
    ) -> dict[str, Any]:
        """``PATCH /sobjects/X/Field/key``."""
        key_field = self.key_field(spec, field)
        if key_field.name in body:
            raise Refusal(
                400, "INVALID_FIELD", f"The {key_field.name} field should not be specified in the sobject data."
            )
        try:
            saved = self._one(
                spec, body,
                lambda: self._writes.upsert(
                    spec, key_field, key, body, user, allow_duplicates=allow, update_only=update_only
                ),
            )  # fmt: skip
        except ManyMatches as many:
            raise _choices(spec, many.ids, version) from None
        except NotThere:
            raise not_found() from None
        return row_done(saved.id, created=saved.action == "created")

    def id_of(self, spec: ObjectSpec, field: str, key: str, version: str) -> str:
        """The record at ``/sobjects/X/Field/key``. Raises: :class:`Refusal` 404, :class:`Choices`."""
        ids = [row["Id"] for row in self._rows.by_key(spec.name, self.key_field(spec, field).name, key)]
        if not ids:
            raise not_found()
        if len(ids) > 1:
            raise _choices(spec, ids, version)
        return str(ids[0])

    def delete(self, spec: ObjectSpec, record_id: str, user: str) -> None:
        """``DELETE /sobjects/X/id``."""
        self._one(spec, {}, lambda: self._writes.delete(spec, record_id, user))

    def key_field(self, spec: ObjectSpec, name: str) -> FieldSpec:
        """The external-id field. Raises: :class:`Refusal` 404, also when it is hidden."""
        found = spec.fields.get(spec.folded.get(name.lower(), ""))
        if found is None or not found.external_id:
            raise not_found(f"Provided external ID field does not exist or is not accessible: {name}")
        try:
            self._writes.known_columns(spec, [found.name])
        except UnknownColumn:
            raise not_found(f"Provided external ID field does not exist or is not accessible: {name}") from None
        return found

    def _one(self, spec: ObjectSpec, body: Body, write: Callable[[], Saved]) -> Saved:
        try:
            self._writes.known_columns(spec, [name for name in body if name != "attributes"])
            saved = write()
        except UnknownColumn as unknown:
            raise Refusal(400, "INVALID_FIELD", str(unknown)) from None
        except BadJson as bad:
            raise Refusal(400, "JSON_PARSER_ERROR", str(bad)) from None
        except FieldError as error:
            status = 404 if error.code in ("ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY") else 400
            raise Refusal(status, error.code, error.message, error.fields) from None
        self._journal(saved)
        return saved

    # -- collections

    def collection(
        self, body: Body, method: str, user: str, allow: bool, upsert_to: tuple[ObjectSpec, FieldSpec] | None
    ) -> list[dict[str, Any]]:
        """``POST``, ``PATCH /composite/sobjects[/X/Field]``: one result for each record, in order."""
        records = body.get("records")
        if not isinstance(records, list):
            raise Refusal(400, "JSON_PARSER_ERROR", "records must be a list")
        if len(records) > MOST_RECORDS:
            raise Refusal(
                400,
                "EXCEEDED_MAX_SIZE_REQUEST",
                f"record limit reached. cannot submit more than {MOST_RECORDS} records in this call",
            )
        work = [self._record(record, upsert_to[0] if upsert_to else None) for record in records]
        repeated: set[str] = set()
        if upsert_to:
            keys = [str(fields.get(upsert_to[1].name)) for _, fields in work]
            repeated = {key for key in keys if keys.count(key) > 1}
            if any("Id" in fields or "id" in fields for _, fields in work):
                raise Refusal(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.")

        def write(spec: ObjectSpec, fields: dict[str, Any]) -> Saved:
            if upsert_to:
                key_field = upsert_to[1]
                key = fields.pop(key_field.name, None)
                if key is None:
                    raise FieldError("MISSING_ARGUMENT", f"{key_field.name} not specified")
                if str(key) in repeated:
                    raise FieldError("DUPLICATE_VALUE", f"Duplicate external id specified: {key}", (key_field.name,))
                return self._writes.upsert(spec, key_field, str(key), fields, user, allow_duplicates=allow)
            record_id = fields.pop("Id", fields.pop("id", None))
            if method == "PATCH" and record_id is None:
                raise FieldError("MISSING_ARGUMENT", "Id not specified in an update call")
            return self._writes.save(spec, record_id if method == "PATCH" else None, fields, user, allow)

        steps = [partial(write, spec, fields) for spec, fields in work]
        return self._each(steps, bool(body.get("allOrNone")), upsert=upsert_to is not None)

    def delete_many(self, ids: Sequence[str], all_or_none: bool, user: str) -> list[dict[str, Any]]:
        """``DELETE /composite/sobjects?ids=``."""

        def delete(record_id: str) -> Saved:
            name = self._rows.object_of(record_id)
            if name is None:
                raise FieldError("MALFORMED_ID", "bad id " + record_id)
            return self._writes.delete(self._rows.objects[name], record_id, user)

        return self._each([partial(delete, one) for one in ids], all_or_none, upsert=False)

    def retrieve(self, spec: ObjectSpec, ids: Sequence[str], fields: Sequence[str], version: str) -> list[Any]:
        """``GET`` or ``POST /composite/sobjects/X``: the rows in the order asked, ``null`` for those not there."""
        if len(ids) > MOST_RETRIEVED:
            raise Refusal(400, "EXCEEDED_MAX_SIZE_REQUEST", f"cannot retrieve more than {MOST_RETRIEVED} records")
        shape = self._shape(spec, fields)
        answers: list[Any] = []
        for record_id in ids:
            row = self._rows.find(spec.name, record_id)
            live = row is not None and not row["IsDeleted"]
            answers += self._evaluator.printed([row], shape, version) if live and row is not None else [None]
        return answers

    def _record(self, record: Any, expected: ObjectSpec | None) -> tuple[ObjectSpec, dict[str, Any]]:
        kind = record.get("attributes", {}).get("type") if isinstance(record, dict) else None
        spec = self._rows.objects.get(str(kind))
        if spec is None or (expected is not None and spec is not expected):
            raise Refusal(400, "INVALID_TYPE", f"sObject type '{kind}' is not supported.")
        fields = {name: value for name, value in record.items() if name != "attributes"}
        try:
            self._writes.known_columns(spec, [name for name in fields if name != "id"])
        except UnknownColumn as unknown:
            raise Refusal(400, "INVALID_FIELD", str(unknown)) from None
        return spec, fields

    def _each(self, steps: Sequence[Callable[[], Saved]], all_or_none: bool, *, upsert: bool) -> list[dict[str, Any]]:
        before = copy.deepcopy(self._rows.saved_state()) if all_or_none else None
        results: list[dict[str, Any]] = []
        applied: list[Saved] = []
        try:
            for step in steps:
                results.append(self._step(step, applied, upsert))
        except BadJson as bad:
            raise Refusal(400, "JSON_PARSER_ERROR", str(bad)) from None
        if before is not None and not all(result["success"] for result in results):
            self._rows.restore(before)
            victim = row_error(
                "ALL_OR_NONE_OPERATION_ROLLED_BACK",
                "Record rolled back because not all records were valid and the request was using AllOrNone header",
            )
            return [victim if result["success"] else result for result in results]
        for saved in applied:
            self._journal(saved)
        return results

    def _step(self, step: Callable[[], Saved], applied: list[Saved], upsert: bool) -> dict[str, Any]:
        try:
            saved = step()
        except FieldError as error:
            return row_error(error.code, error.message, error.fields)
        except ManyMatches as many:
            return row_error("DUPLICATE_EXTERNAL_ID", f"external id matches {len(many.ids)} records")
        applied.append(saved)
        return row_done(saved.id, created=saved.action == "created" if upsert else None)

    # -- what changed

    def updated(self, spec: ObjectSpec, start: str, end: str) -> dict[str, Any]:
        """``GET /sobjects/X/updated``."""
        low, high = self._range(start, end)
        ids = [
            r["Id"]
            for r in self._rows.in_stamp_order(spec.name)
            if low <= r["SystemModstamp"] < high and not r["IsDeleted"]
        ]
        return {"ids": ids, "latestDateCovered": min(high, self._covered())}

    def deleted(self, spec: ObjectSpec, start: str, end: str) -> dict[str, Any]:
        """``GET /sobjects/X/deleted``."""
        low, high = self._range(start, end)
        earliest = stamp_of(self._rows.now() - BIN)
        if low < earliest:
            raise Refusal(400, "INVALID_REPLICATION_DATE", f"startDate before org replication enabled date: {earliest}")
        gone = [
            {"id": row["Id"], "deletedDate": row["SystemModstamp"]}
            for row in self._rows.in_stamp_order(spec.name)
            if row["IsDeleted"] and low <= row["SystemModstamp"] < high
        ]
        return {
            "deletedRecords": gone,
            "earliestDateAvailable": earliest,
            "latestDateCovered": min(high, self._covered()),
        }

    def _covered(self) -> str:
        """A change still under way is excluded: what is covered ends before the oldest one began."""
        return self._rows.oldest_pending() or stamp_of(self._rows.now())

    def _range(self, start: str, end: str) -> tuple[str, str]:
        low, high = instant_text(start), instant_text(end)
        if low is None or high is None:
            raise Refusal(400, "INVALID_REPLICATION_DATE", "start and end must be instants")
        if low[:16] >= high[:16]:
            raise Refusal(
                400, "INVALID_REPLICATION_DATE", "endDate must be at least one minute greater than the startDate"
            )
        return low, high

    def _shape(self, spec: ObjectSpec, fields: Sequence[str]) -> Shape:
        shape = Shape(spec.name)
        for name in fields:
            found = self._evaluator.field_named(spec, name)
            shape.fields[found.name] = found.type in NUMBERS
        return shape


def _choices(spec: ObjectSpec, ids: Sequence[str], version: str) -> Choices:
    return Choices([f"/services/data/{version}/sobjects/{spec.name}/{one}" for one in ids])
