"""Job: rejected writes, with their cause and what a person should do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.installation import Installation
from jobs.problems import UserError
from jobs.show import console, table
from sync.outbox import Outbox


def letters(here: Installation, names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Dead letters of connections, oldest first."""
    outbox = Outbox(here.store)
    return [
        {"number": letter.id, "connection": name, "object": letter.ref.object, "key": letter.ref.key,
         "kind": letter.failure, "code": letter.code, "message": letter.message, "hint": letter.hint}
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


def show_letters(found: list[dict[str, Any]]) -> None:
    """Print them and what to do next."""
    out = console()
    if not found:
        out.print("no rejected writes")
        return
    columns = ("number", "connection", "object", "key", "kind", "message", "hint")
    out.print(table(f"rejected writes ({len(found)})", columns, [[one[c] for c in columns] for one in found]))
    out.print("next: mend the cause, then `referee dead-letters retry NUMBER …` and `referee apply`")
