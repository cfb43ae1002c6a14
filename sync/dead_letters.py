"""Rejected writes: which kind of mistake each is, and what a person should do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sync.plan_items import Ref

Failure = Literal["data", "permission", "parent", "lock", "limit", "schema"]

HINTS: Mapping[Failure, str] = {
    "data": "the system does not accept these values: mend the source or the mapping, or edit the write, then retry",
    "permission": "give the connection's user access to this object, record or field there, then retry",
    "parent": "a record that this one refers to is missing or deleted there: restore or link it, then retry",
    "lock": "the record stayed locked through all attempts: find out who holds it there, then retry",
    "limit": "no attempt got through or was answered: look at the system's limits and its state, then retry",
    "schema": "an object or field of the mapping is missing or of another type there: correct the mapping, then plan again",
}

MENDED_THERE: tuple[Failure, ...] = ("permission", "schema", "parent", "lock", "limit")
"""Kinds whose cause lies there and can be mended without a sign: one write of each is tried again now and then."""

_SIGNS: tuple[tuple[Failure, re.Pattern[str]], ...] = (
    ("lock", re.compile("LOCK")),
    ("permission", re.compile("INSUFFICIENT|PERMISSION|ACCESS|FORBIDDEN|SCOPE|NOT_ALLOWED|READ_?ONLY")),
    ("schema", re.compile("^INVALID_FIELD|NO_SUCH|NONEXISTENT_FIELD|PROPERTY_DOESNT_EXIST|INVALID_TYPE|UNKNOWN_FIELD")),
    ("parent", re.compile("REFERENCE|KEY_OR_REF|IS_DELETED|NONEXISTENT_ID|DSNT_EXIST|NOT_FOUND|PARENT|MALFORMED_ID")),
    ("limit", re.compile("LIMIT|QUOTA|TIMEOUT|NO_ANSWER|STORAGE|TOO_MANY|CONCURREN")),
)
"""Words in a vendor's error code that show the kind, first match wins; everything else is about the data."""


def failure_of(code: str | None) -> Failure:
    """The kind of a rejection, by the words in its code."""
    # A field that may be read but not set on this record (INVALID_FIELD_FOR_INSERT_UPDATE) is a permission.
    text = (code or "").upper().replace(" ", "_").replace("INVALID_FIELD_FOR_INSERT_UPDATE", "PERMISSION")
    return next((failure for failure, pattern in _SIGNS if pattern.search(text)), "data")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A write that is not tried again as it is. ``hint`` says what to do; ``code`` and ``message`` are the system's;
    ``shape`` is how the system described what it writes (``sync.plan_items.shape_of``)."""

    id: int
    ref: Ref
    fields: Mapping[str, Any]
    failure: Failure
    code: str | None
    message: str | None
    attempts: int
    because: str
    since: datetime
    shape: str = ""

    @property
    def hint(self) -> str:
        """What a person should do."""
        return HINTS[self.failure]
