"""Pull: bring the changes of one connection into the store, object by object, in the order of its mapping.

Safe to run twice and to kill anywhere: each page and its cursor are one transaction. A stream that fails keeps its
watermark and makes the run partial while the others go on; what only a person can mend (``NeedsOperator``), or a
lease or database that is gone, ends the run.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from collections.abc import Mapping as TMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, Protocol

from connectors.base import ApiCall, Page, Query, Reader, Record, Rereader, UnreadRecords
from connectors.calls import noted
from connectors.errors import ConnectorError, CursorExpired, NeedsOperator
from sync.arrivals import Arrival, Mapped
from sync.brakes import Limits, too_many_deleted, too_many_emptied
from sync.call_notes import CallNotes
from sync.contained import contained, sound
from sync.drift import PausedMap, paused_fields
from sync.errors import SyncError
from sync.hints import Waiting
from sync.landing import Believe, Mapper, PageResult, StoredLookups, Stream
from sync.mapping_process import MappingProcess, begun, mapped_beside
from sync.object_maps import ObjectMap as MappedObject
from sync.payloads import storable
from sync.raw_rows import Lookups
from sync.runs import Run
from sync.store import Store

PAGES_AHEAD = 4
"""Pages that are read before they are stored: connectors may hand on one answer in several."""
SECONDS_WAITED = 0.5
"""How much longer than a quarter of the time of storing pages they are waited for before a thread reads ahead."""
COUNTED_WITHIN = timedelta(days=1)
"""Deletions (and fields that became empty) of this long count together for the brakes, so that small pages and many runs
do not get past them."""
TAKING = ("pull", "hints", "remap", "reconcile")
"""Jobs that take something into the store, or map it anew: what any of them did counts for the brakes of all."""
REREAD_PART = 500
"""Records named by hints that are read and stored together."""
REPLAY_PART = 2000
"""Records mapped again in one transaction."""


class ObjectMap(Protocol):
    """One object of a mapping (``sync.mapping.ObjectMap``)."""

    @property
    def kind(self) -> str: ...
    @property
    def query(self) -> Query: ...
    @property
    def hash(self) -> str: ...
    @property
    def query_hash(self) -> str: ...
    def facts(self, records: Sequence[Record], lookups: Lookups) -> Sequence[Mapped]: ...


class Mapping(Protocol):
    """The mapping of one connection (``sync.mapping.Mapping``)."""

    @property
    def objects(self) -> Sequence[ObjectMap]: ...


@dataclass(slots=True)
class StreamResult:
    """What a run did to one stream. ``why`` says why it is not ``ok``; ``refused``: a brake held it, or would
    have but for ``allowed_by``. ``emptied``: how many facts lost which field (``type.field``). ``jobs``: the system's ids of
    its own jobs that gave records."""

    kind: str
    state: Literal["ok", "failed", "skipped"] = "ok"
    pages: int = 0
    calls: int = 0
    records: PageResult = field(default_factory=PageResult)
    replayed: PageResult = field(default_factory=PageResult)
    why: str | None = None
    refused: bool = False
    needs_operator: bool = False
    allowed_by: str | None = None
    emptied: dict[str, int] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)


@contextmanager
def _failing(result: StreamResult) -> Iterator[None]:
    """Note in the result what ends the reading of one stream but not the run."""
    try:
        yield
    except NeedsOperator as error:
        result.state, result.why, result.needs_operator = "failed", str(error), True
    except NotBelieved as error:
        result.state, result.why, result.refused = "failed", str(error), True
    except ConnectorError as error:
        result.state, result.why = "failed", str(error)


class NotBelieved(SyncError):
    """So much is reported deleted or empty that a person must say that it is so; nothing of that page was taken."""


@dataclass(frozen=True, slots=True)
class PullResult:
    """What a run did, stream by stream in mapping order; ``ok`` only when nothing failed and nothing was refused."""

    state: Literal["ok", "partial", "failed"]
    streams: tuple[StreamResult, ...]
    needs_operator: str | None = None

    @property
    def calls(self) -> int:
        """API calls that the run cost."""
        return sum(stream.calls for stream in self.streams)

    @property
    def refused(self) -> list[str]:
        """What the brakes held, in words."""
        return [stream.why or "" for stream in self.streams if stream.refused]

    @property
    def records(self) -> PageResult:
        """Counts over all streams."""
        return sum((stream.records for stream in self.streams), PageResult())

    def counts(self) -> dict[str, Any]:
        """Counts per stream as plain JSON, for the run's row."""
        return {stream.kind: asdict(stream) for stream in self.streams}


