"""A compact inverted index: text key → row numbers. A million companies with a dozen keys each fit in about 100 MB."""

from __future__ import annotations  # array[int] is for the type checker only

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from zlib import crc32

_ROW_BITS = 32
_REST_BITS = 20  # of the hash, after the 12 that choose an array
_ROW_MASK = (1 << _ROW_BITS) - 1


class Postings:
    """Rows by key. A key is kept as its CRC-32, so rows of a colliding key may come along: callers must look.

    Each posting is one 64-bit number (hash, row) in one of 4,096 sorted arrays; arrays are sorted when first read
    after a change. CRC-32 does not depend on PYTHONHASHSEED.
    """

    def __init__(self) -> None:
        self._buckets: dict[int, array[int]] = {}
        self._unsorted: set[int] = set()

    def add(self, keys: Iterable[str], row: int) -> None:
        for key in keys:
            hashed = crc32(key.encode())
            place = hashed >> _REST_BITS
            bucket = self._buckets.get(place)
            if bucket is None:
                bucket = self._buckets[place] = array("Q")
            bucket.append(hashed << _ROW_BITS | row)
            self._unsorted.add(place)

    def remove(self, keys: Iterable[str], row: int) -> None:
        """Undo one ``add`` of the same keys and row."""
        for key in keys:
            hashed = crc32(key.encode())
            bucket = self._sorted(hashed)
            del bucket[bisect_left(bucket, hashed << _ROW_BITS | row)]

    def count(self, key: str) -> int:
        """How many rows the key has."""
        _, start, end = self._range(key)
        return end - start

    def rows(self, key: str) -> list[int]:
        """Rows of the key, ascending, as often as they were added."""
        bucket, start, end = self._range(key)
        return [posting & _ROW_MASK for posting in bucket[start:end]]

    def _range(self, key: str) -> tuple[array[int], int, int]:
        hashed = crc32(key.encode())
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
