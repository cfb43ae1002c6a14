"""What a system said, as JSON text that is kept, compared by its hash, and read back as the same record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import orjson

from connectors.base import Record
from sync.tables import instant

HASH_BYTES = 16


def encoded(fields: Mapping[str, Any]) -> bytes:
    """The fields as JSON. ``Decimal``, dates and the like become text; whatever cannot be JSON keeps its ``repr``."""
    try:
        return orjson.dumps(fields, default=_plain)
    except TypeError:
        pass
    try:
        # Lone surrogates, whole numbers beyond 64 bits, keys that are not text: still kept, as escaped ASCII.
        return json.dumps(dict(fields), default=_plain, ensure_ascii=True).encode()
    except (TypeError, ValueError, RecursionError):
        return json.dumps({"unreadable": _described(fields)}).encode()


def all_encoded(records: Sequence[Record]) -> list[bytes]:
    """The fields of each record as :func:`encoded` writes them."""
    dumps = orjson.dumps
    try:
        return [dumps(record.fields, _plain) for record in records]
    except TypeError:
        return [encoded(record.fields) for record in records]


def fact_json(fact: Mapping[str, Any]) -> bytes:
    """A fact as it is stored: keys sorted, so that equal facts are equal bytes. Raises: ``TypeError`` for broken Unicode."""
    return orjson.dumps(fact, option=orjson.OPT_SORT_KEYS)


def decoded(payload: str) -> dict[str, Any]:
    """The fields that :func:`encoded` wrote."""
    try:
        return orjson.loads(payload)  # type: ignore[no-any-return]
    except orjson.JSONDecodeError:
        return json.loads(payload)  # type: ignore[no-any-return]


def content_hash(payload: bytes, deleted: bool, merged_into: str | None) -> bytes:
    """Hash of everything in a record that may matter to a fact; equal hashes mean nothing changed."""
    if deleted:
        payload += b"\0deleted " + (merged_into or "").encode(errors="backslashreplace")
    return blake2b(payload, digest_size=HASH_BYTES).digest()


def storable(external_id: str) -> str:
    """The id as both databases can hold it (no NUL, no half of a surrogate pair): what they cannot is escaped."""
    return external_id if external_id.isprintable() else external_id.encode("unicode_escape").decode("ascii")


def record_of(kind: str, row: Any) -> Record:
    """The record of a row ``(external_id, version, payload, deleted, merged_into, created_at, modified_at)``."""
    external_id, version, payload, deleted, merged_into, created_at, modified_at = row
    return Record(
        kind,
        external_id,
        version,
        decoded(payload),
        bool(deleted),
        merged_into,
        None if created_at is None else instant(created_at),
        None if modified_at is None else instant(modified_at),
    )


def _plain(value: Any) -> Any:
    if value.__class__ is Decimal:  # by far the most
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _described(fields: Mapping[str, Any]) -> str:
    try:
        return ascii(dict(fields))
    except RecursionError:
        return "nested too deeply"
