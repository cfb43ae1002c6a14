"""One planned write: a record as it should be beside the same record as it is, field by field. All of it is values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from connectors.base import Change, Description
from sync.sameness import hash_of

Verdict = Literal["keep", "push", "conflict"]
Action = Literal["create", "update", "unchanged", "blocked"]


class Ref(NamedTuple):
    """Names one record of a connection: by an external-id field, or (``key_field=None``) by the system's own id."""

    object: str
    key_field: str | None
    key: str


class Unknown:
    """Nothing was agreed about a field: neither written by us nor found equal before."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


def decide(theirs: str | None, ours: str | None, agreed: str | Unknown | None) -> Verdict:
    """What to do with one field: the system's value, the wanted one and the last that both held, in plain form.

    ``keep``: both are the same. ``push``: only we moved on, or nothing was ever agreed. ``conflict``: somebody changed
    it there. A field that only we write is pushed in a conflict too; the difference is that it is reported.
    """
    if theirs == ours:
        return "keep"
    return "push" if isinstance(agreed, Unknown) or theirs == agreed else "conflict"


def shape_of(description: Description | None, fields: Iterable[str]) -> str:
    """A name for how an object and these fields are described: another one means that somebody changed a right, a
    type, a length or a list there. Empty when the system does not describe it."""
    if description is None:
        return ""
    shown = [[name, repr(description.fields.get(name))] for name in sorted(fields)]
    return hash_of({"rights": [description.creatable, description.updatable], "fields": shown})


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that will be written: what is there, and what will be. ``overwrites``: what is there came from a person."""

    name: str
    before: Any
    after: Any
    overwrites: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """What becomes of one wanted record, and why.

    ``reason`` says why it is blocked (or, of a create, that it was there once). ``version`` is the system's change
    token of what was compared. ``agrees`` holds fields found equal that were not known to be: worth remembering.
    ``shape`` names how the system describes what it would write (:func:`shape_of`).
    """

    ref: Ref
    action: Action
    because: str
    changes: tuple[FieldChange, ...] = ()
    parent: str | None = None
    reason: str = ""
    version: str | None = None
    external_id: str | None = None
    agrees: Mapping[str, Any] = field(default_factory=dict)
    shape: str = ""

    @property
    def writes(self) -> bool:
        """Whether this item costs a write."""
        return self.action in ("create", "update")

    @property
    def payload(self) -> dict[str, Any]:
        """The fields to write: only those that change."""
        return {change.name: change.after for change in self.changes}

    def change(self) -> Change:
        """The write, for a connector."""
        return Change(self.ref.object, self.ref.key_field, self.ref.key, self.payload, self.parent)

    def to_plain(self) -> dict[str, Any]:
        """The item as JSON values."""
        return {
            "object": self.ref.object,
            "key_field": self.ref.key_field,
            "key": self.ref.key,
            "action": self.action,
            "changes": [
                {"field": c.name, "before": c.before, "after": c.after, "overwrites": c.overwrites}
                for c in self.changes
            ],
            "parent": self.parent,
            "because": self.because,
            "reason": self.reason,
            "version": self.version,
            "external_id": self.external_id,
        }
