"""The store: what every system said, what follows from it as facts, and how far reading has come.

One file (SQLite, WAL) or one PostgreSQL database; the same code for both. SQLite has one writer at a time: every
write transaction takes its place at the start and waits for up to :data:`WAIT_SECONDS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError

from connectors.base import Page, Record
from sync import fact_reading, leases, quarantine, runs, tables, tracing
from sync.arrivals import Arrival, Mapped
from sync.bulk import each_row, is_sqlite, rows, run_each
from sync.errors import SyncError
from sync.fact_rows import FactWriter, Source, fields_in, written
from sync.landing import (
    Believe,
    Landing,
    Mapper,
    PageResult,
    StoredLookups,
    Stream,
    held_records,
    last_fields,
)
from sync.leases import Lease
from sync.raw_rows import Lookups
from sync.tables import micros

_ADDRESSES = "sqlite:///PATH or postgresql://USER@HOST/DATABASE"
WAIT_SECONDS = 60
"""How long a transaction waits for another one before it gives up."""


class StoreUnavailable(SyncError):
    """The database is locked, full, read-only or gone. Nothing of the transaction was kept; run again."""


def address_of(url: str) -> URL:
    """A store's address, taken apart. Raises: ``SyncError`` for what is none; the text itself may hold a password."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise SyncError(f"store: found an address that cannot be read; allowed: {_ADDRESSES}") from None


def shown(address: URL) -> str:
    """An address as it may stand in a message: without password, and without what follows ``?``, which may hold one too."""
    return address.set(query={}).render_as_string(hide_password=True)


