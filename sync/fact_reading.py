"""Reading facts back: all of them for a full settlement, or those that may concern some accounts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC

from sqlalchemy import Connection

from sync.bulk import each_row, rows
from sync.tables import instant


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed since a fact row: the accounts concerned, the types of facts that belong to no account, and the
    last row seen (the ``since`` of the next question)."""

    accounts: frozenset[str]
    unscoped: frozenset[str]
    last: int


def lines(
    connection: Connection,
    *,
    types: Collection[str] | None = None,
    accounts: Collection[str] | None = None,
    since: int = 0,
) -> Iterator[str]:
    """Fact versions as JSON lines of docs/records.md, ``known_at`` included, in the order in which we learned them.

    With ``accounts``: every version of the facts that ever named one of them, of the facts that hang on those
    (payments of their invoices), and of the facts that belong to no account (partners, rates, unclaimed referrals).
    """
    wanted = None if types is None else frozenset(types)
    found = (
        each_row(connection, _ALL, since)
        if accounts is None
        else each_row(connection, _SCOPED, sorted(set(accounts)), since)
    )
    for _id, kind, known_at, body in found:
        if wanted is None or kind in wanted:
            stamp = instant(known_at).astimezone(UTC).isoformat()
            yield f'{body[:-1]},"known_at":"{stamp}"}}'


def changed(connection: Connection, since: int) -> Changed:
    """What concerns whom among the fact versions after row ``since``; both sides of a fact that moved are named."""
    ((last,),) = rows(connection, "SELECT coalesce(max(id), 0) FROM fact")
    accounts, unscoped = set(), set()
    for kind, account in rows(connection, _CHANGED, since, since):
        if account is None:
            unscoped.add(kind)
        else:
            accounts.add(account)
    return Changed(frozenset(accounts), frozenset(unscoped), int(last))


_ALL = "SELECT id, type, known_at, body FROM fact WHERE id > ? ORDER BY id"

_SCOPED = """
WITH RECURSIVE chosen(type, fact_id) AS (
    SELECT type, fact_id FROM fact WHERE account AMONG ?
    UNION SELECT type, fact_id FROM fact WHERE account IS NULL AND parent_type IS NULL
    UNION SELECT f.type, f.fact_id FROM chosen c JOIN fact f ON f.parent_type = c.type AND f.parent_id = c.fact_id
),
version(id, previous) AS (
    SELECT f.id, f.previous FROM chosen c JOIN fact_head h ON h.type = c.type AND h.fact_id = c.fact_id
    JOIN fact f ON f.id = h.row_id
    UNION ALL SELECT f.id, f.previous FROM version v JOIN fact f ON f.id = v.previous
)
SELECT f.id, f.type, f.known_at, f.body FROM version v JOIN fact f ON f.id = v.id WHERE f.id > ? ORDER BY f.id
"""

_CHANGED = """
SELECT DISTINCT f.type, coalesce(f.account, p.account)
FROM (SELECT id FROM fact WHERE id > ? UNION SELECT previous FROM fact WHERE id > ? AND previous IS NOT NULL) t
JOIN fact f ON f.id = t.id
LEFT JOIN fact_head h ON h.type = f.parent_type AND h.fact_id = f.parent_id
LEFT JOIN fact p ON p.id = h.row_id
"""


def named(connection: Connection, ids: Collection[str]) -> Iterator[str]:
    """Every version of the facts with these ids (of any type), and of the facts that hang on them, as JSON lines."""
    for _id, _kind, known_at, body in rows(connection, _NAMED, sorted(set(ids)), sorted(set(ids))):
        stamp = instant(known_at).astimezone(UTC).isoformat()
        yield f'{body[:-1]},"known_at":"{stamp}"}}'


_NAMED = """
WITH RECURSIVE chosen(type, fact_id) AS (
    SELECT type, fact_id FROM fact_head WHERE fact_id AMONG ?
    UNION SELECT type, fact_id FROM fact WHERE parent_id AMONG ?
),
version(id, previous) AS (
    SELECT f.id, f.previous FROM chosen c JOIN fact_head h ON h.type = c.type AND h.fact_id = c.fact_id
    JOIN fact f ON f.id = h.row_id
    UNION ALL SELECT f.id, f.previous FROM version v JOIN fact f ON f.id = v.previous
)
SELECT f.id, f.type, f.known_at, f.body FROM version v JOIN fact f ON f.id = v.id ORDER BY f.id
"""
