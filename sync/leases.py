"""Leases: one holder of a name at a time, with a token that grows, so that a holder who slept too long is refused.

A lease that has expired may be taken by another. The former holder may not know (it was stopped, its clock is off);
therefore every write transaction that matters checks the token (:func:`check`), and the stale holder's write fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from sync.bulk import is_sqlite, rows, run_each
from sync.errors import SyncError
from sync.tables import micros


class LeaseLost(SyncError):
    """Another holder has taken the lease since: stop, and write nothing more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A name held until ``expires_at``; ``token`` is higher than that of every holder before."""

    name: str
    holder: str
    token: int
    expires_at: datetime


def acquire(connection: Connection, name: str, holder: str, now: datetime, for_seconds: float) -> Lease | None:
    """Take the lease when it is free or expired, inside a write transaction; ``None`` when somebody else holds it."""
    run_each(connection, _ENSURE, [(name, 0)])
    ((token, expires_at),) = _locked(connection, name)
    if expires_at > micros(now):
        return None
    until = now + timedelta(seconds=for_seconds)
    run_each(connection, _TAKE, [(holder, token + 1, micros(until), name)])
    return Lease(name, holder, token + 1, until)


def renew(connection: Connection, lease: Lease, now: datetime, for_seconds: float) -> Lease:
    """Hold it for longer. Raises: ``LeaseLost`` when another holder has it by now."""
    check(connection, lease)
    until = now + timedelta(seconds=for_seconds)
    run_each(connection, "UPDATE lease SET expires_at = ? WHERE name = ?", [(micros(until), lease.name)])
    return Lease(lease.name, lease.holder, lease.token, until)


def release(connection: Connection, lease: Lease) -> None:
    """Give it back; does nothing when another holder has it by now."""
    run_each(connection, "UPDATE lease SET expires_at = 0 WHERE name = ? AND token = ?", [(lease.name, lease.token)])


def check(connection: Connection, lease: Lease) -> None:
    """Refuse a stale holder, inside the transaction that writes: nobody can take the lease before it has ended.

    Raises: ``LeaseLost``.
    """
    found = _locked(connection, lease.name)
    if not found or found[0][0] != lease.token:
        raise LeaseLost(
            f"lease {lease.name!r} of {lease.holder!r}: found that another holder has taken it; "
            "allowed: writes of the present holder only; nothing was written"
        )


def _locked(connection: Connection, name: str) -> list[tuple[int, int]]:
    lock = "" if is_sqlite(connection) else " FOR UPDATE"
    return [
        (row[0], row[1]) for row in rows(connection, f"SELECT token, expires_at FROM lease WHERE name = ?{lock}", name)
    ]


_ENSURE = "INSERT INTO lease (name, holder, token, expires_at) VALUES (?, '', ?, 0) ON CONFLICT (name) DO NOTHING"
_TAKE = "UPDATE lease SET holder = ?, token = ?, expires_at = ? WHERE name = ?"


def holder_of(connection: Connection, name: str) -> str | None:
    """Who took the lease last, as they named themselves; ``None`` when nobody ever did."""
    found = rows(connection, "SELECT holder FROM lease WHERE name = ?", name)
    return str(found[0][0]) if found else None


def abandon(connection: Connection, name: str, holder: str) -> None:
    """Let a lease go whose holder is known to be dead; does nothing when another holder has it by now."""
    run_each(connection, "UPDATE lease SET expires_at = 0 WHERE name = ? AND holder = ?", [(name, holder)])
