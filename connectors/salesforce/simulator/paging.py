"""Query locators: pages of at most 2,000 rows, and an address for the rest that does not live forever."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.salesforce.simulator.evaluate import Evaluator, Shape
from connectors.salesforce.simulator.soql import SoqlError
from connectors.salesforce.simulator.values import Row

LARGEST_PAGE = 2000
SMALLEST_PAGE = 200
LOCATORS_KEPT = 10
_BATCH_SIZE = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)


@dataclass
class _Open:
    rows: list[Row]
    shape: Shape
    size: int
    made_at: datetime
    empty_shown: bool = False


class Pages:
    """Cuts results into pages. ``shrink_to`` makes pages smaller than asked (as wide rows do);
    ``empty_page`` answers ``done: false`` without rows once a query; ``lifetime`` ends locators."""

    def __init__(self, evaluator: Evaluator, now: Callable[[], datetime]) -> None:
        self.shrink_to: int | None = None
        self.empty_page = False
        self.lifetime = timedelta(days=2)
        self._evaluator = evaluator
        self._now = now
        self._open: dict[str, _Open] = {}
        self._count = 0

    def first(self, rows: list[Row], shape: Shape, options: str, version: str) -> dict[str, Any]:
        """The first page of a result."""
        hint = _BATCH_SIZE.search(options)
        size = min(max(int(hint[1]), SMALLEST_PAGE), LARGEST_PAGE) if hint else LARGEST_PAGE
        opened = _Open(rows, shape, size, self._now())
        if len(rows) <= self._size(opened) and not self.empty_page:
            return self._answer(opened, rows, None, version)
        self._count += 1
        locator = f"0r8Hs{self._count:013d}"
        self._open[locator] = opened
        while len(self._open) > LOCATORS_KEPT:
            self._open.pop(next(iter(self._open)))
        return self._page(locator, opened, 0, version)

    def following(self, locator: str, version: str) -> dict[str, Any]:
        """The page at ``LOCATOR-OFFSET``. Raises: :class:`SoqlError` INVALID_QUERY_LOCATOR."""
        name, _, offset = locator.partition("-")
        opened = self._open.get(name)
        if opened is None or not offset.isdigit() or self._now() - opened.made_at > self.lifetime:
            raise SoqlError("INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(name, opened, int(offset), version)

    def expire_all(self) -> None:
        """Forget every locator."""
        self._open.clear()

    def _size(self, opened: _Open) -> int:
        return min(opened.size, self.shrink_to or opened.size)

    def _page(self, locator: str, opened: _Open, offset: int, version: str) -> dict[str, Any]:
        end = offset + self._size(opened)
        if self.empty_page and not opened.empty_shown:
            opened.empty_shown, end = True, offset
        rest = f"/services/data/{version}/query/{locator}-{end}" if end < len(opened.rows) else None
        return self._answer(opened, opened.rows[offset:end], rest, version)

    def _answer(self, opened: _Open, rows: list[Row], rest: str | None, version: str) -> dict[str, Any]:
        answer: dict[str, Any] = {"totalSize": len(opened.rows), "done": rest is None}
        if rest:
            answer["nextRecordsUrl"] = rest
        answer["records"] = self._evaluator.printed(rows, opened.shape, version)
        return answer