def _nothing(_name: str) -> None:
    """The crash point of everyday runs."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What is told after each stored page."""

    kind: str
    pages: int
    records: PageResult


def pull(
    store: Store,
    connection: str,
    reader: Reader,
    mapping: Mapping,
    *,
    now: Callable[[], datetime],
    run_id: int,
    paused: TMapping[str, TMapping[str, str]] | None = None,
    hidden: Collection[str] = (),
    limits: TMapping[str, Limits] | None = None,
    allow: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    crashpoint: Callable[[str], None] = _nothing,
) -> PullResult:
    """Read every object of the mapping since its watermark and store what it says.

    A changed mapping is replayed over what is stored; changed fields or filters make the object be read once more
    from the start (a backfill), after which changes are read from the old watermark. Fields that were never read are
    read before anything is replayed: until then, and when they cannot be read, the facts stay as they were.
    ``paused`` are fields, by object, that are not asked for, ``hidden`` objects that are not read (``sync.drift``).
    A page that reports an unusual share of an object's records deleted, or after which a field would be empty in an unusual
    share of the facts that have it (``limits``, by object), is not taken: the stream stops before it until a person (``allow``) lets it
    through. The same holds for the replay of a mapping.
    ``crashpoint`` is called with ``after_fetch``, ``after_stage`` (mapped, nothing written), ``after_commit`` (page
    and cursor stored), ``after_replay``, ``after_stream`` and ``before_complete``: places where a process may die.
    Raises: ``LeaseLost``, ``StoreUnavailable``; what a system refuses is in the result.
    """
    with _by_the_page():
        run = _Run(store, connection, reader, now, run_id, progress, crashpoint, limits or {}, allow, paused or {})
        return _pull(store, connection, mapping, run, hidden)


def _pull(store: Store, connection: str, mapping: Mapping, run: _Run, hidden: Collection[str]) -> PullResult:
    results: list[StreamResult] = []
    stopped: str | None = None
    for plan in mapping.objects:
        result = StreamResult(plan.kind)
        results.append(result)
        if stopped is not None:
            result.state, result.why = "skipped", "the connection was paused before this object"
            continue
        if plan.kind in hidden:
            result.state, result.why = "skipped", "the connection does not see this object any more; give it access"
            continue
        with _failing(result):
            run.stream(plan, result)
            run.retry_waiting(mapping, plan.kind, result)
        if result.needs_operator:
            stopped = result.why
        run.crashpoint("after_stream")
    if results:
        run.retry_waiting(mapping, None, results[-1])
    run.crashpoint("before_complete")
    for stream in store.streams(connection):
        if stream.watermark is not None and not stream.complete:
            store.set_stream(stream, complete=True)
    return PullResult(_state(results, stopped), tuple(results), stopped)


