"""Named transforms of mappings: from one raw value to one clean value.

Each is a plain function ``raw -> value``, compiled once for a field. An absent value (nothing, or empty text) never
reaches a transform. What a transform cannot take it refuses, saying what was found and what is allowed.
"""

from __future__ import annotations

import hashlib
import json as json_text
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rules.money import EXACT, EXPONENTS
from sync.moments import Parser, Zone, date_reader, instant_reader
from sync.refusal import Refused

Convert = Callable[[Any], Any]
"""From a raw value to a clean one; ``None`` means absent. Raises: ``Refused``."""

MOST_DIGITS = 30
LONGEST_URL = 2048
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
_EXACT = re.compile(r"(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,12})?")
"""A number that is written as we write it."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_EMAIL = re.compile(r"[^@\s<>\",;:()\[\]\\]{1,64}@[^@\s.<>\",;:()\[\]\\]+(?:\.[^@\s.<>\",;:()\[\]\\]+)+")
_HOST = re.compile(r"(?:[\w](?:[\w-]{0,61}[\w])?\.)+[^\W\d_][\w-]{0,61}[\w]")
_URL = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>[^\s/?#:@]+)(?::[0-9]{1,5})?(?:[/?#][^\s]*)?", re.IGNORECASE
)
_CLEAN_URL = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])(?:[/?#][!-~]*)?"
)
"""A web address that is written as we write it."""
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
TRUE_WORDS = frozenset({"true", "t", "yes", "y", "1"})
FALSE_WORDS = frozenset({"false", "f", "no", "n", "0"})


def text(raw: Any) -> str | None:
    """Any single value as text, without spaces around it."""
    if type(raw) is str:
        return raw.strip() or None
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, str):
        return str(raw).strip() or None
    if isinstance(raw, int) and raw.bit_length() <= 128:
        return str(raw)
    if isinstance(raw, Decimal):
        return decimal(raw)
    if isinstance(raw, float):
        raise Refused(raw, "text, or a whole number")
    if hasattr(raw, "isoformat"):
        return str(raw.isoformat())
    raise Refused(raw, "a single value")


def lower(raw: Any) -> str | None:
    """Lower case (full Unicode case folding is not applied)."""
    found = text(raw)
    return found and found.lower()


def upper(raw: Any) -> str | None:
    """Upper case."""
    found = text(raw)
    return found and found.upper()


def url(raw: Any) -> str | None:
    """A web address with scheme and lower-case host: ``Example.com/a`` becomes ``https://example.com/a``."""
    if type(raw) is str and len(raw) <= LONGEST_URL and _CLEAN_URL.fullmatch(raw):
        return raw
    found = text(raw)
    if found is None:
        return None
    match = _URL.fullmatch(found) if len(found) <= LONGEST_URL else None
    if (
        match is None
        or not _HOST.fullmatch(match["host"])
        or (match["scheme"] or "https").lower() not in ("http", "https")
    ):
        raise Refused(raw, "a web address such as https://example.com")
    scheme = (match["scheme"] or "https").lower()
    return f"{scheme}://{found[match.start('host') :].replace(match['host'], match['host'].lower(), 1)}"


def domain(raw: Any) -> str | None:
    """The host of a web or e-mail address, lower case, without ``www.``"""
    found = text(raw)
    if found is None:
        return None
    written = found.rpartition("@")[2] if _EMAIL.fullmatch(found) else found
    match = _URL.fullmatch(written) if len(written) <= LONGEST_URL else None
    if match is None or not _HOST.fullmatch(match["host"]):
        raise Refused(raw, "a web or e-mail address with a domain")
    return match["host"].lower().removeprefix("www.")


def email(raw: Any) -> str | None:
    """An e-mail address with its domain in lower case."""
    found = text(raw)
    if found is None:
        return None
    if len(found) > 254 or not _EMAIL.fullmatch(found):
        raise Refused(raw, "one e-mail address such as name@example.com")
    if found.islower():
        return found
    local, _, host = found.rpartition("@")
    return f"{local}@{host.lower()}"


def decimal(raw: Any) -> str | None:
    """An exact number as plain text: ``1.5E3`` becomes ``1500``. A binary float is refused: it is no exact number."""
    if type(raw) is str:
        found = raw.strip()
        if not found:
            return None
        if _EXACT.fullmatch(found):
            return found
        if not _NUMBER.fullmatch(found):
            raise Refused(raw, 'a number such as "1500.00" (no thousands separators, no currency)')
        number = Decimal(found)
    elif isinstance(raw, bool) or not isinstance(raw, (int, Decimal)):
        hint = (
            "an exact number: text or Decimal (a binary float has lost its cents)"
            if isinstance(raw, float)
            else "a number"
        )
        raise Refused(raw, hint)
    elif isinstance(raw, int) and raw.bit_length() > 100:
        raise Refused(raw, f"a number of at most {MOST_DIGITS} digits")
    else:
        number = Decimal(raw)
    if not number.is_finite() or number.adjusted() >= MOST_DIGITS or len(number.as_tuple().digits) > MOST_DIGITS:
        raise Refused(raw, f"a number of at most {MOST_DIGITS} digits")
    if int(number.as_tuple().exponent) < -MOST_DIGITS:
        raise Refused(raw, f"at most {MOST_DIGITS} digits after the point")
    shown = format(number, "f")
    return shown.lstrip("-") if not number else shown


