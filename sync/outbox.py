"""The outbox: planned writes, kept before they are tried, until each is settled.

A plan is enqueued in one transaction; from then on its writes survive any crash. Sending them is in
``sync.delivery``. A write is named by connection, object and key; of one name at most one write is waiting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, func, select

from connectors.base import Reader, Writer
from sync import conflicts
from sync.agreed import Agreement, agree, agreed_of, holds_ours
from sync.bulk import ROWS_PER_STATEMENT, run_each, slices
from sync.comparison import History
from sync.dead_letters import HINTS, DeadLetter, Failure
from sync.decisions import ObjectPolicy
from sync.delivery import Delivered, Delivery, Pace, Transactions, nothing_happens, revival
from sync.errors import SyncError
from sync.loops import LoopLimits, pushed
from sync.outbox_tables import LIVE, enqueued_plan, intent
from sync.plan import Agreed, Parked, Plan
from sync.plan_items import Item, Ref
from sync.sameness import Types, hash_of, hash_of_text, read_as, written_as
from sync.tables import micros


class PlanRefused(SyncError):
    """The plan ran into its brakes and nobody let it through; nothing was enqueued."""


class NotADeadLetter(SyncError):
    """The write named is not (or no longer) a dead letter; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What became of a plan's writes: ``queued`` now, ``waiting`` already, ``dead`` (rejected before, not repeated);
    and of older ones: ``superseded``."""

    queued: int = 0
    waiting: int = 0
    dead: int = 0
    superseded: int = 0


class Outbox:
    """Writes that wait for their system. ``crashpoint`` is called with the name of each step (for tests)."""

    def __init__(self, store: Transactions, *, crashpoint: Callable[[str], None] = nothing_happens) -> None:
        self._store, self._crashpoint = store, crashpoint

    def enqueue(self, plan: Plan, *, at: datetime, within: Connection | None = None) -> Enqueued:
        """Keep the plan's writes, in one transaction (the caller's, with ``within``).

        The same write already waiting is not added again; a newer one takes the place of a waiting or dead one, and
        a record that needs no write any more drops it. A write that was rejected is not added again as it was; one that a
        person edited since keeps its place until it was sent.
        Raises: :class:`PlanRefused`.
        """
        if not plan.may_run:
            raise PlanRefused(
                f"plan {plan.hash[:12]} for {plan.connection} is refused: {'; '.join(plan.refused)}. "
                "Look at the plan; to write it all the same, a named person must allow it"
            )
        with self._store.transaction() if within is None else nullcontext(within) as db:
            outcome = _Enqueueing(db, plan, at).run()
        self._crashpoint("after_enqueue")
        return outcome

    def apply(
        self,
        connection: str,
        writer: Writer,
        reader: Reader,
        *,
        clock: Callable[[], datetime],
        calls_left: Callable[[], int | None] = lambda: None,
        fence: Callable[[Connection], None] | None = None,
        types: Mapping[str, Types] | None = None,
        pace: Pace | None = None,
        run_id: int | None = None,
        send: bool = True,
    ) -> Delivered:
        """Send what is due, and settle what an earlier run left without an answer. Call it under the connection's lease.

        ``send=False``: only settle. So a plan is made before anything is sent that waited: somebody may have changed there
        what it would write over.
        ``calls_left`` says how many API calls we may still make in the system's window (``None``: not limited);
        what does not fit waits. ``fence`` is called inside every transaction and raises when the lease is lost.
        ``run_id``: the run that what happens is noted under.
        Errors that concern the whole connection end the run and are in ``Delivered.stopped``; nothing is lost.
        """
        return Delivery(
            self._store,
            connection,
            writer,
            reader,
            clock,
            calls_left,
            fence,
            types or {},
            pace or Pace(),
            self._crashpoint,
            run_id,
        ).run(send=send)

    def agreed(self, connection: str) -> Agreed:
        """What tells the values that both sides last held, for ``make_plan``."""

        def of(refs: Sequence[Ref]) -> dict[Ref, dict[str, Any]]:
            with self._store.reading() as db:
                return agreed_of(db, connection, refs)

        return of

    def history(
        self,
        connection: str,
        policies: Mapping[str, ObjectPolicy],
        *,
        now: datetime,
        loops: LoopLimits | None = None,
    ) -> History:
        """Earlier conflicts that stand and fields that were written often (``loops``), for ``make_plan``."""
        with self._store.reading() as db:
            return History(
                policies, conflicts.standing(db, connection), pushed(db, connection, now, loops or LoopLimits())
            )

    def parked(self, connection: str) -> dict[Ref, Parked]:
        """The rejected writes that are not to be repeated, for ``make_plan``."""
        return {
            letter.ref: Parked(
                hash_of(letter.fields),
                f"rejected before ({letter.code or letter.failure}): {letter.hint}",
                letter.shape,
            )
            for letter in self.dead_letters(connection)
        }

    def is_echo(
        self,
        connection: str,
        name: str,
        fields: Mapping[str, Any],
        *,
        external_id: str,
        key: str | None = None,
        types: Types | None = None,
    ) -> bool:
        """Whether these changed fields of a pulled record only show what we wrote to it ourselves.

        Pass the fields that differ from the version pulled before, the record's id and (where known) its key; one
        field that we did not write, or wrote otherwise, makes it a change of somebody else's.
        """
        with self._store.reading() as db:
            return holds_ours(db, connection, name, fields, external_id, key, types or {})

    def counts(self, connection: str) -> dict[str, int]:
        """How many writes are in each state."""
        query = select(intent.c.state, func.count().label("number")).group_by(intent.c.state)
        with self._store.reading() as db:
            return {row.state: row.number for row in db.execute(query.where(intent.c.connection == connection))}

    def waits(self, connection: str, *, unanswered: bool = False) -> bool:
        """Whether any write waits to be sent, or for its answer to be looked up (``unanswered``: only that)."""
        waiting = intent.c.state.in_(("attempted",) if unanswered else ("pending", "attempted"))
        query = select(intent.c.id).where(intent.c.connection == connection, waiting, LIVE).limit(1)
        with self._store.reading() as db:
            return db.execute(query).first() is not None

    def dead_letters(self, connection: str, failure: Failure | None = None) -> list[DeadLetter]:
        """The rejected writes that wait for a person, oldest first."""
        query = select(intent).where(intent.c.connection == connection, intent.c.state == "dead").order_by(intent.c.id)
        if failure is not None:
            query = query.where(intent.c.failure == failure)
        with self._store.reading() as db:
            return [_letter(row) for row in db.execute(query)]

    def retry(self, ids: Sequence[int], *, at: datetime) -> int:
        """Let dead letters be tried again as they are; returns how many. Others among ``ids`` are left alone."""
        with self._store.transaction() as db:
            return sum(db.execute(revival(at).where(intent.c.id.in_(some))).rowcount for some in slices(list(ids)))

    def release(self, connection: str, failure: Failure, *, at: datetime) -> int:
        """Let all dead letters of one kind be tried again, after its cause was mended; returns how many."""
        if failure not in HINTS:
            raise SyncError(f"kind of dead letters: found {failure!r}; allowed: {', '.join(HINTS)}")
        with self._store.transaction() as db:
            mine = (intent.c.connection == connection) & (intent.c.failure == failure)
            return db.execute(revival(at).where(mine)).rowcount

    def edit(self, number: int, fields: Mapping[str, Any], *, by: str, at: datetime) -> None:
        """Replace field values of a dead letter and let it be tried again. Raises: :class:`NotADeadLetter`.

        Only this one write is changed: while the mapping wants another value, the next plan will propose that again.
        """
        with self._store.transaction() as db:
            row = db.execute(select(intent).where(intent.c.id == number, intent.c.state == "dead")).one_or_none()
            if row is None:
                raise NotADeadLetter(f"write {number} is no dead letter (any more); list them and choose again")
            payload = {**read_as(row.payload), **fields}
            values = {"payload": written_as(payload), "payload_hash": hash_of(payload), "edited_by": by}
            db.execute(revival(at).where(intent.c.id == number).values(values))


def _letter(row: Row[Any]) -> DeadLetter:
    return DeadLetter(
        row.id, Ref(row.object, row.key_field or None, row.key), read_as(row.payload), row.failure, row.code, row.message,
        row.attempts, row.because, row.updated_at, row.shape,
    )  # fmt: skip


class _Enqueueing:
    """One plan going into the outbox."""

    def __init__(self, db: Connection, plan: Plan, at: datetime) -> None:
        self._db, self._plan, self._at, self._hash = db, plan, at, plan.hash
        self._ranks: dict[tuple[str, str | None], int] = {}
        self._live: dict[Ref, dict[str, tuple[int, str, str]]] = {}
        self._edited: set[Ref] = set()
        self._superseded: dict[str, list[int]] = {}
        self._counts: Counter[str] = Counter()

    def run(self) -> Enqueued:
        query = select(
            intent.c.id, intent.c.object, intent.c.key_field, intent.c.key, intent.c.state, intent.c.payload_hash,
            intent.c.shape, intent.c.edited_by,
        )  # fmt: skip
        for kept in self._db.execute(query.where(intent.c.connection == self._plan.connection, LIVE)):
            ref = Ref(kept.object, kept.key_field or None, kept.key)
            self._live.setdefault(ref, {})[kept.state] = (kept.id, kept.payload_hash, kept.shape)
            if kept.state == "pending" and kept.edited_by is not None:
                self._edited.add(ref)
        unnamed = set(self._live)
        in_question, disputed = conflicts.in_question(self._db, self._plan.connection), []
        for some in _parts(self._plan.items):
            self._take(some)
            unnamed.difference_update(item.ref for item in some)
            disputed += [item for item in some if item.clashes or item.ref in in_question]
        if self._plan.whole:
            for ref in unnamed:
                self._supersede(ref, "no longer wanted")
        self._end()
        conflicts.keep(self._db, self._plan.connection, disputed, self._at, whole=self._plan.whole)
        count = self._counts
        if count["queued"] or count["superseded"]:
            self._note()
        return Enqueued(count["queued"], count["waiting"], count["dead"], count["superseded"])

    def _take(self, items: Sequence[Item]) -> None:
        """Keep what these items would write."""
        new = [row for item in items if (row := self._row(item)) is not None]
        self._end()
        run_each(self._db, _NEW, new)
        self._counts["queued"] += len(new)
        agreements = [Agreement(item.ref, item.external_id, item.agrees) for item in items if item.agrees]
        agree(self._db, self._plan.connection, agreements, self._at)

    def _row(self, item: Item) -> tuple[Any, ...] | None:
        ref = item.ref
        rank = self._ranks.setdefault((ref.object, ref.key_field), len(self._ranks))
        if not item.writes:
            if item.action == "unchanged":
                self._supersede(ref, "the record is as wanted")
            else:
                self._supersede(ref, item.reason, ("pending",))
            return None
        if ref in self._edited:
            self._counts["waiting"] += 1
            return None
        live = self._live.get(ref, {})
        payload = written_as(item.payload)
        name = hash_of_text(payload)
        state = next((state for state in ("pending", "attempted", "dead") if state in live), None)
        if state is not None and live[state][1] == name:
            mended = state == "dead" and live[state][2] and item.shape and live[state][2] != item.shape
            if not mended:
                self._counts["dead" if state == "dead" else "waiting"] += 1
                return None
        self._supersede(ref, "a newer write took its place")
        at = micros(self._at)
        return (
            self._plan.connection, ref.object, ref.key_field or "", ref.key, item.action, payload, name,
            item.parent or "", rank, item.because, written_as({one.name: [one.before, one.after] for one in item.changes}),
            "pending", item.external_id, item.shape, self._hash, at, at,
        )  # fmt: skip

    def _supersede(self, ref: Ref, why: str, states: tuple[str, ...] = ("pending", "dead")) -> None:
        live = self._live.get(ref)
        if live:
            self._superseded.setdefault(why, []).extend(live[state][0] for state in states if state in live)

    def _end(self) -> None:
        """End the writes that others took the place of, before those come."""
        for why, ids in self._superseded.items():
            self._counts["superseded"] += len(ids)
            for some in slices(ids):
                gone = {"state": "superseded", "message": why, "updated_at": self._at}
                self._db.execute(intent.update().where(intent.c.id.in_(some)).values(gone))
        self._superseded.clear()

    def _note(self) -> None:
        plan = self._plan
        record = {
            "connection": plan.connection, "hash": self._hash, "summary": written_as(plan.summary()),
            "refused": written_as(plan.refused), "allowed_by": plan.allowed_by,
            "enqueued_at": self._at,
        }  # fmt: skip
        self._db.execute(enqueued_plan.insert(), record)


def _parts(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in parts that are kept together."""
    left = iter(items)
    while some := list(islice(left, ROWS_PER_STATEMENT)):
        yield some


_NEW = """
INSERT INTO intent (
    connection, object, key_field, key, action, payload, payload_hash, parent, rank, because, changes, state, external_id,
    shape, plan_hash, created_at, updated_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