def pull_hinted(
    store: Store,
    connection: str,
    reader: Reader,
    mapping: Mapping,
    hints: Sequence[Waiting],
    *,
    now: Callable[[], datetime],
    run_id: int,
    paused: TMapping[str, TMapping[str, str]] | None = None,
    limits: TMapping[str, Limits] | None = None,
    allow: str | None = None,
    crashpoint: Callable[[str], None] = _nothing,
) -> tuple[PullResult, list[Waiting]]:
    """Look at what hints name, outside the order of the streams; returns what that did and the hints that are settled.

    Records are read by their ids where the connector can (``Rereader``); an object that a hint names as a whole, or whose
    mapping has changed, is read from its watermark. Cursors of streams stay, so the next poll reads all of it once more.
    Nothing is looked at before the first full read has ended. A hint for an object that the mapping does not read is
    settled; one whose object fails, or is held by a brake, is not. Parameters and crash points as for :func:`pull`.
    Raises: ``LeaseLost``, ``StoreUnavailable``; ``ConnectorError`` when the system does not say what hints call an object.
    """
    with _by_the_page():
        run = _Run(store, connection, reader, now, run_id, None, crashpoint, limits or {}, allow, paused or {})
        results: list[StreamResult] = []
        left: set[Waiting] = set()
        for plan in mapping.objects:
            names = reader.hinted_as(plan.kind) if isinstance(reader, Rereader) else (plan.kind,)
            named = [hint for hint in hints if hint.kind in names or not hint.kind]
            stream = store.stream(connection, plan.kind) if named else None
            if stream is None or not stream.complete:
                continue
            result = StreamResult(plan.kind)
            results.append(result)
            with _failing(result):
                ids = [hint.external_id for hint in named]
                if "" in ids or not run.reread(plan, stream, ids, result):
                    run.stream(plan, result)
                run.retry_waiting(mapping, plan.kind, result)
            if result.state != "ok":
                left.update(named)
    return PullResult(_state(results, None), tuple(results)), [hint for hint in hints if hint not in left]


def remap(
    store: Store,
    connection: str,
    mapping: Mapping,
    *,
    now: Callable[[], datetime],
    run_id: int,
    limits: TMapping[str, Limits] | None = None,
    allow: str | None = None,
) -> dict[str, StreamResult]:
    """Make the facts of each object anew from what is stored, where its mapping has changed; nothing is pulled.

    Returns what was done by object (``replayed``); those of :func:`unread` are left as they are. An object in which a field would
    become empty unusually often (see :func:`pull`) is ``refused`` from there on. Safe to kill and run again: the new
    mapping is noted once all its records are done.
    """
    paused = paused_fields(store, connection)
    run = _Run(store, connection, None, now, run_id, None, _nothing, limits or {}, allow, paused)
    done: dict[str, StreamResult] = {}
    with _by_the_page():
        for plan in mapping.objects:
            stream = store.stream(connection, plan.kind)
            if stream.mapping_hash == plan.hash or _unread(store, plan, stream):
                continue
            result = done[plan.kind] = StreamResult(plan.kind)
            try:
                run.remap(plan, stream, result)
            except NotBelieved as error:
                result.state, result.why, result.refused = "failed", str(error), True
    return done


def take_over(
    store: Store,
    connection: str,
    plan: ObjectMap,
    records: Sequence[Record],
    *,
    now: Callable[[], datetime],
    run_id: int,
    limits: TMapping[str, Limits] | None = None,
    allow: str | None = None,
) -> StreamResult:
    """Store these records of one object, which were read beside the order of its stream, in one transaction.

    They pass the brakes of :func:`pull`; ``refused``: nothing was taken.
    """
    run = _Run(store, connection, None, now, run_id, None, _nothing, limits or {}, allow, {})
    run.command = "referee reconcile --repair"
    result = StreamResult(plan.kind)
    with _failing(result):
        page = Page(tuple(records), "", calls=0)
        run.keep(plan, store.stream(connection, plan.kind), page, (), result, in_order=False)
    return result


def map_again(
    store: Store,
    connection: str,
    mapping: Mapping,
    records: TMapping[str, Collection[str]],
    *,
    now: Callable[[], datetime],
    run_id: int,
    limits: TMapping[str, Limits] | None = None,
    allow: str | None = None,
) -> dict[str, StreamResult]:
    """Make the facts of these records (ids by object) anew from what the system said of them last; nothing is pulled.

    They pass the brake on emptied fields of :func:`pull`; an object that is ``refused`` keeps its facts from there on.
    """
    paused = paused_fields(store, connection)
    run = _Run(store, connection, None, now, run_id, None, _nothing, limits or {}, allow, paused)
    done: dict[str, StreamResult] = {}
    for plan in mapping.objects:
        if ids := sorted(records.get(plan.kind, ())):
            result = done[plan.kind] = StreamResult(plan.kind)
            with _failing(result):
                run.map_again(plan, store.stream(connection, plan.kind), ids, result)
    return done