class Store:
    """The database of the service; safe to share between threads, and between processes by opening it in each."""

    def __init__(self, engine: Engine, *, fence: Lease | None = None) -> None:
        self.engine = engine
        self._fence = fence

    @classmethod
    def open(cls, url: str = "sqlite:///referee.db") -> Store:
        """Open a store by its address: ``sqlite:///path`` or ``postgresql://…``.

        Raises: ``SyncError`` for another kind of database.
        """
        address = address_of(url)
        if address.get_backend_name() == "postgresql":
            try:
                return cls(create_engine(address.set(drivername="postgresql+psycopg"), hide_parameters=True))
            except ImportError as error:
                raise SyncError(
                    f"store: PostgreSQL needs the package psycopg ({error}); install referee[postgres]"
                ) from None
        if address.get_backend_name() != "sqlite" or address.database in (None, "", ":memory:"):
            raise SyncError(f"store: found {shown(address)!r}; allowed: {_ADDRESSES}")
        given = {"timeout": WAIT_SECONDS, "cached_statements": 256}
        engine = create_engine(address, connect_args=given, hide_parameters=True)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return cls(engine)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def migrate(self) -> None:
        """Bring the tables up to date; does nothing when they are.

        Raises: ``StoreUnavailable`` when there is no such database, or something else is in its place.
        """
        from sync.migrate import upgrade  # Alembic takes a while to import, and only starting needs it

        try:
            upgrade(self.engine)
        except DatabaseError as error:
            raise StoreUnavailable(
                f"store {shown(self.engine.url)}: found {' '.join(str(error.orig).split())}; "
                "allowed: a database of ours or an empty one, which can be reached and written to"
            ) from error

    def under(self, lease: Lease) -> Store:
        """The same store, but every write transaction fails once another holder has taken the lease."""
        return Store(self.engine, fence=lease)

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Connection]:
        """A write transaction: all of it or nothing.

        ``durable``: a power cut cannot undo it once it has ended (for intents and money). Without it, a power cut may
        undo the latest transactions, in order and whole: right for pages, whose cursor is undone with them.
        Raises: ``LeaseLost`` under a lease that is lost; ``StoreUnavailable`` when the database is locked or full.
        """
        try:
            with self.engine.connect() as connection:
                connection = connection.execution_options(referee_writes=True)
                _set_durability(connection, durable)
                with connection.begin():
                    if not durable and not is_sqlite(connection):
                        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                    if self._fence is not None:
                        leases.check(connection, self._fence)
                    yield connection
        except OperationalError as error:
            raise StoreUnavailable(
                f"store {shown(self.engine.url)}: found {error.orig}; "
                "nothing of this step was kept; free the database (space, other programs) and run again"
            ) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction: one unmoving view of everything."""
        with self.engine.connect() as connection:
            if not is_sqlite(connection):
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    def stream(self, connection: str, kind: str) -> Stream:
        """The stream of one object of one connection; made when it is not there."""
        with self.reading() as database:
            found = _streams(database, connection, kind)
        if not found:
            with self.transaction() as database:
                run_each(database, _MAKE_STREAM, [(connection, kind)])
                found = _streams(database, connection, kind)
        return found[0]

    def streams(self, connection: str | None = None) -> list[Stream]:
        """All streams (of one connection), in the order in which they were first read."""
        with self.reading() as database:
            return _streams(database, connection, None)

    def put_page(
        self,
        stream: Stream,
        page: Page,
        mapped: Mapper | Sequence[Mapped],
        *,
        seen_at: datetime,
        run_id: int,
        lookups: StoredLookups | None = None,
        believe: Believe | None = None,
        calls: Sequence[Mapping[str, Any]] = (),
        arrivals: Sequence[Arrival] | None = None,
    ) -> PageResult:
        """Store a page: raw versions, facts, quarantine and cursor in one transaction. The same page again is a no-op.

        ``mapped`` is a function that maps the records which bring something new (the fast way), or the answers for
        all of the page's records in their order. The watermark moves with the last page only. ``believe`` is asked before
        fields of facts are emptied; when it raises, nothing of the page is kept. ``calls`` are the API calls that brought it
        (``sync.call_notes``), for tracing; ``arrivals`` what another process made of its records (``sync.mapping_process``).
        """
        mapper = mapped if callable(mapped) else _answers(page.records, mapped)
        lookups = lookups if lookups is not None else StoredLookups(stream.connection)
        with self.transaction(durable=False) as database:
            landing = Landing(database, stream, mapper, lookups, seen_at, run_id, believe)
            result = _landed(database, landing, page.records, seen_at, calls, arrivals)
            if page.watermark is None:
                run_each(database, _MOVE_CURSOR, [(page.cursor, run_id, stream.id)])
            else:
                run_each(database, _MOVE_WATERMARK, [(page.watermark, run_id, stream.id)])
        return result

    def take(
        self,
        stream: Stream,
        records: Sequence[Record],
        mapper: Mapper,
        *,
        seen_at: datetime,
        run_id: int,
        lookups: StoredLookups | None = None,
        believe: Believe | None = None,
        calls: Sequence[Mapping[str, Any]] = (),
    ) -> PageResult:
        """Land records that were read outside the stream's order, in one transaction; its cursor stays where it is.

        The rest as for :meth:`put_page`.
        """
        lookups = lookups if lookups is not None else StoredLookups(stream.connection)
        with self.transaction(durable=False) as database:
            landing = Landing(database, stream, mapper, lookups, seen_at, run_id, believe)
            return _landed(database, landing, records, seen_at, calls)

    def live(self, stream: Stream, external_ids: Sequence[str] | None = None) -> int:
        """How many records of the stream (of these ids) are not deleted."""
        with self.reading() as database:
            if external_ids is None:
                return int(rows(database, _LIVE, stream.id, False)[0][0])
            return int(rows(database, f"{_LIVE} AND r.external_id AMONG ?", stream.id, False, list(external_ids))[0][0])

    def deletions(self, stream: Stream, *, since: datetime) -> int:
        """How many deletions of the stream's records were taken in since then."""
        with self.reading() as database:
            return int(rows(database, _DELETIONS, stream.id, True, micros(since))[0][0])

    def fields_stated(self, stream: Stream, kind: str) -> Counter[str]:
        """How many facts of this type that the stream's records state have which field, by ``type.field``."""
        found: Counter[str] = Counter()
        with self.reading() as database:
            for (body,) in each_row(database, _STATED, kind, stream.id, False):
                found.update(fields_in(orjson.loads(body)))
        return found

    def replay(
        self,
        stream: Stream,
        external_ids: Sequence[str],
        mapper: Mapper,
        *,
        seen_at: datetime,
        run_id: int,
        lookups: StoredLookups | None = None,
        believe: Believe | None = None,
    ) -> PageResult:
        """Map the stored versions of these records once more, in one transaction."""
        lookups = lookups if lookups is not None else StoredLookups(stream.connection)
        with self.transaction(durable=False) as database:
            return Landing(database, stream, mapper, lookups, seen_at, run_id, believe).replay(external_ids)

    def record_ids(self, stream: Stream, *, after: str | None, limit: int) -> list[str]:
        """Ids of the stream's records in order, a part at a time."""
        with self.reading() as database:
            if after is None:
                return [row[0] for row in rows(database, _FIRST_IDS, stream.id, limit)]
            return [row[0] for row in rows(database, _NEXT_IDS, stream.id, after, limit)]

    def fields_held(self, stream: Stream) -> set[str]:
        """Names of the raw fields that some hundreds of the stream's records have."""
        ids = self.record_ids(stream, after=None, limit=500)
        with self.reading() as database:
            return {name for record in held_records(database, stream, ids) for name in record.fields}

    def records(self, stream: Stream, external_ids: Sequence[str]) -> list[Record]:
        """The current versions of these records, as the system said them."""
        with self.reading() as database:
            return held_records(database, stream, external_ids)

    def set_stream(self, stream: Stream, **changes: Any) -> Stream:
        """Change ``cursor``, ``watermark``, ``reading``, ``complete``, ``query_hash`` or ``mapping_hash``."""
        with self.transaction() as database:
            database.execute(tables.stream.update().where(tables.stream.c.id == stream.id).values(**changes))
            return _streams(database, stream.connection, stream.kind)[0]

    def lookups(self, connection: str) -> Lookups:
        """Raw fields of records already pulled over a connection, each read on demand."""
        return _Lookups(self, connection)

    def put_facts(self, bodies: Sequence[Mapping[str, Any]], *, known_at: datetime, run_id: int) -> int:
        """State facts that come from this service (a form, a file, a decision); returns how many were news."""
        source = Source(None, None, None, micros(known_at), micros(known_at))
        with self.transaction() as database:
            writer = FactWriter(database, run_id)
            facts = [written(body) for body in bodies]
            writer.prepare({fact.key for fact in facts})
            for fact in facts:
                writer.state(fact, source)
            return writer.flush()

    def fact_lines(
        self, *, types: Collection[str] | None = None, account_ids: Collection[str] | None = None, since: int = 0
    ) -> Iterator[str]:
        """Fact versions as JSON lines with ``known_at``, in the order in which they were learned (see ``fact_reading``)."""
        with self.reading() as database:
            yield from fact_reading.lines(database, types=types, accounts=account_ids, since=since)

    def facts(
        self, *, types: Collection[str] | None = None, account_ids: Collection[str] | None = None, since: int = 0
    ) -> Iterator[dict[str, Any]]:
        """:meth:`fact_lines`, parsed."""
        return map(orjson.loads, self.fact_lines(types=types, account_ids=account_ids, since=since))

    def changed_accounts(self, since: int) -> fact_reading.Changed:
        """The accounts that the fact versions after row ``since`` concern."""
        with self.reading() as database:
            return fact_reading.changed(database, since)

    def redirects(self, connection: str, kind: str) -> dict[str, str]:
        """Merged records of one object: loser to winner, as the system said it."""
        with self.reading() as database:
            return {row[0]: row[1] for row in rows(database, _REDIRECTS, connection, kind)}

    def quarantine(
        self, connection: str | None = None, kind: str | None = None, state: str | None = "open"
    ) -> list[quarantine.Held]:
        """Records that could not be mapped, oldest first."""
        with self.reading() as database:
            return quarantine.listed(database, connection, kind, state)

    def waiting(self, connection: str, kind: str | None = None) -> dict[str, list[str]]:
        """Ids by object of quarantined records whose awaited parent has arrived by now."""
        with self.reading() as database:
            return quarantine.waiting(database, connection, kind)

    def trace(self, connection: str, kind: str, external_id: str) -> tracing.Trace:
        """Everything held about one record, oldest first; empty when it was never seen."""
        with self.reading() as database:
            return tracing.trace(database, connection, kind, external_id)

    def start_run(self, job: str, connection: str | None, *, at: datetime) -> int:
        """Open a run; returns its number."""
        with self.transaction() as database:
            return runs.start(database, job, connection, at)

    def finish_run(
        self, run_id: int, state: runs.State, counts: Mapping[str, Any], *, at: datetime, note: str | None = None
    ) -> None:
        """Close a run with what it counted."""
        with self.transaction() as database:
            runs.finish(database, run_id, state, counts, at, note)

    def runs_since(self, connection: str, jobs: Collection[str], at: datetime) -> list[runs.Run]:
        """All runs of these jobs that started at this instant or later, oldest first."""
        with self.reading() as database:
            return runs.since(database, connection, jobs, at)

    def runs(
        self, job: str | None = None, connection: str | None = None, limit: int = 100, states: Collection[str] = ()
    ) -> list[runs.Run]:
        """The latest runs (of these states), newest first."""
        with self.reading() as database:
            return runs.listed(database, job, connection, limit, states)

    def acquire(self, name: str, holder: str, *, now: datetime, for_seconds: float) -> Lease | None:
        """Take a lease, or ``None`` when somebody holds it (see ``sync.leases``)."""
        with self.transaction() as database:
            return leases.acquire(database, name, holder, now, for_seconds)

    def renew(self, lease: Lease, *, now: datetime, for_seconds: float) -> Lease:
        """Hold a lease for longer. Raises: ``LeaseLost``."""
        with self.transaction() as database:
            return leases.renew(database, lease, now, for_seconds)

    def release(self, lease: Lease) -> None:
        """Give a lease back."""
        with self.transaction() as database:
            leases.release(database, lease)


