"""Sends what waits in the outbox: each write is marked before its first call and settled after its answer.

A row is ``pending`` → ``attempted`` (committed before anything is sent) → ``done``, ``dead`` or ``pending`` again. What
is found ``attempted`` has no known outcome (a lost answer, a crash): it is read back by its key. If the system holds
our values it is done, else it is sent again, which is safe because every write is an upsert on its key or an update.
Where rows were handed over as a job of the system's own, its id was noted before it could begin, and the job is asked first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import orjson
from sqlalchemy import Connection, Row, func, or_, select

from connectors.base import ApiCall, Change, JobWriter, Reader, Record, Writer, Written
from connectors.calls import noted
from connectors.errors import AnswerLost, ConnectorError, NeedsOperator, RecordRejected, RetryLater
from sync.agreed import Agreement, agree
from sync.bulk import rows as rows_of
from sync.bulk import run_each, slices
from sync.call_notes import CallNotes
from sync.contained import Broken, contained
from sync.dead_letters import MENDED_THERE, failure_of
from sync.outbox_tables import LIVE, intent, write_event
from sync.plan_items import Ref
from sync.sameness import Types, plain, read_as, same, written_as
from sync.tables import micros

_LONGEST_MESSAGE = 500
NO_ANSWER = "NO_ANSWER"
JOB = "job"
"""The event of a write that was handed over as part of a job, whose id is the event's batch."""


def nothing_happens(step: str) -> None:
    """The crashpoint of a process that is to go on."""


def revival(at: datetime) -> Any:
    """The statement that lets dead letters be tried again as if for the first time; a condition is still to be added."""
    fresh = {"state": "pending", "attempts": 0, "next_at": None, "failure": None, "updated_at": at}
    return intent.update().where(intent.c.state == "dead").values(fresh)


