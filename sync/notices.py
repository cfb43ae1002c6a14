"""Notices in the store: taken in once a key, marked before each attempt, settled after its answer.

What somebody is to be told is computed anew from the facts on every run; only what is new is added here, so that a run
that was killed, or is run twice, doubles nothing. A notice that nobody has sent yet and that does not stand any more
is left out; one that was sent stays as it was told. Call everything under the lease of the notices.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, Row, func, select, update

from sync import tables
from sync.bulk import insert_into, slices
from sync.delivery import Transactions, nothing_happens
from sync.notice_tables import hash_of_key, notice, notice_mark, told_notice

STATES = ("pending", "attempted", "sent", "failed", "skipped")
MOST_ATTEMPTS = 8
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where a program's notices were looked for."""

    began_on: date
    fact_row: int
    as_of: date
    words: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """What taking notices in did: how many are new and wait, were skipped at once, or stand no more."""

    pending: int = 0
    skipped: int = 0
    withdrawn: int = 0


def last_fact(db: Connection) -> int:
    """The id of the newest fact version; 0 without any."""
    return db.execute(select(func.max(tables.fact.c.id))).scalar() or 0


class Notices:
    """The stored notices. ``crashpoint`` is called with the name of each step (for tests)."""

    def __init__(self, store: Transactions, *, crashpoint: Callable[[str], None] = nothing_happens) -> None:
        self._store, self._crashpoint = store, crashpoint

    def mark(self, program: str) -> Mark | None:
        """Where looking for a program's notices stopped; ``None``: it never began."""
        with self._store.reading() as db:
            row = db.execute(select(notice_mark).where(notice_mark.c.program == program)).one_or_none()
        if row is None:
            return None
        return Mark(
            date.fromisoformat(row.began_on), row.fact_row, date.fromisoformat(row.as_of), row.words, row.updated_at
        )

    def take_in(self, program: str, rows: Sequence[Mapping[str, Any]], mark: Mark, *, oldest: date) -> Taken:
        """Add the rows that are not here yet and move the mark, in one transaction.

        Before the first mark nothing waits: what is there already is added as skipped, so that switching notices on
        tells nobody old news. Later, rows of a day before ``oldest`` are skipped: history that came to be known late.
        """
        at = mark.at
        with self._store.transaction() as db:
            known = {
                row.key: row
                for row in db.execute(
                    select(notice.c.key, notice.c.state, notice.c.withdrawn).where(notice.c.program == program)
                )
            }
            # After the keys above: what is let go meanwhile is in one of the two.
            let_go = _let_go(db, [row["key"] for row in rows if row["key"] not in known])
            is_first = not self._moves(db, program, mark)
            added = []
            for row in rows:
                if row["key"] not in known and row["key"] not in let_go:
                    added.append(_made(row, _skip(row, mark, is_first, oldest), at))
            for some in slices(added):
                db.execute(insert_into(db, notice).on_conflict_do_nothing(), some)
            stands = {row["key"] for row in rows}
            gone = [key for key, row in known.items() if row.state == "pending" and key not in stands]
            back = [key for key, row in known.items() if row.withdrawn and key in stands]
            _set(db, gone, at, state="skipped", withdrawn=1, reason="it does not stand any more")
            _set(db, back, at, state="pending", withdrawn=0, reason=None)
            self._crashpoint("before_notices_commit")
        self._crashpoint("after_notices")
        waiting = sum(row["state"] == "pending" for row in added) + len(back)
        return Taken(waiting, len(added) - (waiting - len(back)), len(gone))

    def _moves(self, db: Connection, program: str, mark: Mark) -> bool:
        """Move the mark; false when this is the first one."""
        values = {
            "program": program, "began_on": mark.began_on.isoformat(), "fact_row": mark.fact_row,
            "as_of": mark.as_of.isoformat(), "words": mark.words, "updated_at": mark.at,
        }  # fmt: skip
        there = db.execute(select(notice_mark.c.program).where(notice_mark.c.program == program)).one_or_none()
        if there is None:
            db.execute(notice_mark.insert(), [values])
            return False
        values.pop("began_on")
        db.execute(update(notice_mark).where(notice_mark.c.program == program).values(values))
        return True

    def waiting(self, now: datetime) -> list[Row[Any]]:
        """What is to be sent now: first what an earlier run left without an answer, then what is pending, oldest first."""
        n = notice.c
        due = (n.state == "pending") & (n.next_at.is_(None) | (n.next_at <= now))
        query = select(notice).where((n.state == "attempted") | due).order_by(n.state, n.told_on, n.created_at, n.key)
        with self._store.reading() as db:
            return list(db.execute(query))

    def attempt(self, keys: Collection[str], *, message_id: str, address: str, at: datetime) -> None:
        """Mark notices as being sent, before their message is; what becomes of it is not known from here on."""
        with self._store.transaction() as db:
            counted = notice.c.attempts + 1
            _set(db, keys, at, state="attempted", attempts=counted, message_id=message_id, address=address)
        self._crashpoint("before_message")

    def sent(self, keys: Collection[str], at: datetime) -> None:
        """The message was accepted."""
        self._crashpoint("after_message")
        self._settle(keys, at, state="sent", reason=None, next_at=None)
        self._crashpoint("after_sent")

    def failed(self, keys: Collection[str], at: datetime, reason: str) -> None:
        """The message will not be accepted, or there is nowhere to send it."""
        self._settle(keys, at, state="failed", reason=reason, next_at=None)

    def skipped(self, keys: Collection[str], at: datetime, reason: str) -> None:
        """It is not to be sent."""
        self._settle(keys, at, state="skipped", reason=reason, next_at=None)

    def later(self, keys: Collection[str], at: datetime, reason: str, attempts: int) -> None:
        """Try again after a pause that doubles; after :data:`MOST_ATTEMPTS` it has failed."""
        if attempts >= MOST_ATTEMPTS:
            self.failed(keys, at, f"{reason} (after {attempts} attempts)")
            return
        pause = min(_FIRST_PAUSE * 2 ** max(attempts - 1, 0), _LONGEST_PAUSE)
        self._settle(keys, at, state="pending", reason=reason, next_at=at + pause)

    def put_back(self, keys: Collection[str], at: datetime, reason: str, *, was: str) -> None:
        """Nothing was sent, as nobody could be reached: the notices are as they ``was``, and the attempt does not count."""
        with self._store.transaction() as db:
            _set(db, keys, at, state=was, reason=reason, attempts=notice.c.attempts - 1)

    def retry(self, keys: Collection[str], at: datetime) -> int:
        """Let notices that failed or were skipped wait again; returns how many there were."""
        with self._store.transaction() as db:
            return _set(
                db, keys, at, only=("failed", "skipped"), state="pending", reason=None, attempts=0, next_at=None,
                withdrawn=0,
            )  # fmt: skip

    def counts(self) -> dict[str, dict[str, int]]:
        """How many notices of each program are in which state."""
        found: dict[str, dict[str, int]] = {}
        n = notice.c
        query = select(n.program, n.state, func.count()).group_by(n.program, n.state).order_by(n.program, n.state)
        with self._store.reading() as db:
            for program, state, count in db.execute(query):
                found.setdefault(program, {})[state] = count
        return found

    def met(self, limit: int = 10) -> list[dict[str, str]]:
        """The newest notices that failed, or whose last attempt met something: key, state and reason."""
        n = notice.c
        unsettled = n.state.in_(("failed", "attempted", "pending")) & n.reason.is_not(None)
        query = select(n.key, n.state, n.reason).where(unsettled).order_by(n.updated_at.desc(), n.key).limit(limit)
        with self._store.reading() as db:
            return [dict(row._mapping) for row in db.execute(query)]

    def listed(
        self, *, state: str | None = None, recipient: str | None = None, program: str | None = None
    ) -> list[dict[str, Any]]:
        """Notices as plain rows, by key."""
        query = select(notice).order_by(notice.c.key)
        for column, value in ((notice.c.state, state), (notice.c.recipient, recipient), (notice.c.program, program)):
            if value is not None:
                query = query.where(column == value)
        with self._store.reading() as db:
            return [_plain(row) for row in db.execute(query)]

    def _settle(self, keys: Collection[str], at: datetime, **values: Any) -> None:
        with self._store.transaction() as db:
            _set(db, keys, at, **values)