def unread(store: Store, connection: str, mapping: Mapping) -> dict[str, tuple[str, ...]]:
    """Fields that a changed mapping uses and that no stored record has, by object: only a pull can bring them."""
    found = {plan.kind: _unread(store, plan, store.stream(connection, plan.kind)) for plan in mapping.objects}
    return {kind: names for kind, names in found.items() if names}


def _unread(store: Store, plan: ObjectMap, stream: Stream) -> tuple[str, ...]:
    """See :func:`unread`; while a read of other fields is under way, some records have them and some do not yet."""
    if stream.mapping_hash in (None, plan.hash):
        return ()
    under_way = stream.reading == "backfill" or stream.watermark is None
    if stream.query_hash == plan.query_hash and not under_way:
        return ()
    held = {name.lower() for name in store.fields_held(stream)}
    names = tuple(name for name in plan.query.fields if name.partition(".")[0].lower() not in held)
    if under_way:
        return names or plan.query.fields
    return names if held else ()


@contextmanager
def _by_the_page() -> Iterator[None]:
    """Run the interpreter as suits pages.

    The cycle collector runs rarely: pages hold no cycles, and walking them took a sixth of the time. The thread that
    reads ahead gets Python's lock within half a millisecond of each piece from the network: at the usual 5 ms, a page
    of some sixty pieces is read more slowly than the one before is stored.
    """
    collections, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(100_000, 50, 100)
    sys.setswitchinterval(0.0005)
    try:
        yield
    finally:
        gc.set_threshold(*collections)
        sys.setswitchinterval(interval)


