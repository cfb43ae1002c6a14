"""The contract between a system and the sync layer: records, pages, and small capability protocols.

A connector implements the capabilities its system has: :class:`Reader`, :class:`Writer`,
:class:`Describer`. A system that cannot write is only a ``Reader``; nothing raises
``NotImplementedError``. Everything here is a plain value, so a page can be stored, replayed and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, overload, runtime_checkable

import msgspec

Cursor = str
"""Where reading stopped: opaque text made and understood only by the connector that returned it."""


FAULT = "$fault"
"""Field of a record that its connector could read only in part: an object with ``field``, ``found`` and ``allowed``.

The record is kept, gives no facts and waits in quarantine with that reason, which says where a person finds it.
"""


class Record(msgspec.Struct, frozen=True):
    """One object as the system holds it. A struct, since there is one for every row: a frozen dataclass takes 0.8 µs to make.

    ``version`` is the system's change token (a stamp or counter, as text). ``fields`` holds the
    system's own field names and values: each field that was asked for, ``None`` where there is nothing, so that one which
    is missing was not read. Money is text or ``Decimal``, never a float. ``modified_at`` is the system's own change instant in UTC, when it has one: evidence, never rank.
    Of a deleted record ``fields`` are its last values where the system still shows them, else empty.
    """

    kind: str
    external_id: str
    version: str
    fields: Mapping[str, Any]
    deleted: bool = False
    merged_into: str | None = None
    created_at: datetime | None = None
    modified_at: datetime | None = None


class UnreadRecords(Sequence[Record]):
    """Records as their texts came, read when they are looked at: here, or in a process beside this one.

    ``read`` makes records of some texts in their order (of all but those that are not wanted), the same whenever and wherever
    it is asked; those that compare equal read alike. Raises, when looked at: what ``read`` raises, a kind of :class:`~connectors.errors.ConnectorError`.
    """

    __slots__ = ("_records", "read", "texts")

    def __init__(self, texts: Sequence[bytes], read: Callable[[Sequence[bytes]], Sequence[Record]]) -> None:
        self.texts, self.read = texts, read
        self._records: Sequence[Record] | None = None

    def __len__(self) -> int:
        return len(self[:])

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if self._records is None:
            self._records = self.read(self.texts)
        return self._records[index]

    def __iter__(self) -> Iterator[Record]:
        return iter(self[:])


@dataclass(frozen=True, slots=True)
class Page:
    """Records read together, and the cursor to resume after them.

    ``watermark`` is set on the last page of a read only: the cursor from which the next run starts.
    It moves past a window only when every page of that window has been handed out.
    """

    records: Sequence[Record]
    """A tuple, or :class:`UnreadRecords`."""
    cursor: Cursor
    watermark: Cursor | None = None
    calls: int = 1
    """API calls that this page cost."""
    job: str | None = None
    """The system's id of its own job that gives these records; ``None``: they came as answers to queries."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to read of one object: its fields, and a filter in the system's own language (from the mapping)."""

    kind: str
    fields: tuple[str, ...]
    where: str | None = None


FieldType = Literal[
    "id", "string", "integer", "decimal", "money", "boolean", "date", "datetime", "reference", "picklist", "json"
]


@dataclass(frozen=True, slots=True)
class Field:
    """One field as the system describes it. ``values`` are the active picklist values."""

    name: str
    label: str
    type: FieldType
    readable: bool = True
    creatable: bool = True
    updatable: bool = True
    required: bool = False
    unique: bool = False
    external_id: bool = False
    length: int | None = None
    values: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    """Objects that its value may name."""
    relationship: str = ""
    """The first step of dotted names that lead through it (``Owner`` for ``OwnerId``), where that is not its own name."""
    calculated: bool = False
    """A formula or roll-up: its value changes without the record's change stamp, so reading changes misses it."""


@dataclass(frozen=True, slots=True)
class Description:
    """One object as the system describes it to this connection (fields it may not see are absent)."""

    kind: str
    label: str
    fields: Mapping[str, Field]
    creatable: bool = True
    updatable: bool = True
    deletable: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """One record to write: an upsert by a unique key field, or an update of a record known by its id.

    ``key_field`` is the external-id field and ``key`` its value; with ``key_field=None`` the ``key`` is the
    system's own id and the write is an update that must not create. ``fields`` holds only what changes;
    ``None`` clears a field. ``parent`` orders writes that lock a common parent.
    """

    kind: str
    key_field: str | None
    key: str
    fields: Mapping[str, Any]
    parent: str | None = None
    expected_version: str | None = None


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call as it went over the wire (``connectors.calls`` notes them). ``place``: in the order of this process.

    ``path`` is without query; ``status=None``: no answer came. ``request_id`` and ``answered_at`` are the system's own
    words (its name for the request, its ``Date`` header), where it has them.
    """

    place: int
    method: str
    path: str
    status: int | None
    request_id: str | None = None
    answered_at: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """The result of one change, in the order the changes were given.

    ``state``: ``done`` (applied, or already so), ``rejected`` (never will be as it is),
    ``retry`` (nothing was applied; may succeed later), ``unknown`` (no answer: read back before anything else).
    """

    key: str
    state: Literal["done", "rejected", "retry", "unknown"]
    external_id: str | None = None
    created: bool | None = None
    code: str | None = None
    message: str | None = None
    calls: tuple[ApiCall, ...] = field(default=(), compare=False, repr=False)
    """The API calls that carried it, where the writer can tell; for tracing."""


@dataclass(frozen=True, slots=True)
class Usage:
    """API calls used of those allowed in the system's own window (``None``: the system does not say)."""

    used: int | None
    allowed: int | None
    window: str = "day"


