"""The API calls of one run, numbered, as they are kept with what they carried."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from connectors.base import ApiCall

MOST_TOLD = 10
"""Calls kept with one page or write: of one that was tried again and again, the last ones."""


class CallNotes:
    """Numbers the calls of a run from 1, in the order in which they are told of."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def told(self, calls: Iterable[ApiCall]) -> list[dict[str, Any]]:
        """The calls as JSON values, in the order in which they were made."""
        return [
            {
                "number": self._numbers.setdefault(call.place, len(self._numbers) + 1),
                "method": call.method,
                "path": call.path,
                "status": call.status,
                "request_id": call.request_id,
                "answered_at": call.answered_at,
            }
            for call in sorted(calls, key=lambda call: call.place)
        ][-MOST_TOLD:]