def amount(raw: Any) -> str | None:
    """An amount of money: a decimal with trailing zeros after the second digit dropped (``12.5000`` becomes ``12.50``)."""
    found = decimal(raw)
    if found is None:
        return None
    whole, point, part = found.partition(".")
    if len(part) > 2:
        part = part[:2] + part[2:].rstrip("0")
    return whole + point + part


def negate(raw: Any) -> str | None:
    """The number with the other sign: ledgers keep revenue as credits, below zero."""
    found = decimal(raw)
    return found and decimal(Decimal(found).copy_negate())


def absolute(raw: Any) -> str | None:
    """The number without its sign."""
    found = decimal(raw)
    return found and found.lstrip("-")


def as_percent(raw: Any) -> str | None:
    """A share as a percentage, for systems that store 12 for 12 %: ``0.12`` becomes ``12``."""
    found = decimal(raw)
    return found and _trimmed(Decimal(found).scaleb(2, EXACT))


def _trimmed(number: Decimal) -> str:
    shown = format(number, "f")
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def percent(raw: Any) -> str | None:
    """A percentage as a share: ``12`` or ``"12.5 %"`` becomes ``0.12``, ``0.125``."""
    found = decimal(raw.strip().removesuffix("%") if isinstance(raw, str) else raw)
    if found is None:
        return None
    return _trimmed(Decimal(found).scaleb(-2, EXACT))


def integer(raw: Any) -> int | None:
    """A whole number; ``"12"`` and ``12.0`` are 12, ``12.5`` is refused."""
    if type(raw) is int:
        return _bounded(raw, raw)
    if isinstance(raw, str):
        found = raw.strip()
        if _WHOLE.fullmatch(found):
            return int(found)
        if not found:
            return None
        if not _NUMBER.fullmatch(found):
            raise Refused(raw, "a whole number")
        raw = Decimal(found)
    if isinstance(raw, float) and raw.is_integer():
        return _bounded(int(raw), raw)
    if isinstance(raw, Decimal) and raw.is_finite() and raw.adjusted() < 18 and raw == (whole := int(raw)):
        return whole
    raise Refused(raw, "a whole number")


def _bounded(number: int, raw: Any) -> int:
    if abs(number) >= 10**18:
        raise Refused(raw, "a whole number of at most 18 digits")
    return number


def boolean(raw: Any) -> bool | None:
    """True or false: JSON booleans, T/F, true/false, yes/no, y/n, 1/0."""
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower() if isinstance(raw, str) or type(raw) is int and raw in (0, 1) else ""
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    if isinstance(raw, str) and not word:
        return None
    raise Refused(raw, "true/false, T/F, yes/no or 1/0")


def currency(raw: Any) -> str | None:
    """An ISO 4217 code in upper case."""
    found = upper(raw)
    if found is not None and found not in EXPONENTS:
        raise Refused(raw, "an ISO 4217 currency code such as AUD")
    return found


def json(raw: Any) -> Any:
    """Text holding JSON, parsed; numbers with a point stay exact text. A value that is not text passes as it is."""
    if not isinstance(raw, str):
        return plain(raw)
    try:
        return plain(json_text.loads(raw, parse_float=str, parse_constant=_no_constant))
    except (ValueError, RecursionError):
        raise Refused(raw, "text that is JSON") from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def plain(raw: Any, depth: int = 0) -> Any:
    """Any value as JSON that facts may hold: text, whole numbers, booleans, lists, objects; nothing inexact."""
    if isinstance(raw, str):
        return str(raw)
    if raw is None or isinstance(raw, bool):
        return raw
    if type(raw) is int:
        return _bounded(raw, raw)
    if isinstance(raw, Decimal):
        return decimal(raw)
    if isinstance(raw, float):
        raise Refused(raw, "an exact value; use the transform integer, or read the number as text")
    if depth > 20:
        raise Refused(raw, "values nested at most 20 deep")
    if isinstance(raw, Mapping):
        return {str(key): plain(value, depth + 1) for key, value in raw.items()}
    if isinstance(raw, (list, tuple)):
        return [plain(value, depth + 1) for value in raw]
    if hasattr(raw, "isoformat"):
        return raw.isoformat()
    raise Refused(raw, "text, numbers, booleans, lists or objects")