class _Run:
    """One run over one connection: what its steps share."""

    def __init__(
        self,
        store: Store,
        connection: str,
        reader: Reader | None,
        now: Callable[[], datetime],
        run_id: int,
        progress: Callable[[Progress], None] | None,
        crashpoint: Callable[[str], None],
        limits: TMapping[str, Limits],
        allow: str | None,
        paused: TMapping[str, TMapping[str, str]],
    ) -> None:
        self._limits, self._allow, self._paused = limits, allow, paused
        self.command = "referee sync"
        """What a person runs to let past a brake what was held."""
        self._deleted: dict[str, tuple[int, int]] = {}
        self._notes = CallNotes()
        self._fields: dict[tuple[int, str], tuple[Counter[str], dict[str, int]]] = {}
        self._lately: dict[str, Counter[str]] = {}
        self._store = store
        self._connection = connection
        self._reader = reader
        self._now = now
        self._run_id = run_id
        self._progress = progress
        self.crashpoint = crashpoint
        self._lookups = StoredLookups(connection)

    def stream(self, plan: ObjectMap, result: StreamResult) -> None:
        """Bring one stream up to date."""
        stream = self._store.stream(self._connection, plan.kind)
        changed = stream.mapping_hash != plan.hash
        if changed and not _unread(self._store, plan, stream):
            stream = self.remap(plan, stream, result)
            changed = False
        if plan.kind not in self._paused:
            stream = self._asked_anew(plan, stream)
        try:
            if stream.reading == "backfill":
                stream = self._read(plan, stream, result)
            if changed and stream.watermark is not None:
                stream = self.remap(plan, stream, result)
                changed = False
            stream = self._read(plan, stream, result)
            if changed:
                self.remap(plan, stream, result)
        except CursorExpired:
            self._store.set_stream(stream, cursor=None, watermark=None, reading="changes")
            raise

    def reread(self, plan: ObjectMap, stream: Stream, ids: Sequence[str], result: StreamResult) -> bool:
        """Read these records anew and store what they are now; ``False``: that cannot be done, read the stream."""
        known = (stream.query_hash, stream.mapping_hash) == (plan.query_hash, plan.hash)
        if not isinstance(self._reader, Rereader) or stream.since is None or stream.reading != "changes" or not known:
            return False
        reduced = self._reduced(plan)
        query = plan.query if reduced is None else reduced.query
        for start in range(0, len(ids), REREAD_PART):
            with noted() as brought, contained(self._connection, plan.kind):
                records = tuple(self._reader.reread(query, ids[start : start + REREAD_PART]))
            self.keep(plan, stream, Page(records, "", calls=len(brought)), brought, result, in_order=False)
        return True

    def remap(self, plan: ObjectMap, stream: Stream, result: StreamResult) -> Stream:
        """Map all stored records of a stream once more, then note the mapping. Raises: :class:`NotBelieved`."""
        after: str | None = None
        while ids := self._store.record_ids(stream, after=after, limit=REPLAY_PART):
            result.replayed += self._replay(plan, stream, ids, self._believing(plan, stream, result))
            after = ids[-1]
            self.crashpoint("after_replay")
        return self._store.set_stream(stream, mapping_hash=plan.hash)

    def map_again(self, plan: ObjectMap, stream: Stream, ids: Sequence[str], result: StreamResult) -> None:
        """Map these stored records once more. Raises: :class:`NotBelieved`."""
        for start in range(0, len(ids), REPLAY_PART):
            some = ids[start : start + REPLAY_PART]
            result.replayed += self._replay(plan, stream, some, self._believing(plan, stream, result))

    def retry_waiting(self, mapping: Mapping, kind: str | None, result: StreamResult) -> None:
        """Map records again whose parent (of this object, or of any) has arrived; parents that free others first.

        What a brake holds waits on, and is told with ``result``.
        """
        waiting = self._store.waiting(self._connection, kind)
        while waiting:
            for plan in mapping.objects:
                if ids := waiting.get(plan.kind):
                    stream = self._store.stream(self._connection, plan.kind)
                    with _failing(result):
                        result.replayed += self._replay(plan, stream, ids, self._believing(plan, stream, result))
            still = self._store.waiting(self._connection, kind)
            if still == waiting:
                return
            waiting = still

    def _asked_anew(self, plan: ObjectMap, stream: Stream) -> Stream:
        """Note what is read of the object; when that has changed, ask for a backfill."""
        if stream.query_hash == plan.query_hash:
            return stream
        if stream.watermark is None:
            return self._store.set_stream(stream, query_hash=plan.query_hash, cursor=None)
        return self._store.set_stream(stream, query_hash=plan.query_hash, cursor=None, reading="backfill")

    def _read(self, plan: ObjectMap, stream: Stream, result: StreamResult) -> Stream:
        """Read and store pages until none is left.

        Raises: ``ConnectorError``, also when the reader stops without a last page.
        """
        assert self._reader is not None
        page: Page | None = None
        reduced = self._reduced(plan)
        query = plan.query if reduced is None else reduced.query
        ask = partial(self._reader.changes, query, since=stream.since)
        with (
            closing(_ahead(sound(self._connection, plan.kind, ask))) as pages,
            closing(mapped_beside(pages, partial(self._beside, plan), partial(_brings_news, result))) as arriving,
        ):
            for page, brought, arrivals in arriving:
                self.keep(plan, stream, page, brought, result, arrivals=arrivals)
                if self._progress is not None:
                    self._progress(Progress(plan.kind, result.pages, result.records))
        if page is not None and page.watermark is None:
            raise ConnectorError(
                f"{self._connection}, {plan.kind}: found the end of the pages without a watermark; "
                "allowed: a watermark on the last page of every read. The stream keeps its place"
            )
        return self._store.stream(self._connection, plan.kind)

    def _beside(self, plan: ObjectMap, unread: UnreadRecords) -> MappingProcess | None:
        """A process that reads and maps records like these, where that needs nothing of the store."""
        if not isinstance(plan, MappedObject) or plan.lookups or self._reduced(plan) is not None:
            return None
        return begun(unread.read, plan.facts)

    def keep(
        self,
        plan: ObjectMap,
        stream: Stream,
        page: Page,
        brought: Sequence[ApiCall],
        result: StreamResult,
        *,
        in_order: bool = True,
        arrivals: Sequence[Arrival] | None = None,
    ) -> None:
        """Store a page, and the place behind it; not ``in_order``, records alone. Raises: :class:`NotBelieved`."""
        self.crashpoint("after_fetch")
        result.calls += page.calls
        if page.job is not None and page.job not in result.jobs:
            result.jobs.append(page.job)
        if arrivals is not None:
            self.crashpoint("after_stage")
        self._believe(stream, page, arrivals, result)
        reduced = self._reduced(plan)
        if reduced is not None:
            page = self._carried(reduced, page)
        put = (
            partial(self._store.put_page, stream, page, arrivals=arrivals)
            if in_order
            else partial(self._store.take, stream, page.records)
        )
        result.records += put(
            self._mapper(plan if reduced is None else reduced),
            seen_at=self._now(),
            run_id=self._run_id,
            lookups=self._lookups,
            believe=self._believing(plan, stream, result),
            calls=self._notes.told(brought),
        )
        result.pages += 1
        self.crashpoint("after_commit")

    def _reduced(self, plan: ObjectMap) -> PausedMap | None:
        paused = self._paused.get(plan.kind)
        return PausedMap(plan, paused) if paused and isinstance(plan, MappedObject) else None

    def _carried(self, reduced: PausedMap, page: Page) -> Page:
        """The page with the last known values of paused fields."""
        last = self._store.lookups(self._connection)
        records = tuple(reduced.carried(one, last.get(one.kind, one.external_id)) for one in page.records)
        return replace(page, records=records)

    def _believe(self, stream: Stream, page: Page, arrivals: Sequence[Arrival] | None, result: StreamResult) -> None:
        """Count the deletions of live records in this page. Raises: :class:`NotBelieved`."""
        coming: Sequence[Record | Arrival] = page.records if arrivals is None else arrivals
        gone = [storable(one.external_id) for one in coming if one.deleted]
        if not gone or not (dying := self._store.live(stream, gone)):
            return
        if self._allow is not None:
            result.allowed_by = self._allow
            return
        if stream.kind not in self._deleted:
            lately = self._store.deletions(stream, since=self._counted_since(stream.kind))
            self._deleted[stream.kind] = lately, self._store.live(stream) + lately
        deleted, of = self._deleted[stream.kind]
        self._deleted[stream.kind] = deleted + dying, of
        limits = self._limits.get(stream.kind, Limits())
        reason = too_many_deleted(stream.kind, deleted + dying, of, limits, self.command)
        if reason is not None:
            raise NotBelieved(reason)

    def _believing(self, plan: ObjectMap, stream: Stream, result: StreamResult) -> Believe:
        """What is asked before fields of the stream's facts are emptied; see ``sync.brakes.too_many_emptied``.

        A field that the mapping does not make any more may go.
        """
        limits = self._limits.get(plan.kind, Limits())

        def believe(emptied: TMapping[str, int]) -> None:
            emptied = {name: count for name, count in emptied.items() if _makes(plan, name)}
            if not emptied:
                return
            if self._allow is not None:
                result.allowed_by = self._allow
                return
            for name, count in emptied.items():
                before = self._emptied_lately(plan.kind).get(name, 0) + result.emptied.get(name, 0)
                if before + count < limits.emptied_from or limits.max_emptied_share is None:
                    continue
                reason = too_many_emptied(
                    plan.kind, name, before + count, self._stated(stream, result, name) + before, limits, self.command
                )
                if reason is not None:
                    raise NotBelieved(reason)
            for name, count in emptied.items():
                result.emptied[name] = result.emptied.get(name, 0) + count

        return believe

    def _stated(self, stream: Stream, result: StreamResult, name: str) -> int:
        """How many facts have this field now; counted once a run, since that reads them all."""
        kind = name.partition(".")[0]
        if (stream.id, kind) not in self._fields:
            self._fields[stream.id, kind] = self._store.fields_stated(stream, kind), dict(result.emptied)
        held, emptied_then = self._fields[stream.id, kind]
        return held[name] - result.emptied.get(name, 0) + emptied_then.get(name, 0)

    def _emptied_lately(self, kind: str) -> Counter[str]:
        """How many facts lost which field in earlier runs of a day; what a person allowed counts no more."""
        if kind not in self._lately:
            since, found = self._counted_since(kind), Counter[str]()
            for run in self._runs():
                if run.started_at >= since and run.id != self._run_id:
                    found.update(run.counts.get(kind, {}).get("emptied", {}))
            self._lately[kind] = found
        return self._lately[kind]

    def _counted_since(self, kind: str) -> datetime:
        """From when deletions count together: what a person allowed counts no more."""
        since = self._now() - COUNTED_WITHIN
        for run in reversed(self._runs()):
            if run.ended_at is not None and run.counts.get(kind, {}).get("allowed_by"):
                return max(since, run.ended_at + timedelta(microseconds=1))
        return since

    def _runs(self) -> list[Run]:
        """What has taken something in lately, oldest first."""
        return self._store.runs_since(self._connection, TAKING, self._now() - 2 * COUNTED_WITHIN)

    def _mapper(self, plan: ObjectMap | PausedMap) -> Mapper:
        def mapped(records: Sequence[Record], lookups: Lookups) -> Sequence[Mapped]:
            answers = plan.facts(records, lookups)
            self.crashpoint("after_stage")
            return answers

        return mapped

    def _replay(self, plan: ObjectMap, stream: Stream, ids: Sequence[str], believe: Believe) -> PageResult:
        mapped_by = self._reduced(plan) or plan
        return self._store.replay(
            stream,
            ids,
            mapped_by.facts,
            seen_at=self._now(),
            run_id=self._run_id,
            lookups=self._lookups,
            believe=believe,
        )


