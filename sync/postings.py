"""A compact inverted index of any size: text key → row numbers. What is more than fits waits in a temporary database."""

from __future__ import annotations  # array[int] is for the type checker only

import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from zlib import crc32

from sync.long_maps import Shelves

_ROW_BITS = 32
_REST_BITS = 20  # of the hash, after the 12 that choose an array
_ROW_MASK = (1 << _ROW_BITS) - 1
_LOWEST = 1 << 63  # a number of SQLite has 64 bits with its sign
NEAR = 500_000
"""Postings that are kept in memory, eight bytes each, before they are written."""


class Postings:
    """Rows by key. A key is kept as its CRC-32, so rows of a colliding key may come along: callers must look.

    Each posting is one 64-bit number (hash, row): in one of 4,096 sorted arrays, or in a table. Arrays are sorted when
    first read after a change. CRC-32 does not depend on PYTHONHASHSEED.
    """

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves
        self._buckets: dict[int, array[int]] = {}
        self._unsorted: set[int] = set()
        self._near = 0
        self._db: sqlite3.Connection | None = None
        self._table = ""

    def add(self, keys: Iterable[str], row: int) -> None:
        """File a row under keys; once for each key."""
        for hashed in _hashes(keys):
            place = hashed >> _REST_BITS
            bucket = self._buckets.get(place)
            if bucket is None:
                bucket = self._buckets[place] = array("Q")
            bucket.append(hashed << _ROW_BITS | row)
            self._unsorted.add(place)
            self._near += 1
        if self._near >= NEAR:
            self._write()

    def remove(self, keys: Iterable[str], row: int) -> None:
        """Undo one ``add`` of the same keys and row."""
        for hashed in _hashes(keys):
            bucket, start, end = self._range(hashed)
            found = bisect_left(bucket, hashed << _ROW_BITS | row, start, end)
            if found < end and bucket[found] & _ROW_MASK == row:
                del bucket[found]
                self._near -= 1
            elif self._db is not None:
                self._db.execute(
                    f"DELETE FROM {self._table} WHERE posting = ?", ((hashed << _ROW_BITS | row) - _LOWEST,)
                )

    def count(self, key: str, most: int) -> int:
        """How many rows the key has; any number above ``most`` when it has more."""
        hashed = crc32(key.encode())
        _, start, end = self._range(hashed)
        return end - start + len(self._written(hashed, most + 1))

    def rows(self, key: str) -> list[int]:
        """Rows of the key, in no order."""
        hashed = crc32(key.encode())
        bucket, start, end = self._range(hashed)
        return self._written(hashed) + [posting & _ROW_MASK for posting in bucket[start:end]]

    def _range(self, hashed: int) -> tuple[array[int], int, int]:
        bucket = self._sorted(hashed)
        start = bisect_left(bucket, hashed << _ROW_BITS)
        return bucket, start, bisect_left(bucket, (hashed + 1) << _ROW_BITS, start)

    def _sorted(self, hashed: int) -> array[int]:
        place = hashed >> _REST_BITS
        bucket = self._buckets.get(place)
        if bucket is None:
            return array("Q")
        if place in self._unsorted:
            bucket = self._buckets[place] = array("Q", sorted(bucket))
            self._unsorted.discard(place)
        return bucket

    def _written(self, hashed: int, most: int = -1) -> list[int]:
        if self._db is None:
            return []
        first = (hashed << _ROW_BITS) - _LOWEST
        query = f"SELECT posting FROM {self._table} WHERE posting BETWEEN ? AND ? LIMIT ?"
        found = self._db.execute(query, (first, first + _ROW_MASK, most))
        return [posting + _LOWEST & _ROW_MASK for (posting,) in found]

    def _write(self) -> None:
        if self._db is None:
            self._db, self._table = self._shelves.table("(posting INTEGER PRIMARY KEY)")
        rows = ((posting - _LOWEST,) for place in sorted(self._buckets) for posting in sorted(self._buckets[place]))
        self._db.executemany(f"INSERT INTO {self._table} VALUES (?)", rows)
        self._buckets.clear()
        self._unsorted.clear()
        self._near = 0


def _hashes(keys: Iterable[str]) -> set[int]:
    return {crc32(key.encode()) for key in keys}
