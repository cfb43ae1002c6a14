"""Job: rejected writes, with their cause and what a person should do."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, cast

from jobs.installation import Installation
from jobs.problems import UserError
from jobs.show import console, table
from sync.dead_letters import Failure
from sync.outbox import Outbox


def letters(here: Installation, names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Dead letters of connections, oldest first."""
    outbox = Outbox(here.store)
    return [
        {"number": letter.id, "connection": name, "object": letter.ref.object, "key": letter.ref.key,
         "kind": letter.failure, "code": letter.code, "message": letter.message, "hint": letter.hint,
         "fields": dict(letter.fields)}
        for name in names or here.settings.connections
        for letter in outbox.dead_letters(name)
    ]  # fmt: skip


def retry_letters(here: Installation, numbers: Sequence[int]) -> int:
    """Let these be tried again; returns how many. Raises: ``UserError`` for a number that no rejected write has."""
    known = {one["number"] for one in letters(here, None)}
    wrong = sorted(set(numbers) - known)
    if wrong:
        listed = ", ".join(map(str, sorted(known))) or "none: there are no rejected writes"
        raise UserError(f"dead-letters retry: found {wrong[0]}; allowed: {listed}")
    return Outbox(here.store).retry(sorted(set(numbers)), at=here.clock())


def edit_letter(here: Installation, which: str, sets: Sequence[str], by: str) -> dict[str, Any]:
    """Replace values of one rejected write and let it be tried again; returns it as it will be sent.

    ``which``: its number, or the key of its record; ``sets``: ``field=value``, where ``null`` empties the field. A value
    keeps the kind of the one that it replaces. Raises: ``UserError`` with what was found and what is allowed.
    """
    every = letters(here, None)
    found = [one for one in every if which in (str(one["number"]), one["key"])]
    if len(found) != 1:
        listed = ", ".join(f"{one['number']} ({one['key']})" for one in found or every) or "none: nothing was rejected"
        raise UserError(
            f"dead-letters edit: found {which}, which names {len(found)} rejected writes; allowed: {listed}"
        )
    fields = found[0]["fields"]
    edited: dict[str, Any] = {}
    for text in sets:
        name, equals, value = text.partition("=")
        if not equals or name not in fields:
            raise UserError(
                f"--set {text}: found the field {name!r}; allowed: field=value with one of {', '.join(fields)}"
            )
        edited[name] = _like(fields[name], name, value)
    if not by.strip():
        raise UserError("--by: found no name; allowed: the name of who changes what is written")
    Outbox(here.store).edit(found[0]["number"], edited, by=by.strip(), at=here.clock())
    return {**found[0], "fields": {**fields, **edited}, "edited_by": by.strip()}


def _like(old: Any, name: str, text: str) -> Any:
    """A value given as text, of the kind that it replaces: true or false, a number, or text."""
    if text == "null":
        return None
    if isinstance(old, bool):
        if text not in ("true", "false"):
            raise UserError(f"--set {name}: found {text!r}; allowed: true, false or null")
        return text == "true"
    if isinstance(old, (int, float, Decimal)):
        try:
            return Decimal(text) if Decimal(text).is_finite() else _no_number(name, text)
        except InvalidOperation:
            _no_number(name, text)
    return text


def _no_number(name: str, text: str) -> NoReturn:
    raise UserError(f"--set {name}: found {text!r}; allowed: a number or null")


def release_letters(here: Installation, kind: str, names: Sequence[str] | None) -> int:
    """Let every rejected write of one kind be tried again; returns how many. Raises: ``SyncError`` for another kind."""
    outbox = Outbox(here.store)
    return sum(
        outbox.release(name, cast(Failure, kind), at=here.clock()) for name in names or here.settings.connections
    )


def show_letters(found: list[dict[str, Any]]) -> None:
    """Print them and what to do next."""
    out = console()
    if not found:
        out.print("no rejected writes")
        return
    columns = ("number", "connection", "object", "key", "kind", "message", "hint")
    out.print(table(f"rejected writes ({len(found)})", columns, [[one[c] for c in columns] for one in found]))
    out.print(
        "next: mend the cause, then `referee dead-letters retry NUMBER …`, or `dead-letters release --kind KIND`, or\n"
        "`dead-letters edit NUMBER --set field=value --by NAME`; then `referee apply`"
    )
