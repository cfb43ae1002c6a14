"""One run at a time: taking a connection's lease, also from a process of this machine that was killed."""

from __future__ import annotations

import os
import socket
import uuid

from jobs.clock import Clock
from sync import leases
from sync.store import Store

SECONDS = 900.0
"""How long a lease lasts unless it is renewed; each stored page renews it."""


def take(store: Store, name: str, clock: Clock, *, for_seconds: float = SECONDS) -> leases.Lease | None:
    """Take a lease, or ``None`` while a living process holds it."""
    holder = f"{socket.gethostname()}|{os.getpid()}|{uuid.uuid4().hex[:8]}"
    lease = store.acquire(name, holder, now=clock(), for_seconds=for_seconds)
    if lease is not None:
        return lease
    with store.transaction() as db:
        last = leases.holder_of(db, name)
        if last is None or not _is_dead(last):
            return None
        leases.abandon(db, name, last)
    return store.acquire(name, holder, now=clock(), for_seconds=for_seconds)


def _is_dead(holder: str) -> bool:
    """Whether the holder was a process of this machine that is gone; of another machine nobody can say."""
    host, _, rest = holder.partition("|")
    pid = rest.partition("|")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
