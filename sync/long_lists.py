"""Lists of any length in little memory: what is more than fits lies in a temporary file."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from tempfile import TemporaryFile
from typing import IO, Any, TypeVar, overload

Value = TypeVar("Value")
PART = 500
"""Values that are written and read together."""
SHORT = 2000
"""Values that are kept in memory before the first of them are written."""


class LongList(Sequence[Value]):
    """A list that is only appended to. Its values must not be changed, and equal what ``pickle`` makes of them."""

    def __init__(self, values: Iterable[Value] = ()) -> None:
        self._last: list[Value] = []
        self._places: list[int] = []
        self._file: IO[bytes] | None = None
        self.extend(values)

    def extend(self, values: Iterable[Value]) -> None:
        """Add values at the end."""
        for value in values:
            self.append(value)

    def append(self, value: Value) -> None:
        """Add one value at the end."""
        self._last.append(value)
        if len(self._last) < SHORT:
            return
        if self._file is None:
            self._file = TemporaryFile()  # noqa: SIM115  # lives as long as the list
        self._places.append(self._file.seek(0, 2))
        # Never read by another process: the file has no name, and goes with the list.
        pickle.dump(self._last[:PART], self._file, protocol=5)
        del self._last[:PART]

    def __len__(self) -> int:
        return PART * len(self._places) + len(self._last)

    def __iter__(self) -> Iterator[Value]:
        for number in range(len(self._places)):
            yield from self._part(number)
        yield from self._last

    @overload
    def __getitem__(self, index: int) -> Value: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Value]: ...
    def __getitem__(self, index: int | slice) -> Value | Sequence[Value]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        number, within = divmod(place, PART)
        return (
            self._part(number)[within] if number < len(self._places) else self._last[place - PART * len(self._places)]
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"LongList({list(self)!r})"

    def _part(self, number: int) -> list[Value]:
        assert self._file is not None
        self._file.seek(self._places[number])
        part: list[Any] = pickle.load(self._file)
        return part