def _let_go(db: Connection, keys: Sequence[str]) -> set[str]:
    """Those of these keys whose notices were let go as old (``sync.retention``)."""
    hashes = {hash_of_key(key): key for key in keys}
    t = told_notice.c.key_hash
    return {hashes[bytes(found)] for some in slices(list(hashes)) for found in db.scalars(select(t).where(t.in_(some)))}


def _skip(row: Mapping[str, Any], mark: Mark, is_first: bool, oldest: date) -> str | None:
    """Why a new row is not to be sent, or ``None``."""
    if is_first:
        return f"it was to be told before notices began here, on {mark.began_on}"
    if date.fromisoformat(row["on"]) < oldest:
        return f"of {row['on']}, and known only now: older than what is still told"
    return None


def _made(row: Mapping[str, Any], skipped: str | None, at: datetime) -> dict[str, Any]:
    return {
        "key": row["key"], "program": row["program"], "kind": row["kind"], "recipient": row["to"], "about": row["about"],
        "told_on": row["on"], "due_on": row["due_on"], "clauses": orjson.dumps(row["clauses"]).decode(),
        "subject": row["subject"], "body": row["body"], "state": "skipped" if skipped else "pending", "reason": skipped,
        "created_at": at, "updated_at": at,
    }  # fmt: skip


def _plain(row: Row[Any]) -> dict[str, Any]:
    return {
        "key": row.key, "program": row.program, "kind": row.kind, "to": row.recipient, "about": row.about,
        "on": row.told_on, "due_on": row.due_on, "clauses": orjson.loads(row.clauses), "subject": row.subject,
        "body": row.body, "state": row.state, "reason": row.reason, "attempts": row.attempts,
        "next_at": row.next_at.isoformat() if row.next_at else None, "message_id": row.message_id, "address": row.address,
        "created_at": row.created_at.isoformat(), "updated_at": row.updated_at.isoformat(),
    }  # fmt: skip


def _set(db: Connection, keys: Collection[str], at: datetime, *, only: Sequence[str] = STATES, **values: Any) -> int:
    changed = 0
    for some in slices(sorted(keys)):
        mine = notice.c.key.in_(some) & notice.c.state.in_(only)
        changed += db.execute(update(notice).where(mine).values(updated_at=at, **values)).rowcount
    return changed
