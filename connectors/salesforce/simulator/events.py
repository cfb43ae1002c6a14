"""Change events of the simulated org: kept for 72 hours, handed out by replay id over Bayeux messages.

Whatever is refused is told in a message of an answer with status 200, a session that ended too. Not simulated: push topics,
changed values, limits of clients and events. Source: Streaming API Developer Guide ("Handling Streaming API Errors",
"Streaming API Error Codes", "Clients and Timeouts").
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
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
_NO_CHANNEL = "400::The channel you requested to subscribe to does not exist {{{0}}}"
_NO_COOKIE = "400::Client {0} has established a session, but no BAYEUX_BROWSER cookie present"
_NO_SESSION = "401::Authentication invalid"
_COMMIT_SECONDS = 0.1


@dataclass
class _Client:
    cookie: str
    after: dict[str, int] = field(default_factory=dict)
    """channel → replay id of the last event handed out on it"""
    connected: bool = False


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
    overflow, without ids. ``gaps``: events come without what changed, with ids. ``held_seconds``: how long a poll waits for
    an event; 0: it is answered at once, with the wish for a second's rest."""

    now: Callable[[], datetime]
    lock: threading.RLock
    commit: Callable[[], None]
    """Makes the changes visible whose time has come."""
    selected: set[str] | None = None
    lost: set[str] = field(default_factory=set)
    gaps: bool = False
    held_seconds: float = 0.0
    _kept: deque[_Event] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    _clients: dict[str, _Client] = field(default_factory=dict)
    _last: int = FIRST_REPLAY_ID - _STEP
    _numbered: int = 0

    def __post_init__(self) -> None:
        self._changed = threading.Condition(self.lock)

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
        with self._changed:
            self._changed.notify_all()

    def disconnect(self) -> None:
        """Forget all clients, as the org does now and then."""
        self._clients.clear()

    def answer(
        self, messages: Sequence[Mapping[str, Any]], headers: CaseInsensitiveDict[str], channels: set[str], *, accepted: bool
    ) -> tuple[list[dict[str, Any]], dict[str, str]]:  # fmt: skip
        """Answers to Bayeux messages, and headers to set. ``channels``: those of single objects; ``accepted``: the session."""
        while self._kept and self._kept[0].at <= self.now() - RETAINED:
            self._kept.popleft()
        answers: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        for message in messages:
            own = {"channel": str(message.get("channel")), **({"id": message["id"]} if "id" in message else {})}
            if own["channel"] == "/meta/handshake":
                told, headers_of_one = self._handshake(accepted)
                more |= headers_of_one
                answers.append({**own, **told})
                continue
            name = str(message.get("clientId"))
            refused = self._refused(name, headers, accepted)
            if refused:
                answers.append({**own, **refused})
                continue
            client = self._clients[name]
            own["clientId"] = name
            if own["channel"] == "/meta/subscribe":
                answers.append({**own, **self._subscribed(client, message, {CHANNEL, *channels})})
            elif own["channel"] == "/meta/unsubscribe":
                client.after.pop(str(message.get("subscription")), None)
                answers.append({**own, "subscription": message.get("subscription"), "successful": True})
            elif own["channel"] == "/meta/disconnect":
                del self._clients[name]
                answers.append({**own, "successful": True})
            elif own["channel"] == "/meta/connect":
                told = self._connected(client, alone=len(messages) == 1)
                answers += self._events(client)
                answers.append({**own, **told})
        return answers, more

    def _handshake(self, accepted: bool) -> tuple[dict[str, Any], dict[str, str]]:
        ext: dict[str, Any] = {"replay": True, "payload.format": True}
        if not accepted:
            ext["sfdc"] = {"failureReason": _NO_SESSION}
            advice = {"reconnect": "none"}
            return {"error": "403::Handshake denied", "successful": False, "ext": ext, "advice": advice}, {}
        self._numbered += 1
        name, cookie = f"client{self._numbered:04d}", f"cookie{self._numbered:04d}"
        self._clients[name] = _Client(cookie)
        told = {
            "clientId": name, "successful": True, "version": "1.0", "minimumVersion": "1.0",
            "supportedConnectionTypes": ["long-polling"], "ext": ext,
        }  # fmt: skip
        return told, {"Set-Cookie": f"BAYEUX_BROWSER={cookie}; Path=/; Secure; HttpOnly"}

    def _refused(self, name: str, headers: CaseInsensitiveDict[str], accepted: bool) -> dict[str, Any] | None:
        client = self._clients.get(name)
        if client is None:
            advice = {"reconnect": "handshake", "interval": 0}
            return {"successful": False, "error": "403::Unknown client", "advice": advice}
        if f"BAYEUX_BROWSER={client.cookie}" not in headers.get("Cookie", ""):
            return {"successful": False, "error": _NO_COOKIE.format(name), "advice": {"reconnect": "handshake"}}
        if not accepted:
            del self._clients[name]
            advice = {"reconnect": "none", "interval": 0}
            return {"clientId": name, "successful": False, "error": _NO_SESSION, "advice": advice}
        return None

    def _subscribed(self, client: _Client, message: Mapping[str, Any], channels: set[str]) -> dict[str, Any]:
        channel = str(message.get("subscription"))
        answer: dict[str, Any] = {"subscription": channel, "successful": True}
        if channel not in channels:
            return {**answer, "successful": False, "error": _NO_CHANNEL.format(channel)}
        after = ((message.get("ext") or {}).get("replay") or {}).get(channel, -1)
        if after == -1:
            client.after[channel] = self._last
        elif after == -2 or any(event.replay_id == after for event in self._kept):
            client.after[channel] = after
        else:
            return {**answer, "successful": False, "error": _INVALID.format(after)}
        return answer

    def _connected(self, client: _Client, *, alone: bool) -> dict[str, Any]:
        """The first poll of a client, and one that carries other messages, is answered at once."""
        first, client.connected = not client.connected, True
        if self.held_seconds and alone and not first:
            until = time.monotonic() + self.held_seconds
            while not self._waits(client) and time.monotonic() < until:
                self._changed.wait(_COMMIT_SECONDS)
                self.commit()
            return {"successful": True}
        advice = {"interval": 0 if self.held_seconds else 1000, "timeout": 110_000, "reconnect": "retry"}
        return {"successful": True, "advice": advice} if first or not self.held_seconds else {"successful": True}

    def _waits(self, client: _Client) -> bool:
        return any(after < self._last for after in client.after.values())

    def _events(self, client: _Client) -> list[dict[str, Any]]:
        found = []
        for channel, after in client.after.items():
            client.after[channel] = self._last
            found += [
                {"channel": channel,
                 "data": {"schema": "s", "payload": {"ChangeEventHeader": event.header()}, "event": {"replayId": event.replay_id}}}
                for event in self._kept
                if event.replay_id > after and channel in (CHANNEL, channel_of(event.entity))
            ]  # fmt: skip
        return found


def channel_of(entity: str) -> str:
    """The channel of one object's changes."""
    return f"/data/{entity.removesuffix('c') if entity.endswith('__c') else entity}ChangeEvent"
