"""Saves rows as the vendor does: every check of one row, then the row; one result for each record of a collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from connectors.salesforce.ids import full_id
from connectors.salesforce.simulator.rows import NotThere, Rows
from connectors.salesforce.simulator.schema import FieldSpec, ObjectSpec
from connectors.salesforce.simulator.values import FieldError, Row, coerced

Action = Literal["created", "updated", "deleted"]


class UnknownColumn(Exception):
    """A field that does not exist, or that this user may not see: the whole request is refused."""


class ManyMatches(Exception):
    """An external id that belongs to several rows; ``ids`` are theirs."""

    def __init__(self, ids: list[str]) -> None:
        super().__init__("several rows match")
        self.ids = ids


@dataclass
class Rules:
    """What an administrator can configure against us."""

    validations: list[tuple[str, Callable[[Row], str | None]]] = field(default_factory=list)
    """(object, row as it would be → message, or ``None`` when it may be saved)"""
    duplicates: dict[str, str] = field(default_factory=dict)
    """object → field whose equal value makes a duplicate (a duplicate rule that blocks)"""
    locked: dict[str, int] = field(default_factory=dict)
    """record id or external key → how many more attempts meet a lock"""


@dataclass(frozen=True, slots=True)
class Saved:
    """One applied write."""

    object: str
    id: str
    action: Action
    fields: Mapping[str, Any]
    key: str | None = None


class Writes:
    """Checks and applies writes for one user."""

    def __init__(self, rows: Rows, visible: Callable[[str, str], bool], writable: Callable[[str, str], bool]) -> None:
        self.rules = Rules()
        self._rows = rows
        self._visible = visible
        self._writable = writable

    def known_columns(self, spec: ObjectSpec, names: Sequence[str]) -> None:
        """Refuse unseen fields. Raises: :class:`UnknownColumn`."""
        for name in names:
            if name not in spec.fields or not self._visible(spec.name, name):
                raise UnknownColumn(f"No such column '{name}' on sobject of type {spec.name}")

    def save(
        self, spec: ObjectSpec, record_id: str | None, fields: Mapping[str, Any], user: str, allow_duplicates: bool
    ) -> Saved:
        """Insert (``record_id`` ``None``) or update one row. Raises: :class:`FieldError`, ``BadJson``."""
        old: Row = {}
        if record_id is not None:
            old = self._target(spec, record_id)
        self._unlocked(old.get("Id", ""), *(str(value) for key, value in fields.items() if _is_key(spec, key)))
        changes = {name: self._value(spec.fields[name], value, new=not old) for name, value in fields.items()}
        self._required(spec, changes, new=not old)
        row = old | changes
        self._unique(spec, changes, old.get("Id"))
        for name, validate in self.rules.validations:
            if name == spec.name and (message := validate(row)):
                raise FieldError("FIELD_CUSTOM_VALIDATION_EXCEPTION", message)
        if not allow_duplicates:
            self._no_duplicate(spec, row)
        key = next((str(row[name]) for name in spec.fields if _is_key(spec, name) and row.get(name)), None)
        if old:
            self._rows.update(spec.name, old["Id"], changes, by=user, delay=False)
            return Saved(spec.name, old["Id"], "updated", changes, key)
        new_id = self._rows.insert(spec.name, changes, by=user, delay=False)
        return Saved(spec.name, new_id, "created", changes, key)

    def upsert(
        self,
        spec: ObjectSpec,
        key_field: FieldSpec,
        key: str,
        fields: Mapping[str, Any],
        user: str,
        *,
        allow_duplicates: bool,
        update_only: bool = False,
    ) -> Saved:
        """Insert or update by external id. Raises: as :meth:`save`, :class:`ManyMatches`, :class:`NotThere`."""
        matches = self._rows.by_key(spec.name, key_field.name, key)
        if len(matches) > 1:
            raise ManyMatches([row["Id"] for row in matches])
        if not matches and update_only:
            raise NotThere(key)
        record_id = matches[0]["Id"] if matches else None
        return self.save(spec, record_id, {**fields, key_field.name: key}, user, allow_duplicates)

    def delete(self, spec: ObjectSpec, record_id: str, user: str) -> Saved:
        """Move one row to the bin. Raises: :class:`FieldError`."""
        row = self._target(spec, record_id)
        self._unlocked(row["Id"])
        self._rows.delete(spec.name, row["Id"], by=user, delay=False)
        return Saved(spec.name, row["Id"], "deleted", {})

    def _target(self, spec: ObjectSpec, record_id: str) -> Row:
        complete = full_id(record_id)
        if complete is None or self._rows.object_of(complete) != spec.name:
            raise FieldError("MALFORMED_ID", f"{spec.label} ID: id value of incorrect type: {record_id}", ("Id",))
        self._rows.commit_all(spec.name, complete)
        row = self._rows.find(spec.name, complete)
        if row is None:
            raise FieldError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if row["IsDeleted"]:
            raise FieldError("ENTITY_IS_DELETED", "entity is deleted")
        if row.get("IsConverted"):
            raise FieldError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        return row

    def _value(self, target: FieldSpec, value: Any, *, new: bool) -> Any:
        allowed = target.createable if new else target.updateable
        spec_object = self._object_with(target)
        if not allowed or not self._writable(spec_object, target.name):
            raise FieldError(
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                f"Unable to create/update fields: {target.name}. Please check the security settings of this field and "
                "verify that it is read/write for your profile or permission set.",
                (target.name,),
            )
        kept = coerced(target, value)
        if target.references and kept is not None:
            self._reference(target, kept)
        return kept

    def _object_with(self, target: FieldSpec) -> str:
        return next((spec.name for spec in self._rows.objects.values() if spec.fields.get(target.name) is target), "")

    def _reference(self, target: FieldSpec, record_id: str) -> None:
        name = self._rows.object_of(record_id)
        if name not in target.references:
            raise FieldError(
                "FIELD_INTEGRITY_EXCEPTION", f"{target.label}: id value of incorrect type: {record_id}", (target.name,)
            )
        row = self._rows.find(name, record_id)
        if row is None:
            raise FieldError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (target.name,))
        if row["IsDeleted"]:
            raise FieldError("ENTITY_IS_DELETED", "entity is deleted", (target.name,))

    def _required(self, spec: ObjectSpec, changes: Row, *, new: bool) -> None:
        missing = [
            item.name
            for item in spec.fields.values()
            if item.required and changes.get(item.name) is None and (new or item.name in changes)
        ]
        if missing:
            names = ", ".join(missing)
            raise FieldError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{names}]", tuple(missing))

    def _unique(self, spec: ObjectSpec, changes: Row, own: str | None) -> None:
        for name, value in changes.items():
            if spec.fields[name].unique and value is not None:
                others = [row["Id"] for row in self._rows.by_key(spec.name, name, value) if row["Id"] != own]
                if others:
                    raise FieldError(
                        "DUPLICATE_VALUE",
                        f"duplicate value found: {name} duplicates value on record with id: {others[0]}",
                        (name,),
                    )

    def _no_duplicate(self, spec: ObjectSpec, row: Row) -> None:
        name = self.rules.duplicates.get(spec.name)
        if name and row.get(name) is not None:
            for other in self._rows.table(spec.name).values():
                if other.get(name) == row[name] and not other["IsDeleted"] and other["Id"] != row.get("Id"):
                    raise FieldError("DUPLICATES_DETECTED", "Use one of these records?")

    def _unlocked(self, *names: str) -> None:
        for name in names:
            if self.rules.locked.get(name, 0) > 0:
                self.rules.locked[name] -= 1
                raise FieldError("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")


def _is_key(spec: ObjectSpec, name: str) -> bool:
    found = spec.fields.get(name)
    return found is not None and found.external_id
