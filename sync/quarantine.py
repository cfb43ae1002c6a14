"""Records that could not be mapped: kept with the reason, counted, and tried again when the cause is mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from sync.bulk import rows, run_each
from sync.payloads import storable
from sync.tables import instant


@dataclass(frozen=True, slots=True)
class Held:
    """A quarantined record: where, what was found, what is allowed, and since when."""

    connection: str
    kind: str
    external_id: str
    seq: int
    code: str
    field: str
    found: str
    allowed: str
    waits_for: tuple[str, str] | None
    state: str
    first_seen: datetime
    last_seen: datetime
    attempts: int
    version: str
    """The system's token of the version that was refused; of a file, its name and line."""


def hold(connection: Connection, stream_id: int, refused: Sequence[tuple[str, int, Any]], seen_at: int) -> None:
    """Put records ``(external_id, seq, reject)`` into quarantine, or note another vain attempt."""
    run_each(
        connection,
        _HOLD,
        [
            (
                stream_id, external_id, seq, reject.code, storable(reject.field), storable(reject.found),
                storable(reject.allowed), *((None, None) if reject.waits_for is None else map(storable, reject.waits_for)),
                seen_at, seen_at,
            )
            for external_id, seq, reject in refused
        ],
    )  # fmt: skip


def release(connection: Connection, stream_id: int, accepted: list[str], seen_at: int) -> None:
    """Release those of these records that were in quarantine: they map now (or are gone)."""
    if accepted and rows(
        connection, "SELECT 1 FROM quarantine WHERE stream_id = ? AND state = 'open' LIMIT 1", stream_id
    ):
        held = rows(connection, _HELD_OF_THESE, stream_id, accepted)
        run_each(connection, _RELEASE, [(seen_at, stream_id, external_id) for (external_id,) in held])


def listed(
    connection: Connection, name: str | None, kind: str | None, state: str | None, external_id: str | None = None
) -> list[Held]:
    """Quarantined records, oldest first; ``None`` leaves a choice open."""
    found = rows(connection, _LISTED, name, name, kind, kind, state, state, external_id, external_id)
    return [
        Held(
            *(connection_name, kind_name, identity, seq, code, field, value, allowed),
            None if parent is None else (parent, parent_id),
            *(now, instant(first), instant(last), attempts, version),
        )
        for (
            connection_name, kind_name, identity, seq, code, field, value, allowed, parent, parent_id, now, first, last, attempts,
            version,
        ) in found
    ]  # fmt: skip


def waiting(connection: Connection, name: str, kind: str | None = None) -> dict[str, list[str]]:
    """Ids by object of the records whose awaited parent (of this object, or of any) has arrived."""
    found = rows(connection, _ARRIVED, name, kind, kind)
    freed: dict[str, list[str]] = {}
    for child, external_id in found:
        freed.setdefault(child, []).append(external_id)
    return freed


_HOLD = """
INSERT INTO quarantine (stream_id, external_id, seq, code, field, found, allowed, waits_for_kind, waits_for_id,
    state, first_seen, last_seen, attempts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, ?, 1)
ON CONFLICT (stream_id, external_id) DO UPDATE SET
    first_seen = CASE WHEN quarantine.state = 'open' THEN quarantine.first_seen ELSE excluded.first_seen END,
    seq = excluded.seq, code = excluded.code, field = excluded.field, found = excluded.found,
    allowed = excluded.allowed, waits_for_kind = excluded.waits_for_kind, waits_for_id = excluded.waits_for_id,
    state = 'open', last_seen = excluded.last_seen, attempts = quarantine.attempts + 1
"""
_HELD_OF_THESE = "SELECT external_id FROM quarantine WHERE stream_id = ? AND state = 'open' AND external_id AMONG ?"
_RELEASE = "UPDATE quarantine SET state = 'released', last_seen = ? WHERE stream_id = ? AND external_id = ?"
_LISTED = """
SELECT s.connection, s.kind, q.external_id, q.seq, q.code, q.field, q.found, q.allowed, q.waits_for_kind, q.waits_for_id,
    q.state, q.first_seen, q.last_seen, q.attempts, v.version
FROM quarantine q JOIN stream s ON s.id = q.stream_id
JOIN record r ON r.stream_id = q.stream_id AND r.external_id = q.external_id JOIN record_version v ON v.id = r.version_id
WHERE (s.connection = ? OR CAST(? AS TEXT) IS NULL) AND (s.kind = ? OR CAST(? AS TEXT) IS NULL)
    AND (q.state = ? OR CAST(? AS TEXT) IS NULL) AND (q.external_id = ? OR CAST(? AS TEXT) IS NULL)
ORDER BY q.first_seen, s.kind, q.external_id
"""
_ARRIVED = """
SELECT s.kind, q.external_id FROM quarantine q JOIN stream s ON s.id = q.stream_id
JOIN stream p ON p.connection = s.connection AND p.kind = q.waits_for_kind
JOIN record r ON r.stream_id = p.id AND r.external_id = q.waits_for_id
WHERE s.connection = ? AND q.state = 'open' AND q.code = 'waiting' AND (q.waits_for_kind = ? OR CAST(? AS TEXT) IS NULL)
ORDER BY s.kind, q.external_id
"""