class _Lookups:
    def __init__(self, store: Store, connection: str) -> None:
        self._store = store
        self._connection = connection

    def get(self, kind: str, external_id: str) -> Mapping[str, Any] | None:
        with self._store.reading() as database:
            return last_fields(database, self._connection, kind, external_id)


def _landed(
    database: Connection,
    landing: Landing,
    records: Sequence[Record],
    seen_at: datetime,
    calls: Sequence[Mapping[str, Any]],
    arrivals: Sequence[Arrival] | None = None,
) -> PageResult:
    result = landing.land(records, arrivals)
    if landing.versions is not None and calls:
        told = orjson.dumps(list(calls)).decode()
        run_each(database, _NOTE_PAGE, [(*landing.versions, micros(seen_at), told)])
    return result


def _answers(records: Sequence[Record], mapped: Sequence[Mapped]) -> Mapper:
    if len(records) != len(mapped):
        raise SyncError(
            f"put_page: found {len(mapped)} answers for {len(records)} records; allowed: one each, in order"
        )
    of = {id(record): answer for record, answer in zip(records, mapped, strict=True)}
    return lambda asked, _lookups: [of[id(record)] for record in asked]


def _streams(database: Connection, connection: str | None, kind: str | None) -> list[Stream]:
    s = tables.stream.c
    query = select(
        s.id, s.connection, s.kind, s.cursor, s.watermark, s.reading, s.complete, s.query_hash, s.mapping_hash
    ).order_by(s.id)
    if connection is not None:
        query = query.where(s.connection == connection)
    if kind is not None:
        query = query.where(s.kind == kind)
    return [Stream(*row) for row in database.execute(query)]


