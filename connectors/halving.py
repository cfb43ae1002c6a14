"""Asking for less: what a system does not answer in time is asked for in halves, and each half in halves if need be.

A reader gives a span (a window of time with a position in it, a number of records a page) and how to halve one. While it
reads here, a request that gets no answer in time twice is ``WindowTooLarge`` instead of being tried on (``connectors.http``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import TypeVar

from connectors.errors import WindowTooLarge

Span = TypeVar("Span")
Item = TypeVar("Item")

_may_ask_less: ContextVar[bool] = ContextVar("referee_may_ask_less", default=False)
CALM = 8
"""Answers in a row after which a little more is asked for again."""
SHORTEST = timedelta(seconds=1)
"""Windows are not halved below this: stamps of most systems are whole seconds."""


def may_ask_less() -> bool:
    """Whether the request that this thread makes is one for which less can be asked."""
    return _may_ask_less.get()


def in_halves(
    whole: Span,
    read: Callable[[Span, bool, Callable[[], int]], Iterator[tuple[Item, Span]]],
    halves: Callable[[Span], tuple[Span, Span] | None],
    *,
    size: int = 1,
    told: Callable[[Span], str],
    alive: Callable[[], object],
) -> Iterator[tuple[Item, Span, bool]]:
    """Read a span, in parts where it must be; yields an item, what is left of its part, and whether no part waits behind.

    ``read(span, last, size)`` yields items, each with the rest of the span behind it; ``last``: no part waits behind this
    one; ``size()``: records to ask for at a time, at most ``size``. ``halves(span)`` gives the two to read instead, or
    ``None`` for a span that is as short as can be: then fewer records are asked for at a time. What was too much is not
    tried again at once: after :data:`CALM` answers a little more is asked for. ``alive()`` is called when an answer fails
    after one that came, and raises when the system answers nothing at all.
    Raises: ``WindowTooLarge`` for one record of the shortest span that is still too large, as ``told``; what calls raise.
    """
    now = _Measure(size)
    waiting, answered = [(whole, 0)], True
    while waiting:
        span, depth = waiting.pop()
        while depth < now.depth and (parts := halves(span)) is not None:
            depth += 1
            span = parts[0]
            waiting.append((parts[1], depth))
        items = read(span, not waiting, lambda: now.size)
        while True:
            try:
                with _asking():
                    found = next(items, None)
            except WindowTooLarge as error:
                if answered:
                    alive()
                    answered = False
                if not now.grown_size():
                    parts = halves(span)
                    if parts is not None:
                        now.deepen(depth + 1)
                        waiting += [(parts[1], depth + 1), (parts[0], depth + 1)]
                        break
                    if now.size == 1:
                        message = f"{told(span)} ({error})"
                        raise WindowTooLarge(message, code=error.code, status=error.status) from error
                now.shrink()
                waiting.append((span, depth))
                break
            if found is None:
                break
            answered = True
            now.went_well()
            item, span = found
            yield item, span, not waiting


class _Measure:
    """How much to ask for: how often spans are halved, and records at a time; more again, slowly, while all goes well."""

    def __init__(self, size: int) -> None:
        self.depth, self.size = 0, size
        self._full, self._calm = size, 0
        self._grew: str | None = None

    def deepen(self, depth: int) -> None:
        self.depth, self._calm, self._grew = depth, 0, None

    def shrink(self) -> None:
        self.size, self._calm, self._grew = max(self.size // 2, 1), 0, None

    def grown_size(self) -> bool:
        """Whether the size was what grew last, so that it is to blame."""
        return self._grew == "size" and self.size > 1

    def went_well(self) -> None:
        """Count an answer; ask for more after enough of them, by turns for longer spans and for more records."""
        self._calm += 1
        if self._calm < CALM:
            return
        self._calm = 0
        if self.size < self._full and (self._grew == "depth" or not self.depth):
            self.size, self._grew = min(2 * self.size, self._full), "size"
        elif self.depth:
            self.depth, self._grew = self.depth - 1, "depth"


@contextmanager
def _asking() -> Iterator[None]:
    token = _may_ask_less.set(True)
    try:
        yield
    finally:
        _may_ask_less.reset(token)


def middle(begin: datetime, end: datetime) -> datetime | None:
    """The whole second in the middle, or ``None`` when there is none in between."""
    found = (begin + (end - begin) / 2).replace(microsecond=0)
    return found if begin + SHORTEST <= end and begin < found < end else None
