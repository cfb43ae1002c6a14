"""A process beside ours that reads and maps the rows of a page while the page before is stored.

Of a large read, half of the work is turning texts into records and records into facts, which needs neither the store nor
the system: a second processor does it. The process is a fork of ours, so it has the mapping and needs no memory of its
own for it; it gets texts and gives back arrivals, and ends when our end of its pipe is closed, however that happens.
Whatever it cannot do is done here, where the reason can be told.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import msgspec
import structlog

from connectors.base import ApiCall, Page, Record, UnreadRecords
from connectors.errors import ConnectorError
from sync.arrivals import MAPPED_AT_ONCE, Arrival, Mapped, arrived, take_answers
from sync.raw_rows import Lookups

log = structlog.get_logger(__name__)

RECORDS_BEFORE = 5_000
"""Records of a read before a process is started for those that follow: a small read is over sooner."""
PATIENCE_SECONDS = 60.0
"""How long a page is waited for: a process that takes longer is given up."""
MOST_OUT = 3
"""Pages that are with the process: one at work, one behind it, and one whose answer waits."""
PIPE_BYTES = 1 << 20
"""What a pipe is to hold: a page of 500 records behind the one that is at work, so that neither process waits for the
other's slow moments."""
PIPE_MARGIN = 16_384
"""Of what a pipe holds, what may be lost to its own keeping."""

Read = Callable[[Sequence[bytes]], Sequence[Record]]
Maps = Callable[[Sequence[Record], Lookups], Sequence[Mapped]]


def ask_for(texts: Sequence[bytes], *, to_map: bool) -> bytes:
    """The rows of a page, as they are handed over."""
    return _TEXT.encode((to_map, list(map(bytes, texts))))


