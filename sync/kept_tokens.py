"""Refresh tokens that change with every use, kept sealed in the store for all processes of a connection.

Whoever exchanges a token holds the connection's login alone, and the token that comes back is committed before anything
of that answer is used. What cannot be called back: a process that dies after the answer has come and before it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from sqlalchemy import Column, Connection, Text, select

from connectors.errors import NeedsOperator, RetryLater
from sync.leases import Lease
from sync.seals import Seals, Unreadable
from sync.store import Store
from sync.tables import Instant, table

kept_token = table(
    "kept_token",
    Column("connection", Text, primary_key=True),
    Column("sealed", Text, nullable=False, comment="encrypted: the token, its connection, what its chain began with"),
    Column("updated_at", Instant, nullable=False),
    with_rowid=False,
)

_PAUSE_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 180.0


class KeptToken:
    """The refresh token of one connection while it is exchanged."""

    def __init__(self, tokens: KeptTokens, begun_with: str, value: str) -> None:
        self._tokens, self._begun_with, self._value = tokens, begun_with, value

    @property
    def value(self) -> str:
        """The present token."""
        return self._value

    def replace(self, fresh: str) -> None:
        """Commit the token that came back; one that another holder has kept meanwhile stays."""
        self._tokens.keep(self._begun_with, self._value, fresh)
        self._value = fresh


class KeptTokens:
    """The refresh token of one connection, sealed in the store. It fits ``connectors.logins.RefreshTokens``.

    ``take`` takes a lease by its name, or returns ``None`` while another process holds it.
    """

    def __init__(
        self,
        store: Store,
        connection: str,
        seals: Seals,
        *,
        take: Callable[[str], Lease | None],
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._store, self._connection, self._seals = store, connection, seals
        self._take, self._now, self._sleep = take, now, sleep

    @contextmanager
    def exchanging(self, configured: str) -> Iterator[KeptToken]:
        """Hold the present token alone among all processes.

        Raises: ``NeedsOperator`` without keys, before the token is used; or when the kept one cannot be read with them.
        ``RetryLater`` when another process holds it for three minutes.
        """
        self._seals.check(f"connection {self._connection!r} keeps its refresh token in the store")
        lease = self._held()
        try:
            with self._store.reading() as db:
                kept = self._read(db)
            begun_with, value = kept if kept is not None and kept[0] == configured else (configured, configured)
            yield KeptToken(self, begun_with, value)
        finally:
            self._store.release(lease)

    def keep(self, begun_with: str, used: str, fresh: str) -> None:
        """Seal and commit ``fresh``, the answer to ``used``."""
        with self._store.transaction() as db:
            kept = self._read(db)
            if kept is not None and kept[0] == begun_with and kept[1] != used:
                return  # the lease ran out during our exchange, and its next holder went further along the chain
            sealed = self._seals.seal({"connection": self._connection, "begun_with": begun_with, "token": fresh})
            db.execute(kept_token.delete().where(kept_token.c.connection == self._connection))
            db.execute(
                kept_token.insert(),
                {"connection": self._connection, "sealed": sealed, "updated_at": self._now()},
            )

    def _read(self, db: Connection) -> tuple[str, str] | None:
        """What the chain began with, and its present token."""
        sealed = db.scalar(select(kept_token.c.sealed).where(kept_token.c.connection == self._connection))
        if sealed is None:
            return None
        try:
            body = self._seals.opened(sealed)
        except Unreadable:
            body = {}
        if body.get("connection") != self._connection:
            raise NeedsOperator(
                f"connection {self._connection!r}: the refresh token in the store was sealed with a key that "
                "REFEREE_SECRET_KEYS does not hold; add that key after the present one, or authorise the app anew, set "
                f"refresh_token, and run `referee secrets forget {self._connection}`",
                code="SEALED",
            )
        return body["begun_with"], body["token"]

    def _held(self) -> Lease:
        waited = 0.0
        while waited <= _LONGEST_WAIT_SECONDS:
            lease = self._take(f"login:{self._connection}")
            if lease is not None:
                return lease
            self._sleep(_PAUSE_SECONDS)
            waited += _PAUSE_SECONDS
        raise RetryLater(
            f"connection {self._connection!r}: found its login held by another process for {ceil(waited)} seconds",
            retry_after_seconds=_LONGEST_WAIT_SECONDS,
        )


@dataclass(frozen=True, slots=True)
class Sealed:
    """A kept token without its value. ``key`` is the place of its key among those given, from 1; ``None``: not there."""

    connection: str
    key: int | None
    updated_at: datetime


def kept(store: Store, seals: Seals) -> list[Sealed]:
    """The tokens that are kept, and which key each is sealed with."""
    with store.reading() as db:
        found = db.execute(select(kept_token).order_by(kept_token.c.connection)).all()
    return [Sealed(row.connection, seals.key_of(row.sealed), row.updated_at) for row in found]


def reseal(store: Store, seals: Seals) -> int:
    """Seal every kept token with the first key, in one transaction; returns how many were sealed with another.

    Raises: ``NeedsOperator`` naming the connection of one that no key opens; nothing is changed then.
    """
    changed = 0
    with store.transaction() as db:
        for row in db.execute(select(kept_token).with_for_update()).all():
            key = seals.key_of(row.sealed)
            if key is None:
                raise NeedsOperator(
                    f"connection {row.connection!r}: found a refresh token that none of the keys in "
                    "REFEREE_SECRET_KEYS opens; add the key that it was sealed with; nothing was changed",
                    code="SEALED",
                )
            if key > 1:
                anew = kept_token.update().where(kept_token.c.connection == row.connection)
                db.execute(anew.values(sealed=seals.resealed(row.sealed)))
                changed += 1
    return changed


def forget(store: Store, connection: str) -> bool:
    """Drop a connection's kept token: the one in the settings begins a new chain. False when none was kept."""
    with store.transaction() as db:
        return db.execute(kept_token.delete().where(kept_token.c.connection == connection)).rowcount > 0
