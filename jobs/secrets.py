"""Job: secrets that are kept in the store, and the keys that they are sealed with. Nothing here shows a secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.registry import load
from jobs.connections import connector_config, seals_of
from jobs.installation import Installation, known_connection
from jobs.problems import UserError
from jobs.show import console, table
from sync.kept_tokens import begin, forget, kept, reseal


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


def set_secret(here: Installation, connection: str, ask: Callable[[], str]) -> None:
    """Go on with a refresh token that a person got by authorising the app anew; asked for only where it is of use.

    Raises: ``UserError``.
    """
    known_connection(here, connection)
    plugin = load(here.settings.connections[connection].system)
    config = connector_config(here.settings, connection, plugin)
    if not plugin.keeps_refresh_tokens(config):
        raise UserError(f"secrets set: {connection} logs in without refresh tokens; change its settings instead")
    token = ask().strip()
    if not token:
        raise UserError("secrets set: found no token; allowed: the refresh token that the system gave the app")
    configured = config.refresh_token.get_secret_value() if config.refresh_token is not None else ""
    begin(here.store, seals_of(here.settings), connection, configured, token, at=here.clock())


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
