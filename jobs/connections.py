"""Opening connections: a connector with its settings, budget and mapping."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from connectors.base import Description, descriptions
from connectors.registry import Plugin, load
from jobs.clock import Clock
from jobs.config import ConnectionSettings, Settings
from jobs.leasing import take
from jobs.problems import UserError
from sync.brakes import Limits
from sync.budgets import ApiBudget
from sync.contained import contained
from sync.kept_tokens import KeptTokens
from sync.loops import LoopLimits
from sync.mapping import Mapping, load_mapping
from sync.seals import Seals
from sync.store import Store

LOGIN_SECONDS = 120.0
"""How long one process may hold a connection's login while it exchanges a refresh token."""


@dataclass(frozen=True, slots=True)
class Open:
    """A connection ready to be used; no request has been made yet."""

    name: str
    settings: ConnectionSettings
    plugin: Plugin
    connector: Any
    mapping: Mapping
    budget: ApiBudget

    @property
    def brakes(self) -> dict[str, Limits]:
        """Limits of its plans, by object."""
        return {name: Limits(**brake.model_dump()) for name, brake in self.settings.brakes.items()}

    @property
    def loops(self) -> LoopLimits:
        """When a field that it is written goes back and forth."""
        return LoopLimits(**self.settings.loops.model_dump())

    def descriptions(self) -> dict[str, Description | None]:
        """The objects that are written, as the system describes them."""
        with contained(self.name, "its objects and fields"):
            return descriptions(self.connector, sorted({part.object for part in self.mapping.writes}))

    def calls_left(self) -> int | None:
        """API calls of our share that are left in the system's window."""
        spending = self.budget.spending()
        if spending.allowed is None:
            return None
        return max(int(spending.allowed * self.settings.quota_share) - max(spending.spent, spending.used or 0), 0)


def open_connection(
    settings: Settings,
    name: str,
    store: Store,
    clock: Clock,
    sleep: Callable[[float], None] = time.sleep,
    *,
    mapping: Mapping | None = None,
    budget: ApiBudget | None = None,
) -> Open:
    """Open one connection, with its own mapping and a budget of its own unless others are given.

    Raises: ``UserError`` for its settings, ``SyncError`` for its mapping.
    """
    chosen = settings.connections[name]
    plugin = load(chosen.system)
    config = connector_config(settings, name, plugin)
    budget = budget or budget_of(chosen, name, store, clock, sleep)
    more = {}
    if plugin.keeps_refresh_tokens(config):
        more["refresh_tokens"] = KeptTokens(
            store, name, seals_of(settings), now=clock, sleep=sleep,
            take=lambda login: take(store, login, clock, for_seconds=LOGIN_SECONDS),
        )  # fmt: skip
    with contained(name, "a connection"):
        connector = plugin.connect(config, budget=budget, clock=clock, sleep=sleep, **more)
    if mapping is None:
        mapping = mapping_of(settings, name, plugin)
        _known_brakes(settings, name, mapping)
    return Open(name, chosen, plugin, connector, mapping, budget)


def budget_of(
    chosen: ConnectionSettings, name: str, store: Store, clock: Clock, sleep: Callable[[float], None]
) -> ApiBudget:
    """The budget of a connection, as its settings want it."""
    return ApiBudget(store, name, now=clock, sleep=sleep, share=chosen.quota_share, slots=chosen.concurrency)


def seals_of(settings: Settings) -> Seals:
    """What seals secrets in the store, with the keys of this installation. Raises: ``NeedsOperator`` for a bad key."""
    text = settings.secret_keys.get_secret_value() if settings.secret_keys is not None else ""
    return Seals([key for part in text.split(",") if (key := part.strip())])


def connector_config(settings: Settings, name: str, plugin: Plugin) -> Any:
    """The connector's own settings, checked. Raises: ``UserError`` naming the key, never its value."""
    try:
        return plugin.config.model_validate(settings.connections[name].settings, context={"folder": settings.folder})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        keys = ("connections", name, "settings", *map(str, first["loc"]))
        allowed = first["msg"].removeprefix("Value error, ")
        known = ", ".join(plugin.config.model_fields)
        raise UserError(f"{settings.place(*keys)}: {allowed}; settings of {plugin.name}: {known}") from None


def _known_brakes(settings: Settings, name: str, mapping: Mapping) -> None:
    """Raises: ``UserError`` for brakes of an object that is neither read nor written: they would hold nothing."""
    known = sorted({*(plan.kind for plan in mapping.objects), *(part.object for part in mapping.writes)})
    for each in settings.connections[name].brakes:
        if each not in known:
            where = settings.place("connections", name, "brakes", each)
            raise UserError(f"{where}: found an object that the mapping does not name; allowed: {', '.join(known)}")


def mapping_of(settings: Settings, name: str, plugin: Plugin) -> Mapping:
    """The connection's mapping: its own file, or the one shipped with the connector."""
    chosen = settings.connections[name]
    if chosen.mapping is not None:
        mapping = load_mapping(settings.path(chosen.mapping))
        if mapping.system != plugin.name:
            where = settings.place("connections", name, "mapping")
            raise UserError(
                f"{where}: found a mapping for {mapping.system}; allowed: one that says `system: {plugin.name}`"
            )
        return mapping
    if plugin.mapping is None:
        raise UserError(
            f"{settings.place('connections', name)}: mapping: found nothing; {plugin.name} ships no mapping, so one is needed"
        )
    return load_mapping(plugin.mapping)
