"""Change events of the simulated org: kept for 72 hours, handed out by replay id over Bayeux messages.

Not simulated: held polls (an answer comes at once and asks for a second's rest), push topics, changed values.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from requests.structures import CaseInsensitiveDict

MOST_KEPT = 10_000
"""Older ones are forgotten: a seeded org has more than anybody will ask for."""
RETAINED = timedelta(hours=72)
CHANNEL = "/data/ChangeEvents"
FIRST_REPLAY_ID = 100_001
_STEP = 3
_INVALID = (
    "400::The replayId {{{0}}} you provided was invalid.  Please provide a valid ID, -2 to replay all events, "
    "or -1 to replay only new events."
)


@dataclass
class _Client:
    cookie: str
    after: int | None = None


class _Event(NamedTuple):
    replay_id: int
    at: datetime
    entity: str
    record_id: str
    change: str

    def header(self) -> dict[str, Any]:
        return {
            "entityName": self.entity, "recordIds": [self.record_id], "changeType": self.change, "changeOrigin": "",
            "sequenceNumber": 1, "transactionKey": f"{self.replay_id:08x}", "commitNumber": self.replay_id,
            "commitTimestamp": int(self.at.timestamp() * 1000), "commitUser": "005000000000001AAA", "changedFields": [],
        }  # fmt: skip


@dataclass
class Events:
    """``selected``: the objects chosen under Setup (``None``: all). ``lost``: changes of these objects are told as
    overflow, without ids. ``gaps``: events come without what changed, with ids."""

    now: Callable[[], datetime]
    selected: set[str] | None = None
    lost: set[str] = field(default_factory=set)
    gaps: bool = False
    _kept: deque[_Event] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    _clients: dict[str, _Client] = field(default_factory=dict)
    _last: int = FIRST_REPLAY_ID - _STEP

    def happened(self, entity: str, record_id: str, change: str) -> None:
        """Note a committed change."""
        if self.selected is not None and entity not in self.selected:
            return
        if entity in self.lost:
            record_id, change = "000000000000000AAA", "GAP_OVERFLOW"
        elif self.gaps:
            change = f"GAP_{change}"
        self._last += _STEP
        self._kept.append(_Event(self._last, self.now(), entity, record_id, change))

    def disconnect(self) -> None:
        """Forget all clients, as the org does now and then."""
        self._clients.clear()

    def answer(
        self, messages: list[Mapping[str, Any]], headers: CaseInsensitiveDict[str]
    ) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Answers to Bayeux messages, and headers to set."""
        while self._kept and self._kept[0].at <= self.now() - RETAINED:
            self._kept.popleft()
        answers: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        for message in messages:
            channel = str(message.get("channel"))
            if channel == "/meta/handshake":
                number = len(self._clients) + 1
                name, cookie = f"client{number:04d}", f"cookie{number:04d}"
                self._clients[name] = _Client(cookie)
                more["Set-Cookie"] = f"BAYEUX_BROWSER={cookie}; Path=/; Secure; HttpOnly"
                answers.append(
                    {"channel": channel, "clientId": name, "successful": True, "version": "1.0",
                     "supportedConnectionTypes": ["long-polling"], "ext": {"replay": True, "payload.format": True}}
                )  # fmt: skip
                continue
            client = self._clients.get(str(message.get("clientId")))
            if client is None or f"BAYEUX_BROWSER={client.cookie}" not in headers.get("Cookie", ""):
                advice = {"reconnect": "handshake", "interval": 0}
                answers.append(
                    {"channel": channel, "successful": False, "error": "403::Unknown client", "advice": advice}
                )
            elif channel == "/meta/subscribe":
                answers.append(self._subscribed(client, message))
            elif channel == "/meta/connect":
                answers += self._events(client)
                answers.append(
                    {"channel": channel, "clientId": message["clientId"], "successful": True,
                     "advice": {"interval": 1000, "timeout": 110_000, "reconnect": "retry"}}
                )  # fmt: skip
        return answers, more

    def _subscribed(self, client: _Client, message: Mapping[str, Any]) -> dict[str, Any]:
        answer = {"channel": "/meta/subscribe", "subscription": message.get("subscription"), "successful": True}
        if message.get("subscription") != CHANNEL:
            return {
                **answer,
                "successful": False,
                "error": "404::The channel you requested to subscribe to does not exist",
            }
        after = ((message.get("ext") or {}).get("replay") or {}).get(CHANNEL, -1)
        if after == -1:
            client.after = self._last
        elif after == -2 or any(event.replay_id == after for event in self._kept):
            client.after = after
        else:
            return {**answer, "successful": False, "error": _INVALID.format(after)}
        return answer

    def _events(self, client: _Client) -> list[dict[str, Any]]:
        if client.after is None:
            return []
        after, client.after = client.after, self._last
        return [
            {"channel": CHANNEL,
             "data": {"schema": "s", "payload": {"ChangeEventHeader": event.header()}, "event": {"replayId": event.replay_id}}}
            for event in self._kept if event.replay_id > after
        ]  # fmt: skip
