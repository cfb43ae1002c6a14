"""What the portal would post to an app's address: events of changes, signed (version 3), at most 100 a request.

They come in no particular order, and some come twice, as HubSpot says that they may. Nothing is sent: a test carries
the requests to whoever is to judge them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

MOST_EVENTS = 100
MOST_WAITING = 10_000
"""Older ones are forgotten: a seeded portal has more than anybody will ask for."""


@dataclass(frozen=True)
class Posted:
    """One request of the portal to an app."""

    method: str
    uri: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Webhooks:
    """Events that wait to be posted."""

    now: Callable[[], datetime]
    portal_id: int
    secret: str
    waiting: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    _made: int = 0

    def note(self, happened: str, type_id: str, record_id: str, **more: Any) -> None:
        """Add an event about a record."""
        self._made += 1
        self.waiting.append(
            {"eventId": self._made, "portalId": self.portal_id, "subscriptionType": f"object.{happened}",
             "objectTypeId": type_id, "objectId": int(record_id), "occurredAt": int(self.now().timestamp() * 1000),
             "attemptNumber": 0, **more}
        )  # fmt: skip

    def posted(self, uri: str) -> list[Posted]:
        """The requests for all that waits: the latest events first, the first of each request also at its end."""
        events, requests = list(reversed(self.waiting)), []
        self.waiting.clear()
        for start in range(0, len(events), MOST_EVENTS - 1):
            few = events[start : start + MOST_EVENTS - 1]
            body = json.dumps([*few, {**few[0], "attemptNumber": 1}]).encode()
            stamp = str(int(self.now().timestamp() * 1000))
            signed = hmac.new(self.secret.encode(), f"POST{uri}".encode() + body + stamp.encode(), hashlib.sha256)
            headers = {
                "Content-Type": "application/json", "X-HubSpot-Request-Timestamp": stamp,
                "X-HubSpot-Signature-v3": base64.b64encode(signed.digest()).decode(),
            }  # fmt: skip
            requests.append(Posted("POST", uri, headers, body))
        return requests
