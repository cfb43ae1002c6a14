"""Query text that cannot be broken out of: names are checked, values are quoted, by the functions here only.

Source: SOQL and SOSL Reference ("Quoted String Escape Sequences", "Date Formats and Date Literals").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from urllib.parse import quote_plus

from connectors.errors import NeedsOperator

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*){0,5}")
_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"})
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
Literal = str | bool | int | Decimal | date | datetime | None


@lru_cache(maxsize=4096)
def name(text: str) -> str:
    """An object's or field's API name, relationships included. Raises: ``NeedsOperator`` for anything else."""
    if not _NAME.fullmatch(text):
        raise NeedsOperator(
            f"salesforce: {text[:80]!r} is not an API name; allowed are names such as Amount__c or Account.Name; "
            "correct the mapping"
        )
    return text


def literal(value: Literal) -> str:
    """A value as SOQL writes it; text is quoted and escaped, instants are in UTC."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value.translate(_ESCAPES)}'"
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    return f"{Decimal(value):f}"


def instant(moment: datetime) -> str:
    """An instant as SOQL writes it; milliseconds only where there are any."""
    at = moment.astimezone(UTC).replace(tzinfo=None)
    return at.isoformat(timespec="milliseconds" if at.microsecond >= 1000 else "seconds") + "Z"


def in_parentheses(condition: str) -> str:
    """A mapping's own filter, closed off from ours. Raises: ``NeedsOperator`` when its parentheses do not balance."""
    depth = 0
    bare = _QUOTED.sub("", condition)
    for character in bare:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
    if depth != 0 or "'" in bare:
        raise NeedsOperator(
            "salesforce: quotes or parentheses of a mapping's `where` do not balance; correct the mapping"
        )
    return f"({condition})"


def select(fields: Iterable[str], kind: str, where: Sequence[str] = (), order: Sequence[str] = ()) -> str:
    """A query; ``where`` holds finished conditions, all of which must hold."""
    text = f"SELECT {','.join(name(field) for field in fields)} FROM {name(kind)}"
    if where:
        text += " WHERE " + " AND ".join(where)
    if order:
        text += " ORDER BY " + ",".join(name(field) for field in order)
    return text


def encoded_length(text: str) -> int:
    """Characters that the text takes in an address."""
    return len(quote_plus(text))


def is_text(value: str) -> bool:
    """Whether the text can be sent at all (a lone surrogate cannot)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
