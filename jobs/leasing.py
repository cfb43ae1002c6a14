"""One run at a time: taking a connection's lease, also from a process of this machine that was killed, and keeping it."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from jobs.clock import Clock
from sync import leases
from sync.store import Store

SECONDS = 900.0
"""How long a lease lasts unless it is renewed, as each step of a run does."""
_RENEWED_BELOW = timedelta(seconds=SECONDS - 60)


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


class Held:
    """The leases of one run. All of them are renewed while it goes on, also those whose connection has its turn later."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._leases: dict[str, leases.Lease] = {}

    def take(self, name: str) -> leases.Lease | None:
        """As the function of this name."""
        lease = take(self._store, name, self._clock)
        if lease is not None:
            self._leases[name] = lease
        return lease

    def renew(self) -> None:
        """Hold them for as long again, unless that was said within a minute. Raises: ``LeaseLost``."""
        if ending := self._ending():
            with self._store.transaction(durable=False) as db:
                self._renew(db, ending)

    def renew_within(self, db: Connection) -> None:
        """The same, inside a write transaction of the caller's."""
        if ending := self._ending():
            self._renew(db, ending)

    def release(self) -> None:
        """Give all of them back."""
        for lease in self._leases.values():
            self._store.release(lease)

    def _ending(self) -> Sequence[leases.Lease]:
        now = self._clock()
        return [lease for lease in self._leases.values() if lease.expires_at - now < _RENEWED_BELOW]

    def _renew(self, db: Connection, some: Sequence[leases.Lease]) -> None:
        for lease in some:
            self._leases[lease.name] = leases.renew(db, lease, self._clock(), SECONDS)


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