def _set_up_sqlite(raw: Any, _record: Any) -> None:
    raw.isolation_level = None  # BEGIN is ours: Python's own would start transactions late and end them early
    cursor = raw.cursor()
    # Of a new file only. A record and its fact take 2 kB: in pages of 4 kB each landing costs a quarter more.
    cursor.execute("PRAGMA page_size = 16384")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA cache_size = -8000")
    # A checkpoint waits for the disk and copies each changed page once: fewer of them wait and copy less often. The log
    # beside the file grows to 64 MB for it.
    cursor.execute("PRAGMA wal_autocheckpoint = 4000")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("referee_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_durability(connection: Connection, durable: bool) -> None:
    """SQLite: FULL syncs the log at each commit; NORMAL at checkpoints only, and never breaks the file."""
    if is_sqlite(connection):
        cursor = connection.connection.cursor()
        cursor.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        cursor.close()


_NOTE_PAGE = "INSERT INTO read_page (first_version, last_version, read_at, calls) VALUES (?, ?, ?, ?)"
_MAKE_STREAM = "INSERT INTO stream (connection, kind) VALUES (?, ?) ON CONFLICT (connection, kind) DO NOTHING"
_MOVE_CURSOR = "UPDATE stream SET cursor = ?, last_run = ? WHERE id = ?"
# A backfill read everything once more: the next read still starts where the last read of changes ended, since
# what was deleted meanwhile comes only with the changes.
_MOVE_WATERMARK = """
UPDATE stream SET watermark = CASE WHEN reading = 'backfill' AND watermark IS NOT NULL THEN watermark ELSE ? END,
    cursor = NULL, reading = 'changes', last_run = ? WHERE id = ?
"""
_FIRST_IDS = "SELECT external_id FROM record WHERE stream_id = ? ORDER BY external_id LIMIT ?"
_NEXT_IDS = "SELECT external_id FROM record WHERE stream_id = ? AND external_id > ? ORDER BY external_id LIMIT ?"
_LIVE = """
SELECT count(*) FROM record r JOIN record_version v ON v.id = r.version_id WHERE r.stream_id = ? AND v.deleted = ?
"""
_DELETIONS = (
    "SELECT count(*) FROM record_version WHERE stream_id = ? AND deleted = ? AND seen_at >= ? AND previous IS NOT NULL"
)
_STATED = """
SELECT f.body FROM fact_head h JOIN fact f ON f.id = h.row_id WHERE h.type = ? AND f.stream_id = ? AND f.deleted = ?
"""
_REDIRECTS = """
SELECT d.loser, d.winner FROM redirect d JOIN stream s ON s.id = d.stream_id WHERE s.connection = ? AND s.kind = ?
AND d.ended_at IS NULL
"""
