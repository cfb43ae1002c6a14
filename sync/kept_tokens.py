"""Refresh tokens that change with every use, kept sealed in the store for all processes of a connection.

Whoever exchanges a token holds the connection's login alone, and the token that comes back is committed before anything
of that answer is used. That a token is on its way is noted before it is sent. Should its answer be lost, or the process
die before it is kept, the same token is sent again: a system with a grace period, or one that does not end tokens, answers as
before. One that has ended the token refuses it (RFC 9700, 4.14.2: it may take this for theft and end the whole grant);
then the note says what happened, and only a person can authorise the app anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from math import ceil

from sqlalchemy import Column, Connection, Text, select

from connectors.calls import noted
from connectors.errors import NeedsOperator, RefreshRefused, RetryLater
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

token_exchange = table(
    "token_exchange",
    Column("connection", Text, primary_key=True),
    Column("token", Text, nullable=False, comment="digest of the refresh token that was sent"),
    Column("sent_at", Instant, nullable=False, comment="when it was first sent without a known answer"),
    with_rowid=False,
)

_MAYBE_DONE = frozenset({500, 502, 504})
"""Answers after which the system may have ended the token all the same."""
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
            with self._on_its_way(value):
                yield KeptToken(self, begun_with, value)
        finally:
            self._store.release(lease)

    @contextmanager
    def _on_its_way(self, value: str) -> Iterator[None]:
        """Note that a token is sent, until what becomes of it is known. Raises: ``NeedsOperator`` when its answer was
        lost, and the system refuses it since."""
        name, now = _digest(self._connection, value), self._now()
        e = token_exchange
        mine = e.c.connection == self._connection
        with self._store.transaction() as db:
            lost_at = db.scalar(select(e.c.sent_at).where(mine, e.c.token == name))
            if lost_at is None:
                db.execute(e.delete().where(mine))
                db.execute(e.insert(), {"connection": self._connection, "token": name, "sent_at": now})
        with noted() as made:
            try:
                yield
            except NeedsOperator as error:
                if lost_at is None and any(call.status is None or call.status in _MAYBE_DONE for call in made):
                    lost_at = now
                if lost_at is None:
                    self._known(name)
                elif isinstance(error, RefreshRefused):
                    raise self._lost(lost_at) from error
                raise
        self._known(name)

    def _known(self, name: str) -> None:
        """What became of the token that was sent is known: nothing is on its way."""
        e = token_exchange
        with self._store.transaction() as db:
            db.execute(e.delete().where(e.c.connection == self._connection, e.c.token == name))

    def _lost(self, at: datetime) -> NeedsOperator:
        return NeedsOperator(
            f"connection {self._connection!r}: the answer to a renewal of its login was lost on {at:%Y-%m-%d at %H:%M} UTC, and "
            "the system has ended the refresh token that was sent then. Nothing else is lost: this connection goes on "
            f"where it stopped once the app is authorised anew and `referee secrets set {self._connection}` was given "
            "its new refresh token; other connections go on meanwhile",
            code="REFRESH_TOKEN_LOST",
        )

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


def begin(store: Store, seals: Seals, connection: str, configured: str, token: str, *, at: datetime) -> None:
    """Go on with a refresh token that a person has just got, in place of the one in the settings (``configured``).

    Raises: ``NeedsOperator`` without keys.
    """
    seals.check(f"connection {connection!r} keeps its refresh token in the store")
    sealed = seals.seal({"connection": connection, "begun_with": configured, "token": token})
    with store.transaction() as db:
        db.execute(kept_token.delete().where(kept_token.c.connection == connection))
        db.execute(token_exchange.delete().where(token_exchange.c.connection == connection))
        db.execute(kept_token.insert(), {"connection": connection, "sealed": sealed, "updated_at": at})


def _digest(connection: str, token: str) -> str:
    """Tells one token from another without holding it; tokens are too long to be guessed."""
    return blake2b(token.encode(), key=connection.encode()[:64], digest_size=16).hexdigest()


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
