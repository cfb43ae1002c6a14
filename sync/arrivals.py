"""Records on their way into the store: as they will be kept, and what the mapping makes of them.

Pure, so that a process beside ours can do it (``sync.mapping_process``); what it says goes over as MessagePack.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any, Protocol

import msgspec

from connectors.base import Record
from sync.errors import SyncError
from sync.fact_rows import Unwritable, Written, written
from sync.payloads import all_encoded, content_hash, storable
from sync.refusal import Reject
from sync.tables import micros

MAPPED_AT_ONCE = 100
"""Records that are written as JSON, hashed and mapped before the next are touched: what they hold (6 kB each) stays in
the processor's own cache from the one to the other."""


class Mapped(Protocol):
    """One record's facts, or the reason for none (``sync.object_maps.Mapped``)."""

    @property
    def external_id(self) -> str: ...
    @property
    def facts(self) -> Sequence[dict[str, Any]]: ...
    @property
    def reject(self) -> Reject | None: ...
    @property
    def bodies(self) -> Sequence[bytes]:
        """The facts as ``fact_json`` writes them; none: not written yet."""
        ...


class Head(msgspec.Struct, frozen=True, gc=False):
    """What the store holds of a record already."""

    version_id: int
    content_hash: bytes
    modified_at: int | None
    facts: str | None


class Arrival(msgspec.Struct, array_like=True, gc=False):
    """A record that may bring something new, or is mapped once more. Instants in micros."""

    external_id: str
    version: str
    payload: bytes
    content_hash: bytes
    deleted: bool
    merged_into: str | None
    created: int | None
    modified: int | None
    place: int = 0
    """Among the records of its page."""
    is_mapped: bool = False
    given: Sequence[Written] = ()
    reject: Reject | None = None
    """What the mapping makes of the record."""
    head: Head | None = None
    seq: int = 1
    record: Record | None = None
    """The record itself, where it was made in this process."""


def arrived(records: Sequence[Record]) -> list[Arrival]:
    """These records as they will be kept, not mapped yet."""
    return [
        Arrival(
            storable(record.external_id),
            storable(record.version),
            payload,
            content_hash(payload, record.deleted, record.merged_into),
            record.deleted,
            None if record.merged_into is None else storable(record.merged_into),
            None if record.created_at is None else micros(record.created_at),
            None if record.modified_at is None else micros(record.modified_at),
            record=record,
        )
        for record, payload in zip(records, all_encoded(records), strict=True)
    ]


def take_answers(arrivals: Sequence[Arrival], records: Sequence[Record], answers: Sequence[Mapped]) -> None:
    """Note with each arrival what the mapping made of its record. Raises: ``SyncError`` unless it answers each, in order."""
    given = iter(answers)
    for arrival, record in zip(arrivals, records, strict=True):
        arrival.given, arrival.reject = _taken(record, next(given, None))
        arrival.is_mapped = True


def _taken(record: Record, answer: Mapped | None) -> tuple[Sequence[Written], Reject | None]:
    if answer is None:
        raise SyncError(f"mapping of {record.kind}: found fewer answers than records; allowed: one each, in order")
    if answer.external_id != record.external_id:
        raise SyncError(f"mapping of {record.kind}: found an answer for another record; allowed: one each, in order")
    if answer.reject is not None:
        return (), answer.reject
    try:
        return list(map(written, answer.facts, answer.bodies or repeat(None))), None
    except Unwritable as error:
        allowed = "text of whole Unicode characters; correct the record in its system"
        return (), Reject("record", error.field, error.found, allowed)
