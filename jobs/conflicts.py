"""Job: conflicts, fields that our side and a system hold differently: listing them and saying whose value stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.installation import Installation
from jobs.problems import UserError
from jobs.show import console, table
from sync import conflicts
from sync.conflicts import Conflict
from sync.decisions import Side


def conflicts_of(here: Installation, names: Sequence[str] | None, *, everything: bool = False) -> list[dict[str, Any]]:
    """Open conflicts of connections (``everything``: also settled and past ones), oldest first."""
    with here.store.reading() as db:
        found = [
            one
            for name in names or here.settings.connections
            for one in conflicts.listed(db, name, None if everything else "open")
        ]
    return [one.to_plain() for one in sorted(found, key=lambda one: one.id)]


def conflict_of(here: Installation, key: str) -> list[dict[str, Any]]:
    """One conflict by its number or name, and what became of the same field before, newest first.

    Raises: ``UserError`` when there is none.
    """
    one = _named(here, key, open_only=False)
    with here.store.reading() as db:
        history = [other for other in conflicts.listed(db, one.connection, None) if other.name == one.name]
    return [one.to_plain(), *(other.to_plain() for other in reversed(history) if other.id < one.id)]


def resolve(here: Installation, keys: Sequence[str], side: Side, by: str) -> list[dict[str, Any]]:
    """Say whose value stands in these conflicts; all of them or none. Raises: ``UserError`` for one that is not open."""
    if not by.strip():
        raise UserError("--by: found nothing; allowed: the name of the person who decides")
    chosen = {one.id: one for one in (_named(here, key, open_only=True) for key in keys)}
    with here.store.transaction() as db:
        for number in chosen:
            conflicts.take(db, number, side, by=by, at=here.clock())
        return [one.to_plain() for one in conflicts.listed(db, None, None) if one.id in chosen]


def _named(here: Installation, key: str, *, open_only: bool) -> Conflict:
    with here.store.reading() as db:
        known = conflicts.listed(db, None, "open" if open_only else None)
    found = [one for one in known if key in (str(one.id), one.name)]
    if not found:
        numbers = ", ".join(f"{one.id} ({one.name})" for one in known[-20:])
        which = "open conflict" if open_only else "conflict"
        raise UserError(f"conflicts: found {key!r}, which is no {which}; allowed: {numbers or 'none: there are none'}")
    return found[-1]


def show_conflicts(found: Sequence[dict[str, Any]]) -> None:
    """Print them, both values side by side, and what to do next."""
    out = console()
    if not found:
        out.print("no conflicts")
        return
    columns = ("number", "name", "state", "theirs", "ours", "changed there", "by", "reason")
    rows = [
        (one["id"], one["name"], one["state"], _shown(one["theirs"]), _shown(one["ours"]), _day(one["theirs_at"]),
         one["changed_by"], one["reason"])
        for one in found
    ]  # fmt: skip
    out.print(table(f"conflicts ({len(found)})", columns, rows, right=("number",)))
    if any(one["state"] == "open" for one in found):
        out.print("next: `referee conflicts resolve NUMBER --take theirs` or `--take ours`, then `referee apply`")


def show_conflict(found: Sequence[dict[str, Any]]) -> None:
    """Print one conflict with all that is known of it, and the history of its field."""
    out, one = console(), found[0]
    out.print(f"[bold]conflict {one['id']}[/], {one['state']}")
    for label, value in (
        ("field", one["name"]),
        ("there", f"{_shown(one['theirs'])}{_since(one['theirs_at'])}{_by(one['changed_by'])}"),
        ("here", f"{_shown(one['ours'])}{_since(one['ours_at'])}"),
        ("both last held", _shown(one["last"])),
        ("why", one["reason"]),
        ("found", str(one["found_at"])),
        ("settled", f"{one['settled_at']} by {one['settled_by']}" if one["settled_by"] else "not yet"),
    ):
        out.print(f"  {label}: {value}", markup=False)
    for other in found[1:]:
        said = f"{other['state']} by {other['settled_by']}" if other["settled_by"] else other["state"]
        out.print(
            f"  before, {_day(other['found_at'])}: there {_shown(other['theirs'])}, here {_shown(other['ours'])}; {said}",
            markup=False,
        )


def _shown(value: Any) -> str:
    return "nothing" if value is None or value == "" else str(value)


def _day(at: Any) -> str:
    return "" if at is None else str(at)[:16]


def _since(at: Any) -> str:
    return "" if at is None else f", since {_day(at)}"


def _by(name: str | None) -> str:
    return "" if name is None else f", by {name}"
