"""What breaks inside a connector, as an error of its connection: a mistake in one connector stops no other connection.

An answer in another form than its connector knows ends in a ``KeyError`` or the like, far from here. Its text may hold
values, so only its kind and its place are told.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from connectors.base import Cursor, Page, Query, Reader, Record
from connectors.errors import ConnectorError

_BROKEN = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, NotImplementedError)
"""What programs raise that are wrong, and no error of ours is."""

T = TypeVar("T")


class Broken(ConnectorError):
    """A connector made a mistake, or was given an answer that it does not know; what came of its call is not known."""


@contextmanager
def contained(connection: str, asked: str) -> Iterator[None]:
    """Around a call of a connector. Raises: :class:`Broken` instead of what shows a mistake in it."""
    try:
        yield
    except _BROKEN as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise Broken(
            f"{connection}: its connector broke while it was asked for {asked}: {type(error).__name__} in "
            f"{Path(last.filename).name}, line {last.lineno}; an answer may have come in a form that it does not know. "
            "Nothing of that answer was taken; tell whoever wrote the connector",
            code="BROKEN",
        ) from error


def sound(connection: str, asked: str, ask: Callable[[], Iterator[T]]) -> Generator[T, None, None]:
    """What a connector yields when it is asked. Raises: as :func:`contained`."""
    with contained(connection, asked):
        yield from ask()


class SoundReader:
    """A reader whose mistakes are errors of its connection."""

    def __init__(self, connection: str, reader: Reader) -> None:
        self._connection, self._reader = connection, reader

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """As :meth:`Reader.changes`."""
        return sound(self._connection, query.kind, partial(self._reader.changes, query, since=since))

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """As :meth:`Reader.fetch`."""
        return sound(self._connection, kind, partial(self._reader.fetch, kind, fields, keys, key_field=key_field))