def _makes(plan: ObjectMap, name: str) -> bool:
    """Whether the mapping makes this field (``type.field``) from a field of the system."""
    if not isinstance(plan, MappedObject):
        return True
    targets = {use.target for use in plan.uses}
    return name.partition(".")[2] in targets | {target.partition(".")[0] for target in targets}


def _brings_news(result: StreamResult) -> bool:
    """Whether most of what a read gave so far was news: then what follows is mapped before it is looked up."""
    return result.records.new + result.records.changed >= result.records.unchanged


def _state(results: Sequence[StreamResult], stopped: str | None) -> Literal["ok", "partial", "failed"]:
    failed = sum(result.state != "ok" for result in results)
    refused = any(result.records.quarantined or result.replayed.quarantined for result in results)
    if failed == len(results) and results:
        return "failed"
    return "partial" if failed or refused or stopped else "ok"


def _ahead(pages: Iterator[Page]) -> Generator[tuple[Page, Sequence[ApiCall]], None, None]:
    """The same pages with the calls that brought them, read as they are asked for, or ahead by a thread.

    A page that took no call of its own is a further part of the answer before it. Handing rows from one thread to another
    costs a tenth of a pull, so it must have waiting to hide. Whether it has is told by a stop-watch, which decides when
    a page is read and nothing else.
    """
    brought: Sequence[ApiCall] = ()

    def read() -> tuple[Page | None, Sequence[ApiCall]]:
        with noted() as made:
            return next(pages, None), made

    waited = worked = 0.0
    while waited <= worked / 4 + SECONDS_WAITED:
        begin, busy = time.perf_counter(), time.thread_time()
        page, made = read()
        if page is None:
            return
        end = time.perf_counter()
        waited += (end - begin) - (time.thread_time() - busy)
        brought = made or brought
        yield page, brought
        worked += time.perf_counter() - end
    thread = ThreadPoolExecutor(1, thread_name_prefix="page-reader")
    try:
        coming = deque(thread.submit(read) for _ in range(PAGES_AHEAD))
        while True:
            page, made = coming.popleft().result()
            if page is None:
                return
            coming.append(thread.submit(read))
            brought = made or brought
            yield page, brought
    finally:
        thread.shutdown(cancel_futures=True)