def key80(raw: Any) -> str | None:
    """A key of at most 80 characters that stays the same: as it is, or its start and a BLAKE2b digest of the whole."""
    found = text(raw)
    if found is None or len(found) <= 80:
        return found
    return found[:47] + "~" + hashlib.blake2b(found.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def id18(raw: Any) -> str | None:
    """A record id in its 18 characters: those of 15 are completed, and letters whose case got lost have it again.

    For stores that know no capitals, and for lists and fields that were filled from a CRM's reports: ids of 15 characters
    differ by them. The last three characters say which letters are capitals (Salesforce, "Record IDs").
    """
    found = text(raw)
    if found is None:
        return None
    if not found.isascii() or not found.isalnum() or len(found) not in (15, 18):
        raise Refused(raw, "a record id of 15 or 18 letters and digits")
    if len(found) == 15:
        return found + _check_characters(found)
    short, check = found[:15], found[15:].upper()
    if found in (found.lower(), found.upper()) and set(check) <= set(_CHECK):
        capitals = [_CHECK.index(check[place // 5]) >> place % 5 & 1 for place in range(15)]
        short = "".join(
            letter.upper() if is_capital else letter.lower() for letter, is_capital in zip(short, capitals, strict=True)
        )
    if _check_characters(short) != check:
        raise Refused(raw, "a record id whose last three characters fit the others")
    return short + check


def _check_characters(short: str) -> str:
    return "".join(
        _CHECK[sum(1 << place for place in range(5) if "A" <= short[start + place] <= "Z")] for start in (0, 5, 10)
    )


def split(separator: str) -> Convert:
    """Text into a list at the separator, without empty parts; a list passes, each part as text."""

    def convert(raw: Any) -> list[str] | None:
        parts = [text(part) for part in raw if part is not None] if isinstance(raw, (list, tuple)) else None
        if parts is None:
            parts = [part.strip() for part in (text(raw) or "").split(separator)]
        return [part for part in parts if part] or None

    return convert


def join(separator: str) -> Convert:
    """A list into one text."""

    def convert(raw: Any) -> str | None:
        if not isinstance(raw, (list, tuple)):
            return text(raw)
        return separator.join(part for part in (text(each) for each in raw if each is not None) if part) or None

    return convert


def truncate(length: int) -> Convert:
    """Text of at most ``length`` characters, the last of them … when something was cut."""

    def convert(raw: Any) -> str | None:
        found = text(raw)
        return found if found is None or len(found) <= length else found[: length - 1] + "…"

    return convert


def replace(pairs: Mapping[str, str]) -> Convert:
    """Every occurrence of each key by its value, in the order written."""

    def convert(raw: Any) -> str | None:
        found = text(raw) or ""
        for old, new in pairs.items():
            found = found.replace(old, new)
        return found.strip() or None

    return convert


@dataclass(frozen=True, slots=True)
class Transform:
    """A named transform: what it makes of a value (``gives``) and how to build it.

    ``gives`` is the kind of record field that takes the result without more ado.
    """

    name: str
    gives: str
    build: Callable[[Any, Zone, Parser], Convert]
    argument: type | None = None


def _simple(convert: Convert) -> Callable[[Any, Zone, Parser], Convert]:
    return lambda _argument, _zone, _parse: convert


TRANSFORMS: dict[str, Transform] = {
    found.name: found
    for found in (
        Transform("strip", "text", _simple(text)),
        Transform("text", "text", _simple(text)),
        Transform("lower", "text", _simple(lower)),
        Transform("upper", "text", _simple(upper)),
        Transform("url", "text", _simple(url)),
        Transform("domain", "text", _simple(domain)),
        Transform("email", "text", _simple(email)),
        Transform("date", "date", lambda _a, zone, parse: date_reader(zone, parse)),
        Transform("instant", "instant", lambda _a, zone, parse: instant_reader(zone, parse)),
        Transform("decimal", "decimal", _simple(decimal)),
        Transform("money", "money", _simple(amount)),
        Transform("negate", "decimal", _simple(negate)),
        Transform("absolute", "decimal", _simple(absolute)),
        Transform("as_percent", "decimal", _simple(as_percent)),
        Transform("percent", "decimal", _simple(percent)),
        Transform("integer", "integer", _simple(integer)),
        Transform("boolean", "boolean", _simple(boolean)),
        Transform("currency", "currency", _simple(currency)),
        Transform("list", "list", lambda argument, _z, _p: split(argument or ";")),
        Transform("split", "list", lambda argument, _z, _p: split(argument), str),
        Transform("join", "text", lambda argument, _z, _p: join(argument), str),
        Transform("truncate", "text", lambda argument, _z, _p: truncate(argument), int),
        Transform("replace", "text", lambda argument, _z, _p: replace(argument), dict),
        Transform("json", "any", _simple(json)),
        Transform("key80", "text", _simple(key80)),
        Transform("id18", "text", _simple(id18)),
    )
}


def picklist(values: Mapping[str, Any], otherwise: str) -> Convert:
    """From a system's value to ours. ``otherwise``: ``reject``, ``keep`` the value, or ``null`` (absent)."""
    allowed = ", ".join(repr(value) for value in list(values)[:12]) + (", …" if len(values) > 12 else "")

    def convert(raw: Any) -> Any:
        word = text(raw)
        if word is None:
            return None
        if word in values:
            return values[word]
        if otherwise == "reject":
            raise Refused(raw, allowed, "picklist")
        return word if otherwise == "keep" else None

    return convert
