"""What the portal would post to an app's address: events of changes, signed (version 3), at most 100 a request.

They come in no particular order, and some come twice, as HubSpot says that they may. They are sent when the simulator's
:meth:`~connectors.hubspot.simulator.server.HubSpotSimulator.deliver` is called, or carried by a test.
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

import requests

from connectors.base import Posted

MOST_EVENTS = 100
MOST_WAITING = 10_000
"""Older ones are forgotten: a seeded portal has more than anybody will ask for."""


@dataclass
class Webhooks:
    """Events that wait to be posted."""

    now: Callable[[], datetime]
    portal_id: int
    secret: str
    waiting: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    undelivered: list[Posted] = field(default_factory=list)
    """requests that were not answered 2xx, to be sent again"""
    _made: int = 0

    def note(self, happened: str, type_id: str, record_id: str, **more: Any) -> None:
        """Add an event about a record."""
        self._made += 1
        self.waiting.append(
            {"eventId": self._made, "portalId": self.portal_id, "subscriptionType": f"object.{happened}",
             "objectTypeId": type_id, "objectId": int(record_id), "occurredAt": int(self.now().timestamp() * 1000),
             "attemptNumber": 0, **more}
        )  # fmt: skip

    def deliver(self, uri: str, door: str | None = None) -> list[int]:
        """Post all that waits to an address, signed anew; returns the statuses (0: no answer). What fails is kept.

        ``door``: where the address leads, when a proxy that we do not have stands there.
        """
        made = [*(self._signed(uri, one.body) for one in self.undelivered), *self.posted(uri)]
        self.undelivered, statuses = [], []
        for one in made:
            try:
                answer = requests.post(
                    door or uri, data=one.body, headers=one.headers, timeout=10, allow_redirects=False
                )
                statuses.append(answer.status_code)
            except requests.RequestException:
                statuses.append(0)
            if not 200 <= statuses[-1] < 300:
                self.undelivered.append(one)
        return statuses

    def posted(self, uri: str) -> list[Posted]:
        """The requests for all that waits: the latest events first, the first of each request also at its end."""
        events: list[dict[str, Any]] = list(reversed(self.waiting))
        made: list[Posted] = []
        self.waiting.clear()
        for start in range(0, len(events), MOST_EVENTS - 1):
            few = events[start : start + MOST_EVENTS - 1]
            made.append(self._signed(uri, json.dumps([*few, {**few[0], "attemptNumber": 1}]).encode()))
        return made

    def _signed(self, uri: str, body: bytes) -> Posted:
        stamp = str(int(self.now().timestamp() * 1000))
        signed = hmac.new(self.secret.encode(), f"POST{uri}".encode() + body + stamp.encode(), hashlib.sha256)
        headers = {
            "Content-Type": "application/json", "X-HubSpot-Request-Timestamp": stamp,
            "X-HubSpot-Signature-v3": base64.b64encode(signed.digest()).decode(),
        }  # fmt: skip
        return Posted("POST", uri, headers, body)
