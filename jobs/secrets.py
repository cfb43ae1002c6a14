"""Job: secrets that are kept in the store, and the keys that they are sealed with. Nothing here shows a secret."""

from __future__ import annotations

from typing import Any

from jobs.connections import seals_of
from jobs.installation import Installation
from jobs.problems import UserError
from jobs.show import console, table
from sync.kept_tokens import forget, kept, reseal


def secrets_status(here: Installation) -> list[dict[str, Any]]:
    """Each kept refresh token: its connection, when it was kept, and the place (from 1) of the key that opens it."""
    return [
        {"connection": one.connection, "key": one.key, "kept_at": one.updated_at.isoformat(),
         "state": "unreadable" if one.key is None else "sealed" if one.key == 1 else "old key"}
        for one in kept(here.store, seals_of(here.settings))
    ]  # fmt: skip


def rotate_secrets(here: Installation) -> int:
    """Seal everything with the first key; returns how many were sealed with another."""
    seals = seals_of(here.settings)
    seals.check("secrets are sealed anew with the first key")
    return reseal(here.store, seals)


def forget_secret(here: Installation, connection: str) -> None:
    """Drop what is kept of a connection, for the refresh token in the settings. Raises: ``UserError``."""
    if not forget(here.store, connection):
        known = ", ".join(one.connection for one in kept(here.store, seals_of(here.settings))) or "none is kept"
        raise UserError(f"secrets forget: found {connection!r}; allowed: {known}")


def show_secrets(found: list[dict[str, Any]]) -> None:
    """Print them and what to do next."""
    out = console()
    if not found:
        out.print("no secrets are kept in the store")
        return
    columns = ("connection", "state", "key", "kept_at")
    out.print(table(f"kept secrets ({len(found)})", columns, [[one[name] for name in columns] for one in found]))
    if any(one["state"] == "old key" for one in found):
        out.print("next: `referee secrets rotate`, then take the old key out of REFEREE_SECRET_KEYS")
    if any(one["state"] == "unreadable" for one in found):
        out.print(
            "next: put the key that sealed it at the end of REFEREE_SECRET_KEYS, or `referee secrets forget NAME`"
        )