@runtime_checkable
class Reader(Protocol):
    """Reads objects, whole or since a cursor."""

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """Yield pages of records changed since the cursor (``None``: everything), oldest change first.

        Where a system gives many rows in an order of its own, they come so: callers go by ``modified_at``, never by the
        order. A page may be empty: a place to go on from, while the system is at work.
        Deleted and merged records come as records with ``deleted`` (and ``merged_into``) set. A record may
        come more than once (overlap windows); the caller applies pages idempotently. Resuming from any
        yielded ``cursor`` loses nothing.
        Raises: :class:`~connectors.errors.ConnectorError` and its kinds; ``CursorExpired`` asks for a full read.
        """
        ...

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """Yield the records with these ids (or external keys, with ``key_field``) that exist; for read-back and plans."""
        ...


def no_job_started(job: str, places: Sequence[int]) -> None:
    """Nobody keeps account of jobs."""


@runtime_checkable
class Writer(Protocol):
    """Writes changes; every write is safe to repeat."""

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Apply the changes and say what became of each, in order.

        A row that fails never fails its neighbours. A lost answer is ``unknown``, not an exception.
        Raises: ``ConnectorError`` kinds for what concerns the whole connection (login, quota).
        """
        ...

    def write_calls(self, changes: Sequence[Change]) -> int:
        """API calls that :meth:`write` would cost for these changes."""
        ...


@runtime_checkable
class JobWriter(Writer, Protocol):
    """A writer that can also hand many changes to the system as jobs, which go on there while we are gone."""

    @property
    def most_at_once(self) -> int:
        """Changes that one job takes."""
        ...

    def jobs_for(self, changes: Sequence[Change]) -> int:
        """How many jobs :meth:`write` would make for these changes; 0: they go by ordinary calls."""
        ...

    def write(
        self, changes: Sequence[Change], *, started: Callable[[str, Sequence[int]], None] = no_job_started
    ) -> list[Written]:
        """As :meth:`Writer.write`. ``started`` is called with a job's id and the places of its changes *before* the job
        can carry out anything: what it does not return from is never carried out."""
        ...

    def job_results(self, job: str, changes: Sequence[Change]) -> list[Written]:
        """What a job that was started earlier did with these changes, all of them its own.

        It is waited for, and ended when it takes too long. ``unknown`` is what it does not tell of (any more).
        Raises: ``ConnectorError`` kinds for what concerns the whole connection.
        """
        ...


@runtime_checkable
class Describer(Protocol):
    """Says what objects and fields the connection can see."""

    def kinds(self) -> list[str]:
        """Names of all objects this connection can see."""
        ...

    def describe(self, kind: str) -> Description | None:
        """The object's description, or ``None`` when the connection cannot see such an object."""
        ...

    def usage(self) -> Usage:
        """API calls used and allowed, as the system counts them."""
        ...


@runtime_checkable
class ManyDescriber(Describer, Protocol):
    """Describes several objects in fewer calls than one each; a capability that no system must have."""

    def describe_many(self, kinds: Sequence[str]) -> Mapping[str, Description | None]:
        """Each of these objects as :meth:`Describer.describe` gives it."""
        ...


def descriptions(describer: Describer, kinds: Iterable[str]) -> dict[str, Description | None]:
    """Objects as the system describes them, in as few calls as it can. Raises: ``ConnectorError`` kinds."""
    names = list(dict.fromkeys(kinds))
    if isinstance(describer, ManyDescriber):
        return dict(describer.describe_many(names))
    return {name: describer.describe(name) for name in names}


@dataclass(frozen=True, slots=True)
class Hint:
    """A record that something happened to, as the system says of itself: read it sooner than the next poll would.

    ``kind`` is the system's own name of the object, which may be another than a mapping's (see :class:`Rereader`).
    Without an ``external_id`` something happened to the object as a whole, without a ``kind`` to the connection. Hints
    come twice, late, in any order or not at all: nothing but the wish to look follows from one.
    """

    kind: str = ""
    external_id: str = ""
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """A request that a system made to us. ``uri`` is the address as the system called it, query included."""

    method: str
    uri: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """Hints of a stream, and the cursor from which listening goes on after them."""

    hints: tuple[Hint, ...]
    cursor: Cursor


@runtime_checkable
class Rereader(Protocol):
    """Reads single records anew, so that what a hint tells of need not wait for the next read of changes."""

    def hinted_as(self, kind: str) -> Sequence[str]:
        """The names by which hints call this object, its own included."""
        ...

    def reread(self, query: Query, ids: Sequence[str]) -> Iterator[Record]:
        """Yield these records as :meth:`Reader.changes` would bring them now, deleted and merged ones too.

        Those that do not meet the query's filter, and those that never were, are left out.
        """
        ...


@runtime_checkable
class PartLister(Protocol):
    """A reader whose whole read may be a part of what there is, as an export of one month is."""

    def lists_all(self, kind: str) -> bool:
        """Whether a record of this object that is not listed now is gone; otherwise its absence says nothing."""
        ...


@runtime_checkable
class Listener(Protocol):
    """A system that tells of its changes over a connection which we keep open."""

    def listen(self, since: Cursor | None) -> Iterator[Heard]:
        """Yield what is heard since the cursor (``None``: from now on), without an end; often there are no hints in it.

        Events that were missed, or that carry no ids, come as a hint without an id.
        Raises: ``ConnectorError`` kinds when the connection is lost: listen again from the last cursor, later.
        """
        ...


class Connector(Reader, Writer, Describer, Protocol):
    """A system with every capability."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a set-up, for ``referee check``: where, what was found, what is allowed."""

    where: str
    found: str
    allowed: str
    hint: str = ""
    level: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class Probe:
    """Answer of a connection check: who we are there, and what a person should mend."""

    identity: str
    problems: tuple[Problem, ...] = field(default=())
