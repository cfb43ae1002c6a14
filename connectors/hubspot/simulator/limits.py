"""Rate limits: searches a second, requests in ten seconds, requests of a day that ends at the portal's midnight.

Source: "API usage guidelines"; limits and daily counts are those of one private app, searches those of the account.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from connectors.hubspot.simulator.answers import Refusal

WINDOW_SECONDS = 10


class Limits:
    """Counts requests by the portal's clock; a limit of ``None`` is none."""

    def __init__(self, now: Callable[[], datetime], zone: str) -> None:
        self._now = now
        self.zone = ZoneInfo(zone)
        self.daily: int = 650_000
        self.burst: int | None = 190
        self.searches: int | None = 5
        self.used = 0
        """requests of this day"""
        self._day: date | None = None
        self._recent: deque[datetime] = deque()
        self._recent_searches: deque[datetime] = deque()

    def take(self, *, search: bool) -> None:
        """Count a request. Raises: :class:`Refusal` 429 naming the policy."""
        now = self._now()
        today = now.astimezone(self.zone).date()
        if today != self._day:
            self._day, self.used = today, 0
        if self.used >= self.daily:
            raise refused("DAILY")
        if search and not _fits(self._recent_searches, now, 1, self.searches):
            raise refused("SECONDLY")
        if not _fits(self._recent, now, WINDOW_SECONDS, self.burst):
            raise refused("TEN_SECONDLY_ROLLING")
        self.used += 1

    def headers(self) -> dict[str, str]:
        """What answers tell of the limits; those of searches tell nothing."""
        burst = self.burst or 190
        return {
            "X-HubSpot-RateLimit-Daily": str(self.daily),
            "X-HubSpot-RateLimit-Daily-Remaining": str(self.daily - self.used),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(1000 * WINDOW_SECONDS),
            "X-HubSpot-RateLimit-Max": str(burst),
            "X-HubSpot-RateLimit-Remaining": str(max(burst - len(self._recent), 0)),
        }

    def resets_at(self) -> datetime:
        """The portal's next midnight."""
        today = self._now().astimezone(self.zone).date()
        return datetime.combine(today + timedelta(days=1), datetime.min.time(), self.zone)


def refused(policy: str) -> Refusal:
    """429 of this policy."""
    return Refusal(
        429, "RATE_LIMITS", f"You have reached your {policy.lower()} limit.", errorType="RATE_LIMIT",
        policyName=policy, groupName="publicapi:private-apps-api-calls",
    )  # fmt: skip


def _fits(recent: deque[datetime], now: datetime, seconds: int, limit: int | None) -> bool:
    while recent and not timedelta(0) <= now - recent[0] < timedelta(seconds=seconds):
        recent.popleft()
    if limit is not None and len(recent) >= limit:
        return False
    recent.append(now)
    return True
