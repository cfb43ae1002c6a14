"""Brakes: a plan that would touch an unusual share of a system waits until a person says that it may."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sync.plan_items import Item


@dataclass(frozen=True, slots=True)
class Limits:
    """What one plan may do to one object without being asked about. ``None`` switches a brake off.

    ``max_changed_share`` is a fraction of the records that exist already (0.5 = half of them) and counts from
    ``share_from`` of them on: of three records, two are no surprise. ``max_clears`` counts fields that hold something
    and would be emptied; ``max_cleared_share`` is the fraction of the records that hold one field in which it may be
    emptied, counted from ``cleared_from`` of them on.

    The others are for what we read, within a day: ``max_deleted_share`` of an object's records may be reported deleted
    before that is believed, from ``deleted_from`` deletions on; in ``max_emptied_share`` of the facts that have a field it may become
    empty, from ``emptied_from`` of them on.
    """

    max_creates: int | None = 2000
    max_updates: int | None = 2000
    max_changed_share: float | None = 0.5
    share_from: int = 50
    max_clears: int | None = 100
    max_deleted_share: float | None = 0.2
    deleted_from: int = 50
    max_cleared_share: float | None = 0.2
    cleared_from: int = 20
    max_emptied_share: float | None = 0.2
    emptied_from: int = 50


class Tally:
    """Counts a plan's items, for its brakes."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._cleared: dict[str, Counter[str]] = {}
        self._held: dict[str, Counter[frozenset[str]]] = {}

    def add(self, item: Item) -> None:
        """Count one item."""
        name = item.ref.object
        count = self._counts.setdefault(name, Counter())
        count[item.action] += 1
        if item.action == "update":
            emptied = [change.name for change in item.changes if change.after is None]
            count["clears"] += len(emptied)
            self._cleared.setdefault(name, Counter()).update(emptied)
        self._held.setdefault(name, Counter())[item.held] += 1

    def tripped(self, limits: Mapping[str, Limits], otherwise: Limits) -> tuple[str, ...]:
        """The brakes that the items run into, in words: what was found and what is allowed; empty when none."""
        return tuple(
            reason
            for name in sorted(self._counts)
            for reason in (
                *_of_object(name, self._counts[name], limits.get(name, otherwise)),
                *_of_fields(
                    name, self._cleared.get(name, Counter()), self._held_fields(name), limits.get(name, otherwise)
                ),
            )
        )

    def _held_fields(self, name: str) -> Counter[str]:
        """How many records of an object hold each field."""
        found: Counter[str] = Counter()
        for fields, number in self._held[name].items():
            for field in fields:
                found[field] += number
        return found


def too_many_deleted(name: str, deleted: int, of: int, limits: Limits, command: str) -> str | None:
    """Why so many deletions are not believed: the words of the brake; ``None`` when they are.

    A filter that was changed there, a permission that was taken away or a mistake of the system looks like this too, and
    believing it would take every claim and every commission back. ``command`` lets it through with ``--allow``.
    """
    share = limits.max_deleted_share
    if share is None or deleted < limits.deleted_from or deleted <= share * of:
        return None
    return (
        f"{name}: {deleted} of {of} records are reported deleted within a day; allowed without being asked: {share:.0%} of "
        f"them. If that is so, run `{command} --allow YOUR-NAME`"
    )


def too_many_emptied(name: str, field: str, emptied: int, of: int, limits: Limits, command: str) -> str | None:
    """Why it is not believed that so many facts lose a field: the words of the brake; ``None`` when it is.

    A mapping that became wrong looks like this, and a field that was hidden, moved or wiped there. ``command`` lets it
    through with ``--allow``.
    """
    share = limits.max_emptied_share
    if share is None or emptied < limits.emptied_from or emptied <= share * of:
        return None
    return (
        f"{name}: {field} became empty in {emptied} of the {of} records that had it, within a day; allowed without being "
        f"asked: {share:.0%} of them. Look at the field there and at its line in the mapping; if that is so, run "
        f"`{command} --allow YOUR-NAME`"
    )


def _of_fields(name: str, cleared: Counter[str], held: Counter[str], limits: Limits) -> list[str]:
    share = limits.max_cleared_share
    return [
        f"{name}.{field}: would be emptied in {number} of the {held[field]} records that hold it; "
        f"allowed without being asked: {share:.0%} of them"
        for field, number in sorted(cleared.items())
        if share is not None and number >= limits.cleared_from and number > share * held[field]
    ]


def _of_object(name: str, count: Counter[str], limits: Limits) -> list[str]:
    found = []
    for what, number, allowed in (
        ("records to create", count["create"], limits.max_creates),
        ("records to change", count["update"], limits.max_updates),
        ("fields to empty", count["clears"], limits.max_clears),
    ):
        if allowed is not None and number > allowed:
            found.append(f"{name}: {number} {what}; allowed without being asked: {allowed}")
    existing, share = count["update"] + count["unchanged"], limits.max_changed_share
    if share is not None and existing >= limits.share_from and count["update"] > share * existing:
        found.append(
            f"{name}: {count['update']} of {existing} existing records would change; "
            f"allowed without being asked: {share:.0%} of them"
        )
    return found
