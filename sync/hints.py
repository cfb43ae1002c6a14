"""Hints that wait for an early pull: each record once, a bounded number a connection, and never the truth.

What a hint names is read from the system itself (:func:`sync.pull.pull_hinted`), so one that is lost, forged, doubled or
late changes nothing but when we look; polls find the same changes without any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.base import Hint
from sync.bulk import rows, run_each
from sync.payloads import storable
from sync.store import Store
from sync.tables import instant, micros

MOST_WAITING = 10_000
"""Records of one connection that may wait; when there are more, one hint for the whole connection takes their place."""
FORGOTTEN_AFTER = timedelta(days=1)
"""A hint that could not be followed for so long is let go: polls have passed since."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One hint in the store. ``times``: how often it has arrived when it was taken up."""

    kind: str
    external_id: str
    times: int


def keep(
    store: Store,
    connection: str,
    hints: Sequence[Hint],
    *,
    at: datetime,
    cursor: str | None = None,
    most: int = MOST_WAITING,
) -> None:
    """Keep hints, and the cursor of the stream that they were heard on, in one transaction."""
    with store.transaction() as db:
        run_each(db, _FORGET, [(connection, micros(at - FORGOTTEN_AFTER))])
        run_each(
            db, _KEEP,
            [
                (connection, storable(hint.kind), storable(hint.external_id),
                 None if hint.occurred_at is None else micros(hint.occurred_at), micros(at))
                for hint in hints
            ],
        )  # fmt: skip
        if cursor is not None:
            run_each(db, _HEARD, [(connection, cursor, micros(at))])
        if hints and rows(db, _COUNT, connection)[0][0] > most:
            run_each(db, "DELETE FROM hint WHERE connection = ?", [(connection,)])
            run_each(db, _KEEP, [(connection, "", "", None, micros(at))])


def waiting(store: Store, connection: str, *, limit: int = MOST_WAITING) -> list[Waiting]:
    """The hints that wait, in the order of their arrival."""
    with store.reading() as db:
        return [Waiting(*row) for row in rows(db, _WAITING, connection, limit)]


def done(store: Store, connection: str, hints: Sequence[Waiting]) -> None:
    """Let hints go that were followed, but not those that have arrived again meanwhile."""
    with store.transaction() as db:
        run_each(db, _DONE, [(connection, hint.kind, hint.external_id, hint.times) for hint in hints])


def heard_until(store: Store, connection: str) -> str | None:
    """The cursor from which listening to the connection goes on."""
    with store.reading() as db:
        found = rows(db, "SELECT cursor FROM hint_stream WHERE connection = ?", connection)
    return found[0][0] if found else None


def standing(store: Store, connection: str) -> tuple[int, datetime | None]:
    """How many hints wait, and since when the oldest does."""
    with store.reading() as db:
        ((count, oldest),) = rows(db, "SELECT count(*), min(received_at) FROM hint WHERE connection = ?", connection)
    return count, None if oldest is None else instant(oldest)


_FORGET = "DELETE FROM hint WHERE connection = ? AND received_at < ?"
_KEEP = """
INSERT INTO hint (connection, kind, external_id, occurred_at, received_at, times) VALUES (?, ?, ?, ?, ?, 1)
ON CONFLICT (connection, kind, external_id) DO UPDATE SET times = hint.times + 1, received_at = excluded.received_at,
    occurred_at = CASE WHEN hint.occurred_at IS NULL OR excluded.occurred_at > hint.occurred_at
        THEN excluded.occurred_at ELSE hint.occurred_at END
"""
_HEARD = """
INSERT INTO hint_stream (connection, cursor, heard_at) VALUES (?, ?, ?)
ON CONFLICT (connection) DO UPDATE SET cursor = excluded.cursor, heard_at = excluded.heard_at
"""
_COUNT = "SELECT count(*) FROM hint WHERE connection = ?"
_WAITING = """
SELECT kind, external_id, times FROM hint WHERE connection = ? ORDER BY received_at, kind, external_id LIMIT ?
"""
_DONE = "DELETE FROM hint WHERE connection = ? AND kind = ? AND external_id = ? AND times = ?"