class MappingProcess:
    """Reads rows by ``read`` and maps them by ``maps``; pages are taken in the order in which they were given."""

    def __init__(self, read: Read, maps: Maps) -> None:
        context = multiprocessing.get_context("fork")
        their_asks, self._asks = _pipe()
        self._answers, their_answers = _pipe()
        theirs, ours = (their_asks, their_answers), (self._asks, self._answers)
        self._is_lost = False
        self._process = context.Process(target=_serve, args=(theirs, ours, read, maps), daemon=True)
        self._process.start()
        for end in theirs:
            end.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid or 0

    def __enter__(self) -> MappingProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _has_room(self, ask: bytes) -> bool:
        """Whether this can be handed over without waiting, which could be for each other."""
        return len(ask) <= _room(self._asks) - PIPE_MARGIN

    def give(self, ask: bytes) -> bool:
        """Hand over the rows of a page; whether that was possible."""
        if self._is_lost or not self._has_room(ask):
            return False
        try:
            with self._patience():
                self._asks.send_bytes(ask)
        except OSError:
            self._lose()
            return False
        return True

    def take(self) -> list[Arrival] | None:
        """What became of the rows that were given first, in their order; ``None`` when it could not be done there."""
        if self._is_lost:
            return None
        try:
            with self._patience():
                told = self._answers.recv_bytes()
        except (EOFError, OSError):
            self._lose()
            return None
        return _ARRIVALS.decode(told) if told else None

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """End the process when what is inside takes too long, also in the middle of an answer: then its pipes end, too."""
        timer = threading.Timer(PATIENCE_SECONDS, self._process.kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _lose(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            log.warning("mapping_process_lost")

    def close(self) -> None:
        """End the process."""
        self._asks.close()
        self._answers.close()
        self._process.kill()  # it has nothing to lose, and one that was stopped would not hear anything else
        self._process.join()


def begun(read: Read, maps: Maps) -> MappingProcess | None:
    """Such a process, or ``None`` where none can be had."""
    try:
        return MappingProcess(read, maps) if is_possible() else None
    except OSError as error:  # no room for another process
        log.warning("mapping_process_not_begun", why=str(error))
        return None


def is_possible() -> bool:
    """Whether there is a processor to spare, and nothing speaks against a fork: where threads work beside each other, one may
    hold at that moment what the new process would wait for."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        return False
    return threading.current_thread() is threading.main_thread()


def mapped_beside(
    pages: Iterator[tuple[Page, Sequence[ApiCall]]],
    begin: Callable[[UnreadRecords], MappingProcess | None],
    brings_news: Callable[[], bool],
) -> Generator[tuple[Page, Sequence[ApiCall], list[Arrival] | None], None, None]:
    """The same pages in order; those of a large read with what another process made of them while the page before was stored.

    ``begin`` starts that process, or says that these records cannot be mapped by one; ``brings_news``: whether what comes
    is worth mapping before it is known whether the store has it. Records that are read in another way than those before
    (the rest by a job, or no more by one) get a process of their own.
    """
    process: MappingProcess | None = None
    read: Read | None = None  # what the process was begun for, if one could be
    out: deque[tuple[Page, Sequence[ApiCall]]] = deque()
    seen, error = 0, None
    with ExitStack() as running:
        while True:
            try:
                coming = next(pages, None)
            except ConnectorError as found:  # what was read before it is stored all the same
                coming, error = None, found
            ask = None
            ready: list[tuple[Page, Sequence[ApiCall], list[Arrival] | None]] = []
            if coming is not None and isinstance(records := coming[0].records, UnreadRecords):
                seen += len(records.texts)
                if seen > RECORDS_BEFORE and records.read != read:
                    while process is not None and out:
                        ready.append((*out.popleft(), process.take()))
                    running.close()
                    read, process = records.read, begin(records)
                    if process is not None:
                        running.enter_context(process)
                if process is not None:
                    ask = ask_for(records.texts, to_map=brings_news())
            is_given = process is not None and ask is not None and len(out) < MOST_OUT and process.give(ask)
            while process is not None and out and not is_given:  # in order, also when the process is lost
                ready.append((*out.popleft(), process.take()))
                is_given = ask is not None and process.give(ask)
            if coming is not None and is_given:
                out.append(coming)
            elif coming is not None:
                ready.append((*coming, None))
            yield from ready  # stored while the process is at what it was given
            if coming is None:
                break
    if error is not None:
        raise error


_TEXT = msgspec.msgpack.Encoder()
_ASKED = msgspec.msgpack.Decoder(tuple[bool, list[bytes]])
_ARRIVALS = msgspec.msgpack.Decoder(list[Arrival])


class _NoLookups:
    def get(self, kind: str, external_id: str) -> Mapping[str, Any] | None:
        raise AssertionError("a mapping with look-ups is not given to another process")


def _pipe() -> tuple[Connection, Connection]:
    """Both ends of a pipe, the reading one first."""
    import fcntl  # not on every system; there is_possible() says no

    reading, writing = multiprocessing.Pipe(duplex=False)
    with suppress(OSError):  # a system may allow less
        fcntl.fcntl(writing.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reading, writing


def _room(end: Connection) -> int:
    """Bytes that a pipe takes before whoever writes them has to wait."""
    import fcntl
    import termios

    unread = fcntl.ioctl(end.fileno(), termios.FIONREAD, b"\0" * 4)
    return fcntl.fcntl(end.fileno(), fcntl.F_GETPIPE_SZ) - int.from_bytes(unread, sys.byteorder)


def _serve(theirs: tuple[Connection, Connection], ours: tuple[Connection, Connection], read: Read, maps: Maps) -> None:
    for end in ours:
        end.close()
    asks, answers = theirs
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; our end comes with the pipe's
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.freeze()
    while True:
        try:
            to_map, texts = _ASKED.decode(asks.recv_bytes())
        except (EOFError, OSError):
            return
        try:
            answer = _TEXT.encode(_arrivals(texts, read, maps if to_map else None))
        except Exception:  # noqa: BLE001 - whatever it is, the one who asked meets it too, and can tell where
            answer = b""
        answers.send_bytes(answer)


def _arrivals(texts: Sequence[bytes], read: Read, maps: Maps | None) -> list[Arrival]:
    made: list[Arrival] = []
    for at in range(0, len(texts), MAPPED_AT_ONCE):
        records = read(texts[at : at + MAPPED_AT_ONCE])
        some = arrived(records)
        # What a deleted record still says depends on what is known of it.
        alive = [arrival for arrival in some if not arrival.deleted]
        if maps is not None and alive:
            living = [record for record in records if not record.deleted]
            take_answers(alive, living, maps(living, _NoLookups()))
        for place, arrival in enumerate(some, len(made)):
            arrival.place, arrival.record = place, None
        made += some
    return made
