"""Webhooks as hints: which records to look at sooner than the next poll would. Nothing else is taken from them.

Events come at least once, in any order, late or never, so the polls stay the truth. Source: "Validating requests"
(signature v3), "Webhooks API" (events).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from connectors.base import Hint, Posted
from connectors.errors import HintRefused
from connectors.hubspot.kinds import STANDARD

OLDEST = timedelta(minutes=5)
"""A request whose time is further from ours than this is refused: somebody may be playing it again."""

_DECODED = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(", "%29": ")",
    "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip
"""Signs that HubSpot signs as they are, although the address holds them encoded."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_ENCODED = re.compile("|".join(_DECODED), re.IGNORECASE)
_ID = re.compile(r"[0-9]{1,20}")
_BY_TYPE_ID = {type_id: name for name, type_id in STANDARD.items()}
_BY_WORD = {"company": "companies", "contact": "contacts", "deal": "deals", "ticket": "tickets"}


def hints(secret: str, posted: Posted, now: datetime) -> tuple[Hint, ...]:
    """The records that a webhook request names, each once, with the time of its latest event.

    The kind of a hint is the object's name, or its type id for a custom object (``2-1234``). ``secret`` is the client
    secret of the app. Raises: ``HintRefused``.
    """
    lower = {name.lower(): value for name, value in posted.headers.items()}
    stamp, given = lower.get("x-hubspot-request-timestamp", ""), lower.get("x-hubspot-signature-v3", "")
    if not given or not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 13):
        raise HintRefused("hubspot: a webhook came without a signature of version 3 and its timestamp")
    if abs(now - datetime.fromtimestamp(int(stamp) / 1000, UTC)) > OLDEST:
        raise HintRefused(
            "hubspot: a webhook's timestamp is more than 5 minutes away; is the clock of this machine right?"
        )
    if not hmac.compare_digest(
        signature(secret, posted.method, posted.uri, posted.body, stamp).encode(), given.encode()
    ):
        raise HintRefused(
            "hubspot: a webhook's signature does not fit; check the client secret and the address that HubSpot calls"
        )
    try:
        events = orjson.loads(posted.body)
    except orjson.JSONDecodeError:
        events = None
    if not isinstance(events, list):
        raise HintRefused("hubspot: a webhook's body is no list of events")
    latest: dict[tuple[str, str], Hint] = {}
    for hint in (hint for event in events if isinstance(event, dict) for hint in _hints_of(event)):
        before = latest.setdefault((hint.kind, hint.external_id), hint)
        if (hint.occurred_at or _LONG_AGO) > (before.occurred_at or _LONG_AGO):
            latest[hint.kind, hint.external_id] = hint
    return tuple(latest.values())


def signature(secret: str, method: str, uri: str, body: bytes, timestamp: str) -> str:
    """Version 3: the base64 HMAC-SHA256 of method, address, raw body and timestamp, by the app's client secret."""
    address = _ENCODED.sub(lambda match: _DECODED[match[0].upper()], uri)
    message = f"{method.upper()}{address}".encode() + body + timestamp.encode()
    return base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest()).decode()


def _hints_of(event: Mapping[str, Any]) -> Iterator[Hint]:
    word = str(event.get("subscriptionType", "")).partition(".")[0]
    occurred = event.get("occurredAt")
    at = datetime.fromtimestamp(occurred / 1000, UTC) if isinstance(occurred, int) and 0 < occurred < 10**14 else None
    own = _kind(word, event.get("objectTypeId"))
    named = [(own, event.get(name)) for name in ("objectId", "newObjectId", "primaryObjectId")]
    merged = event.get("mergedObjectIds")
    named += [(own, key) for key in (merged if isinstance(merged, list) else ())]
    for end in ("from", "to"):  # the two ends of an association
        kind = _kind(word if end == "from" else "", event.get(f"{end}ObjectTypeId"))
        named.append((kind, event.get(f"{end}ObjectId")))
    for kind, key in named:
        if kind and isinstance(key, int | str) and _ID.fullmatch(str(key)):
            yield Hint(kind, str(key), at)


def _kind(word: str, type_id: Any) -> str:
    """The object of an event: by its type id, else by the first word of the subscription; empty when unknown."""
    if isinstance(type_id, str) and type_id:
        return _BY_TYPE_ID.get(type_id, type_id)
    return _BY_WORD.get(word, "")