class Transactions(Protocol):
    """The part of :class:`sync.store.Store` that the outbox needs."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """A durable write transaction: committed at the end, rolled back by an exception."""
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """A read transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once and how often: ``rows_at_once`` go to the writer together (it cuts them into its own batches), more
    where it makes a job of them;
    a row is sent at most ``attempts`` times, with waits that double from the first to the longest. Of dead letters that
    failed alike, for a cause that lies there, one is tried again when all have rested for ``probe_seconds``."""

    rows_at_once: int = 200
    attempts: int = 8
    first_wait_seconds: float = 5.0
    longest_wait_seconds: float = 3600.0
    probe_seconds: float = 86_400.0

    def wait(self, attempts: int, name: str) -> timedelta:
        """The wait after this many attempts: half of it fixed, half by the row's name, so that rows spread out."""
        longest = min(self.longest_wait_seconds, self.first_wait_seconds * 2.0 ** (max(attempts, 1) - 1))
        return timedelta(seconds=longest * (0.5 + int(name[:4], 16) / 0x1FFFE))


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a run did. ``done`` were answered, ``settled`` found done by reading back, ``dead`` wait for a person.

    ``waiting`` are still to be sent, the first of them at ``next_at`` (``None``: at once). ``parked``: our share of the
    API calls is used up until the window resets. ``stopped``: the error of the whole connection that ended the run.
    ``calls`` are the API calls of the writes.
    """

    done: int
    settled: int
    dead: int
    again: int
    calls: int
    waiting: int
    next_at: datetime | None
    parked: bool
    stopped: ConnectorError | None


class _Outcome(NamedTuple):
    """What becomes of an attempted row."""

    row: Row[Any]
    state: str
    external_id: str | None = None
    code: str | None = None
    message: str | None = None
    next_at: datetime | None = None
    failure: str | None = None
    calls: str | None = None


@dataclass
class Delivery:
    """One run of the outbox of one connection; see :meth:`sync.outbox.Outbox.apply`."""

    store: Transactions
    connection: str
    writer: Writer
    reader: Reader
    clock: Callable[[], datetime]
    calls_left: Callable[[], int | None]
    fence: Callable[[Connection], None] | None
    types: Mapping[str, Types]
    pace: Pace
    crashpoint: Callable[[str], None]
    run_id: int | None = None

    def run(self, *, send: bool = True) -> Delivered:
        """Settle, then (``send``) send until nothing is due."""
        self._counts: Counter[str] = Counter()
        self._notes = CallNotes()
        self._last_told: tuple[Sequence[ApiCall], str] | None = None
        self._parked = False
        stopped = None
        try:
            if self._settle() and send:
                self._probe()
                while batch := self._claim():
                    if self._send(batch) and not self._settle():
                        break
        except ConnectorError as error:
            stopped = error
        waiting, next_at = self._left()
        count = self._counts
        return Delivered(
            count["done"], count["settled"], count["dead"], count["pending"], count["calls"],
            waiting, next_at, self._parked, stopped,
        )  # fmt: skip

    @contextmanager
    def _transaction(self) -> Any:
        with self.store.transaction() as db:
            if self.fence is not None:
                self.fence(db)
            yield db

    def _mine(self, state: str) -> Any:
        return (intent.c.connection == self.connection) & (intent.c.state == state) & LIVE

    def _left(self) -> tuple[int, datetime | None]:
        query = select(func.count(), func.count(intent.c.next_at), func.min(intent.c.next_at)).where(
            self._mine("pending")
        )
        with self.store.reading() as db:
            waiting, later, next_at = db.execute(query).one()
        return waiting, next_at if later == waiting else None

    def _probe(self) -> None:
        """Try one dead letter of each cause again, once: should it get through, its success lets the others go."""
        now, kind = self.clock(), (intent.c.object, intent.c.failure, intent.c.code)
        dead = self._mine("dead") & intent.c.failure.in_(MENDED_THERE)
        rested = func.max(intent.c.updated_at) <= now - timedelta(seconds=self.pace.probe_seconds)
        with self.store.reading() as db:
            causes = db.execute(select(*kind).where(dead).group_by(*kind).having(rested)).all()
        if not causes:
            return
        with self._transaction() as db:
            for name, failure, code in causes:
                alike = dead & (intent.c.object == name) & (intent.c.failure == failure)
                alike &= intent.c.code.is_not_distinct_from(code)
                oldest = select(intent.c.id).where(alike).order_by(intent.c.updated_at, intent.c.id).limit(1)
                once = {"probes": written_as([failure, code]), "attempts": self.pace.attempts - 1}
                db.execute(revival(now).where(intent.c.id == oldest.scalar_subquery()).values(once))

    def _let_go(self, db: Connection, row: Row[Any], now: datetime) -> None:
        """A probe got through: whatever failed as it did is tried again."""
        failure, code = read_as(row.probes)
        alike = (intent.c.connection == self.connection) & (intent.c.object == row.object)
        alike &= (intent.c.failure == failure) & intent.c.code.is_not_distinct_from(code)
        db.execute(revival(now).where(alike))

    def _claim(self) -> list[Row[Any]]:
        """The next rows for one call of the writer, marked as attempted; they are of one object and key field."""
        left, now = self.calls_left(), self.clock()
        due = (
            select(*_READ)
            .where(self._mine("pending"), or_(intent.c.next_at.is_(None), intent.c.next_at <= now))
            .order_by(intent.c.rank, intent.c.parent, intent.c.id)
            .limit(self._most_at_once())
            .with_for_update(skip_locked=True)
        )
        with self._transaction() as db:
            rows = db.execute(due).all()
            rows = [row for row in rows if (row.object, row.key_field) == (rows[0].object, rows[0].key_field)]
            if left is not None and rows:
                rows = rows[: self._fitting([_change(row) for row in rows], left)]
                self._parked = not rows
            if len(rows) > self.pace.rows_at_once and not self._jobs_for(rows):
                rows = rows[: self.pace.rows_at_once]
            if rows:
                run_each(db, _MARKED, [(micros(now), row.id) for row in rows])
                sent = {"batch": f"{rows[0].id}.{rows[0].attempts + 1}"}
                self._note(db, "sent", [(row, sent) for row in rows], now)
        return rows

    def _most_at_once(self) -> int:
        most = self.pace.rows_at_once
        return max(most, self.writer.most_at_once) if isinstance(self.writer, JobWriter) else most

    def _jobs_for(self, rows: Sequence[Row[Any]]) -> int:
        return self.writer.jobs_for([_change(row) for row in rows]) if isinstance(self.writer, JobWriter) else 0

    def _note(
        self, db: Connection, event: str, rows: Sequence[tuple[Row[Any], Mapping[str, Any]]], at: datetime
    ) -> None:
        """Append what happened to writes, for tracing."""
        when = micros(at)
        events = [
            (row.id, when, event, self.run_id, row.attempts + (row.state == "pending"), *map(more.get, _TOLD))
            for row, more in rows
        ]
        run_each(db, _NOTED, events)

    def _fitting(self, changes: Sequence[Change], left: int) -> int:
        """How many of the changes cost no more than these calls."""
        low, high = 0, len(changes)
        while low < high:
            middle = (low + high + 1) // 2
            if self.writer.write_calls(changes[:middle]) <= left:
                low = middle
            else:
                high = middle - 1
        return low

    def _send(self, rows: list[Row[Any]]) -> bool:
        """Send rows and record the answers; true when some have none and are to be read back."""
        changes = [_change(row) for row in rows]
        self._counts["calls"] += self.writer.write_calls(changes)
        self.crashpoint("before_send")
        stopped: NeedsOperator | RetryLater | None = None
        with noted() as made:
            try:
                results = self._write(rows, changes)
            except (NeedsOperator, RetryLater) as error:
                stopped = error
        if stopped is not None:
            # Not the rows' fault: the attempt does not count. They stay attempted, since some may have gone through.
            told = {"code": stopped.code, "message": str(stopped)[:_LONGEST_MESSAGE], "calls": self._told(made)}
            with self._transaction() as db:
                self._note(db, "unanswered", [(row, told) for row in rows], self.clock())
                mine = intent.c.id.in_([row.id for row in rows]) & (intent.c.state == "attempted")
                db.execute(intent.update().where(mine).values(attempts=intent.c.attempts - 1))
            raise stopped
        self.crashpoint("after_send")
        now = self.clock()
        if not any(result.calls for result in results):
            results = [replace(result, calls=tuple(made)) for result in results]
        outcomes = [self._answered(row, result, now) for row, result in zip(rows, results, strict=True)]
        lost = [
            (row, {"code": result.code or NO_ANSWER, "message": result.message, "calls": self._told(result.calls)})
            for row, result, outcome in zip(rows, results, outcomes, strict=True)
            if outcome is None
        ]
        if lost:
            with self._transaction() as db:
                self._note(db, "unanswered", lost, now)
        self._record([outcome for outcome in outcomes if outcome is not None], "done", now)
        return bool(lost)

    def _told(self, calls: Sequence[ApiCall]) -> str | None:
        """The calls as they are kept with an event; the rows of one batch have the same."""
        if not calls:
            return None
        if self._last_told is None or self._last_told[0] != calls:
            self._last_told = calls, orjson.dumps(self._notes.told(calls)).decode()
        return self._last_told[1]

    def _write(self, rows: Sequence[Row[Any]], changes: Sequence[Change]) -> list[Written]:
        def started(job: str, places: Sequence[int]) -> None:
            with self._transaction() as db:
                self._note(db, JOB, [(rows[place], {"batch": job}) for place in places], self.clock())
            self.crashpoint("after_job_noted")

        try:
            with contained(self.connection, "writing"):
                if isinstance(self.writer, JobWriter):
                    results = self.writer.write(changes, started=started)
                else:
                    results = self.writer.write(changes)
        except (AnswerLost, Broken) as error:
            return [Written(change.key, "unknown", code=error.code) for change in changes]
        except RecordRejected as error:
            # One bad row took its batch down: find it by halves, so that its neighbours get through.
            if len(changes) == 1:
                return [Written(changes[0].key, "rejected", code=error.code, message=str(error))]
            middle = len(changes) // 2
            return [
                *self._write(rows[:middle], changes[:middle]),
                *self._write(rows[middle:], changes[middle:]),
            ]
        except (NeedsOperator, RetryLater):
            raise
        except ConnectorError as error:
            # Something about this object (its name, a field): it waits, and the other objects go on.
            return [Written(change.key, "retry", code=error.code, message=str(error)) for change in changes]
        if [result.key for result in results] == [change.key for change in changes]:
            return results
        return [Written(change.key, "unknown") for change in changes]

    def _answered(self, row: Row[Any], result: Written, now: datetime) -> _Outcome | None:
        """What an answer means for its row; ``None`` when there was none."""
        message = (result.message or "")[:_LONGEST_MESSAGE] or None
        if result.state == "unknown":
            return None
        calls = self._told(result.calls)
        if result.state == "done":
            return _Outcome(row, "done", result.external_id, calls=calls)
        if result.state == "rejected":
            return _Outcome(row, "dead", None, result.code, message, failure=failure_of(result.code), calls=calls)
        return self._again(row, result.code, message, now)._replace(calls=calls)

    def _again(self, row: Row[Any], code: str | None, message: str | None, now: datetime) -> _Outcome:
        attempts = row.attempts + 1 if row.state == "pending" else row.attempts
        if attempts >= self.pace.attempts:
            failure = failure_of(code)
            return _Outcome(row, "dead", None, code, message, failure="limit" if failure == "data" else failure)
        # After the first lost answer it is sent again at once: the read-back has just shown that nothing arrived.
        at_once = code == NO_ANSWER and attempts < 2
        next_at = None if at_once else now + self.pace.wait(attempts, row.payload_hash)
        return _Outcome(row, "pending", None, code, message, next_at)

    def _settle(self) -> bool:
        """Read back every row whose outcome is not known; false when our share of the calls does not allow it."""
        with self.store.reading() as db:
            rows: list[Row[Any]] = list(
                db.execute(select(*_READ).where(self._mine("attempted")).order_by(intent.c.rank, intent.c.id))
            )
            jobs = self._jobs_of(db, rows) if isinstance(self.writer, JobWriter) else {}
        for job, handed in jobs.items():
            told = self._ask(job, handed)
            rows = [row for row in rows if row.id not in told]
        groups: dict[tuple[str, str], list[Row[Any]]] = {}
        for row in rows:
            groups.setdefault((row.object, row.key_field), []).append(row)
        for (name, key_field), group in groups.items():
            for start in range(0, len(group), self.pace.rows_at_once):
                left = self.calls_left()
                if left is not None and left <= 0:
                    self._parked = True
                    return False
                self._settle_some(name, key_field or None, group[start : start + self.pace.rows_at_once])
        return True

    def _jobs_of(self, db: Connection, rows: Sequence[Any]) -> dict[str, list[Row[Any]]]:
        """The rows that were handed over as part of a job in their last attempt, by the job's id."""
        last: dict[int, str | None] = {}
        ids = [row.id for row in rows]
        for some in slices(ids):
            handed = write_event.c.intent_id.in_(some) & write_event.c.event.in_(("sent", JOB))
            events = select(write_event.c.intent_id, write_event.c.event, write_event.c.batch).where(handed)
            for number, event, batch in db.execute(events.order_by(write_event.c.id)):
                last[number] = batch if event == JOB else None
        found: dict[str, list[Row[Any]]] = {}
        for row in rows:
            if (job := last.get(row.id)) is not None:
                found.setdefault(job, []).append(row)
        return found

    def _ask(self, job: str, rows: Sequence[Row[Any]]) -> set[int]:
        """Settle what a job tells of its rows; the ids of those. The others are to be read back."""
        assert isinstance(self.writer, JobWriter)
        with noted() as made, contained(self.connection, "the results of a job"):
            results = self.writer.job_results(job, [_change(row) for row in rows])
        now = self.clock()
        results = [replace(result, calls=tuple(made)) for result in results]
        outcomes = [self._answered(row, result, now) for row, result in zip(rows, results, strict=True)]
        told = [outcome for outcome in outcomes if outcome is not None]
        self._record(told, "settled", now)
        return {outcome.row.id for outcome in told}

    def _settle_some(self, name: str, key_field: str | None, rows: Sequence[Row[Any]]) -> None:
        payloads = {row.id: read_as(row.payload) for row in rows}
        names = dict.fromkeys(field for payload in payloads.values() for field in payload)
        if key_field is not None:
            names[key_field] = None
        now, types = self.clock(), self.types.get(name, {})
        found: dict[str, Record] = {}
        code, message = NO_ANSWER, "no answer came, and reading back did not show the values"
        try:
            with noted() as made, contained(self.connection, "reading back"):
                there_now = list(self.reader.fetch(name, tuple(names), [row.key for row in rows], key_field=key_field))
            for record in there_now:
                key = record.external_id if key_field is None else plain(record.fields.get(key_field), "string")
                if not record.deleted:
                    found[key or ""] = record
        except (NeedsOperator, RetryLater, Broken):
            raise
        except ConnectorError as error:
            # A field is gone, say. Sending again is safe, and the answer to that will be about the row.
            found, code, message = {}, error.code or NO_ANSWER, str(error)[:_LONGEST_MESSAGE]
        outcomes, calls = [], self._told(made)
        for row in rows:
            there = found.get(row.key)
            if there is not None and all(
                same(there.fields.get(field), value, types.get(field)) for field, value in payloads[row.id].items()
            ):
                outcomes.append(_Outcome(row, "done", there.external_id, calls=calls))
            else:
                outcomes.append(self._again(row, code, message, now)._replace(calls=calls))
        self._record(outcomes, "settled", now)

    def _record(self, outcomes: Sequence[_Outcome], done: str, now: datetime) -> None:
        """Write down what became of attempted rows, in one transaction; what somebody else settled is left alone."""
        if not outcomes:
            return
        with self._transaction() as db:
            open_rows = {row[0] for row in rows_of(db, _ATTEMPTED, [outcome.row.id for outcome in outcomes])}
            newer = self._waiting_again(db, [one.row for one in outcomes if one.state != "done"])
            updates, agreements, events, counts = [], [], [], Counter[str]()
            for one in outcomes:
                row = one.row
                if row.id not in open_rows:
                    continue
                replaced = one.state != "done" and (row.object, row.key_field, row.key) in newer
                state = "superseded" if replaced else one.state
                updates.append(
                    (state, one.code, one.message, one.failure, None if one.next_at is None else micros(one.next_at),
                     row.probes if state == "pending" else None, one.external_id or row.external_id, micros(now), row.id)
                )  # fmt: skip
                told = {"state": state, "code": one.code, "message": one.message, "external_id": one.external_id}
                events.append((row, {**told, "calls": one.calls}))
                counts[done if state == "done" else state] += 1
                if state == "done" and row.probes:
                    self._let_go(db, row, now)
                if state == "done":
                    ref = Ref(row.object, row.key_field or None, row.key)
                    fresh = row.action == "create"
                    agreements.append(Agreement(ref, one.external_id, read_as(row.payload), whole=fresh))
            run_each(db, _SETTLED, updates)
            agree(db, self.connection, agreements, now)
            self._note(db, "answered" if done == "done" else "read_back", events, now)
            self.crashpoint("before_ack_commit")
        self._counts.update(counts)
        self.crashpoint("after_ack_commit")

    def _waiting_again(self, db: Connection, rows: Sequence[Row[Any]]) -> set[tuple[str, str, str]]:
        """Of which of these records a newer write waits."""
        if not rows:
            return set()
        waiting = select(intent.c.object, intent.c.key_field, intent.c.key).where(self._mine("pending"))
        waiting = waiting.where(intent.c.object.in_({row.object for row in rows}))
        return {tuple(row) for row in db.execute(waiting.where(intent.c.key.in_([row.key for row in rows])))}


_READ = (
    intent.c.id, intent.c.object, intent.c.key_field, intent.c.key, intent.c.action, intent.c.payload,
    intent.c.payload_hash, intent.c.parent, intent.c.rank, intent.c.state, intent.c.attempts, intent.c.external_id,
    intent.c.probes,
)  # fmt: skip
_TOLD = ("batch", "state", "code", "message", "external_id", "calls")
_MARKED = "UPDATE intent SET state = 'attempted', attempts = attempts + 1, updated_at = ? WHERE id = ?"
_NOTED = f"""
INSERT INTO write_event (intent_id, at, event, run_id, attempt, {", ".join(_TOLD)})
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ATTEMPTED = "SELECT id FROM intent WHERE id AMONG ? AND state = 'attempted'"
_SETTLED = """
UPDATE intent SET state = ?, code = ?, message = ?, failure = ?, next_at = ?, probes = ?, external_id = ?, updated_at = ?
WHERE id = ?
"""


def _change(row: Row[Any]) -> Change:
    return Change(row.object, row.key_field or None, row.key, read_as(row.payload), row.parent or None)
