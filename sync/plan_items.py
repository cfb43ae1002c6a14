"""One planned write: a record as it should be beside the same record as it is, field by field. All of it is values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from connectors.base import Change, Description
from sync.decisions import Side
from sync.sameness import hash_of

Action = Literal["create", "update", "unchanged", "blocked"]


class Ref(NamedTuple):
    """Names one record of a connection: by an external-id field, or (``key_field=None``) by the system's own id."""

    object: str
    key_field: str | None
    key: str


class Cell(NamedTuple):
    """One field of one record."""

    ref: Ref
    field: str


class Standing(NamedTuple):
    """What stands of an earlier conflict: its values, and whose was taken (``open``: nobody said yet)."""

    theirs: Any
    ours: Any
    state: str
    by_person: bool = False


@dataclass(frozen=True, slots=True)
class Clash:
    """A field that both sides hold differently and that is not simply written: see ``sync.decisions``.

    ``agreed`` says whether ``last`` was ever held by both. ``taken``: whose value stands; ``None``: a person must say.
    """

    field: str
    theirs: Any
    ours: Any
    last: Any
    agreed: bool
    taken: Side | None
    reason: str
    theirs_at: datetime | None = None
    ours_at: datetime | None = None
    changed_by: str | None = None


def shape_of(description: Description | None, fields: Iterable[str]) -> str:
    """A name for how an object and these fields are described: another one means that somebody changed a right, a
    type, a length or a list there. Empty when the system does not describe it."""
    if description is None:
        return ""
    shown = [[name, repr(description.fields.get(name))] for name in sorted(fields)]
    return hash_of({"rights": [description.creatable, description.updatable], "fields": shown})


class FieldChange(NamedTuple):
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
    ``clashes`` are fields that both sides hold differently; those that wait for a person are not among the changes.
    ``shape`` names how the system describes what it would write (:func:`shape_of`). ``held``: wanted fields that hold
    something there.
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
    clashes: tuple[Clash, ...] = ()
    shape: str = ""
    held: frozenset[str] = frozenset()

    def __reduce__(self) -> tuple[Callable[..., Item], tuple[Any, ...]]:
        """How it is kept in a file: a dataclass's own way looks its fields up for each item."""
        return _item, (
            tuple(self.ref), self.action, self.because, tuple(map(tuple, self.changes)), self.parent, self.reason,
            self.version, self.external_id, self.agrees, self.clashes, self.shape, self.held,
        )  # fmt: skip

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
            "conflicts": [
                {
                    "field": c.field,
                    "theirs": c.theirs,
                    "ours": c.ours,
                    "last": c.last,
                    "taken": c.taken,
                    "reason": c.reason,
                    "theirs_at": c.theirs_at and c.theirs_at.isoformat(),
                    "ours_at": c.ours_at and c.ours_at.isoformat(),
                    "changed_by": c.changed_by,
                }
                for c in self.clashes
            ],
            "parent": self.parent,
            "because": self.because,
            "reason": self.reason,
            "version": self.version,
            "external_id": self.external_id,
        }


def _item(ref: tuple[Any, ...], action: Action, because: str, changes: tuple[Any, ...], *more: Any) -> Item:
    """The item that was kept in a file."""
    return Item(Ref._make(ref), action, because, tuple(map(FieldChange._make, changes)), *more)
