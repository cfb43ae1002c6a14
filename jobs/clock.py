"""The clock, read in one place so that a demo or a test can run months in seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def wall_clock() -> datetime:
    """The present instant in UTC."""
    return datetime.now(UTC)
