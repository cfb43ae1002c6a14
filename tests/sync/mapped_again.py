"""Records mapped once more as `referee sync` and `referee match` do it, for tests that have no installation."""

from __future__ import annotations

from collections.abc import Mapping as Fields
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from jobs.mapping_again import map_records_again
from sync.brakes import Limits
from sync.mapping import Mapping
from sync.store import Store


def mapped_again(
    store: Store,
    mappings: Fields[str, Mapping],
    records: Fields[int, set[str]],
    at: datetime,
    *,
    limits: Fields[str, Limits] | None = None,
    allow: str | None = None,
) -> list[str]:
    """Map records (ids by stream) again; returns what a brake held. ``limits``: by object, of every connection."""
    connections: Any = [
        SimpleNamespace(name=name, mapping=mapping, brakes=limits or {}) for name, mapping in mappings.items()
    ]
    return map_records_again(store, connections, records, lambda: at, allow=allow)
