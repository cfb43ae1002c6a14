"""Change events as hints: which records to look at sooner than the next poll would. Nothing else is taken from them.

A Bayeux long poll on one channel of Change Data Capture. Events are kept for 72 hours, so listening goes on from the last
replay id; where that is too old, or an event carries no ids (overflow), the hint names the whole and the polls read it.
Refusals come in messages of answers with status 200, that of a session too.
Source: Streaming API Developer Guide ("Message Durability", "Bayeux Protocol, CometD, and Long Polling", "Handling Streaming
API Errors", "Streaming API Error Codes"), Change Data Capture Developer Guide ("Change Event Header Fields", "Gap Events",
"Overflow Events").
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from connectors.answers import Answer, Decision, Done, Reauthenticate
from connectors.base import Cursor, Heard, Hint
from connectors.errors import ConnectorError, NeedsOperator, RetryLater
from connectors.http import Http
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.errors import decide
from connectors.salesforce.ids import full_id

FROM_NOW = "-1"
LISTEN_SECONDS = 130.0
"""How long an answer may take: the org holds a poll for up to 110 seconds."""
LONGEST_INTERVAL_SECONDS = 60.0
LOST_SECONDS, BUSY_SECONDS = 5.0, 300.0
"""Before listening again when the place was lost, and when there is no room: "a small delay of a few minutes"."""
_NO_RECORD = "000000000000000AAA"
_COOKIE = re.compile(r"(?:^|,)\s*([A-Za-z0-9_$.\-]+)=([^;,\s]*)")
_REPLAY = re.compile(r"[0-9]{1,19}|-1")
_CODE = re.compile(r"(\d{3}):")


def decide_told(answer: Answer) -> Decision:
    """What to do about an answer of a change event channel. A lost session shows in the handshake, with status 200."""
    decision = decide(answer)
    if isinstance(decision, Done):
        try:
            told = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            return decision
        own = _own(_messages(told), "/meta/handshake")
        if own.get("successful") is False and _reason(own).startswith("401"):
            return Reauthenticate("session not accepted")
    return decision


class ChangeEvents:
    """Implements :class:`connectors.base.Listener`. ``http`` waits for answers for :data:`LISTEN_SECONDS`."""

    def __init__(self, config: SalesforceConfig, http: Http, sleep: Callable[[float], None] = time.sleep) -> None:
        self._path = f"/cometd/{config.api_version:.1f}"
        self._channel = config.change_channel
        self._http = http
        self._sleep = sleep
        self._cookies: dict[str, str] = {}

    def listen(self, since: Cursor | None) -> Iterator[Heard]:
        """See :class:`connectors.base.Listener`; the cursor is the replay id of the last event."""
        replay = since if since is not None and _REPLAY.fullmatch(since) else FROM_NOW
        self._cookies = {}
        client = self._handshake()
        if not self._subscribe(client, replay):
            replay = FROM_NOW
            self._subscribe(client, replay)
            yield Heard((Hint(),), replay)  # what happened since is kept there no more
        while True:
            answers = self._post("/meta/connect", clientId=client, connectionType="long-polling")
            hints: dict[Hint, None] = {}
            for answer in answers:
                if answer.get("channel") == self._channel:
                    data = answer.get("data")
                    hints.update(dict.fromkeys(_hints_of(data)))
                    replay = _replay_of(data) or replay
            yield Heard(tuple(hints), replay)
            own = _own(answers, "/meta/connect")
            if own.get("successful") is not True:
                raise self._refused("connect", own)
            self._rest(own)

    def _handshake(self) -> str:
        answers = self._post(
            "/meta/handshake", version="1.0", minimumVersion="1.0", supportedConnectionTypes=["long-polling"],
            ext={"replay": True},
        )  # fmt: skip
        own = _own(answers, "/meta/handshake")
        if own.get("successful") is not True or not own.get("clientId"):
            raise self._refused("handshake", own)
        return str(own["clientId"])

    def _subscribe(self, client: str, replay: str) -> bool:
        """Subscribe to events after this one; ``False``: they are not kept any more."""
        ext = {"replay": {self._channel: int(replay)}}
        own = _own(
            self._post("/meta/subscribe", clientId=client, subscription=self._channel, ext=ext), "/meta/subscribe"
        )
        if own.get("successful") is True:
            return True
        if replay != FROM_NOW and "replayid" in str(own.get("error", "")).lower():
            return False
        raise self._refused("subscribe", own)

    def _rest(self, own: Mapping[str, Any]) -> None:
        """Wait as long as the org asks for before the next poll."""
        advice = own.get("advice")
        interval = advice.get("interval") if isinstance(advice, dict) else None
        if isinstance(interval, int | float) and interval > 0:
            self._sleep(min(interval / 1000, LONGEST_INTERVAL_SECONDS))

    def _post(self, channel: str, **message: Any) -> list[Mapping[str, Any]]:
        """One message and its answers. A lost answer is not asked for again: its events are replayed."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        answer = self._http.call(
            "POST", self._path, json=[{"channel": channel, **message}],
            headers=headers if self._cookies else None, idempotent=False,
        )  # fmt: skip
        self._cookies.update(_COOKIE.findall(answer.headers.get("Set-Cookie", "")))
        body = answer.json()
        if not isinstance(body, list):
            raise RetryLater("salesforce: a change event channel answered without messages", retry_after_seconds=60)
        return _messages(body)

    def _refused(self, what: str, own: Mapping[str, Any]) -> ConnectorError:
        reason = _reason(own)
        found = _CODE.match(reason)
        code = found[1] if found else None
        where = f"salesforce: {what} to {self._channel} was refused{f' ({code})' if code else ''}"
        if code == "503" or "limit" in reason.lower():
            why = "the org has no room for it now (too busy, or a limit of clients or events)"
            return RetryLater(f"{where}: {why}; it is begun anew", retry_after_seconds=BUSY_SECONDS, code=code)
        if what == "subscribe":
            return NeedsOperator(
                f"{where}; select the objects under Setup > Change Data Capture, give the integration user View All on "
                "them, or set change_events: false",
                code=code,
            )
        return RetryLater(f"{where}; it is begun anew", retry_after_seconds=LOST_SECONDS, code=code)


def _messages(body: Any) -> list[Mapping[str, Any]]:
    return [one for one in body if isinstance(one, dict)] if isinstance(body, list) else []


def _reason(own: Mapping[str, Any]) -> str:
    """Why a message was refused: ``error``, or what stands behind it (a handshake's own is always the same)."""
    ext = own.get("ext")
    sfdc = ext.get("sfdc") if isinstance(ext, dict) else None
    behind = sfdc.get("failureReason") if isinstance(sfdc, dict) else None
    return str(behind or own.get("error", ""))


def _own(answers: list[Mapping[str, Any]], channel: str) -> Mapping[str, Any]:
    return next((one for one in answers if one.get("channel") == channel), {})


def _replay_of(data: Any) -> str | None:
    event = data.get("event") if isinstance(data, dict) else None
    replay = event.get("replayId") if isinstance(event, dict) else None
    return str(replay) if type(replay) is int and replay >= 0 else None


def _hints_of(data: Any) -> Iterator[Hint]:
    """The records of an event; one without ids (overflow, a wildcard) is about the object as a whole."""
    payload = data.get("payload") if isinstance(data, dict) else None
    header = payload.get("ChangeEventHeader") if isinstance(payload, dict) else None
    if not isinstance(header, dict) or not isinstance(header.get("entityName"), str):
        return
    stamp = header.get("commitTimestamp")
    at = datetime.fromtimestamp(stamp / 1000, UTC) if isinstance(stamp, int) and 0 < stamp < 10**14 else None
    given = header.get("recordIds")
    ids = [full_id(one) if isinstance(one, str) else None for one in given] if isinstance(given, list) else []
    whole = header.get("changeType") == "GAP_OVERFLOW" or not ids or None in ids or _NO_RECORD in ids
    for key in [""] if whole else ids:
        yield Hint(header["entityName"], key or "", at)
