"""Which systems there are: those shipped here, and those that other distributions declare.

A connector shipped elsewhere declares an entry point in the group ``referee.connectors`` that names its
:class:`Plugin`. Nothing of a system is imported before :func:`load` asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from connectors.base import Hint, Posted
from connectors.errors import ConnectorError

GROUP = "referee.connectors"
OURS = "referee"

BUILTIN = {
    "files": "connectors.files:PLUGIN",
    "hubspot": "connectors.hubspot:PLUGIN",
    "memory": "connectors.memory:PLUGIN",
    "netsuite": "connectors.netsuite:PLUGIN",
    "salesforce": "connectors.salesforce:PLUGIN",
    "tryton": "connectors.tryton:PLUGIN",
}


Receive = Callable[[Posted, datetime], tuple[Hint, ...]]
"""The hints of a request that a system made to us, at this instant (UTC). Raises: ``HintRefused``."""


@dataclass(frozen=True)
class Plugin:
    """A system: its settings, how to connect, the mapping it ships, its simulator, and its sources.

    ``connect(config, *, budget, clock, sleep)`` returns a connector (the capabilities of ``connectors.base`` that
    the system has); it makes no request before the first use. ``clock`` returns the present instant in UTC. ``simulator(**options)`` builds a
    ``connectors.simulation.Simulator``. ``sources`` names the vendor documents that the connector follows.
    ``keeps_refresh_tokens(config)``: whether ``connect`` is also to be given ``refresh_tokens``
    (``connectors.logins.RefreshTokens``) under these settings.
    ``receiver(config)``: what judges requests that the system makes to us, ``None`` when these settings foresee none.
    ``listens(config)``: whether the connector's ``listen`` (``connectors.base.Listener``) is to be used.
    """

    name: str
    config: type[BaseModel]
    connect: Callable[..., Any]
    mapping: Path | None
    simulator: Callable[..., Any] | None = None
    sources: str = ""
    keeps_refresh_tokens: Callable[[Any], bool] = lambda config: False
    receiver: Callable[[Any], Receive | None] = lambda config: None
    listens: Callable[[Any], bool] = lambda config: False


class UnknownSystem(ConnectorError):
    """No connector of that name, or one that cannot be loaded."""


class TwoOwners(ConnectorError):
    """Two distributions claim one name; which of them would win must not depend on the order of a directory."""


def owners(declared: Iterable[EntryPoint] | None = None) -> dict[str, tuple[str, str]]:
    """Every system's name, with the distribution that owns it and the ``module:attribute`` of its plugin.

    ``declared``: the entry points to look at; those installed unless given.
    Raises: :class:`TwoOwners` naming both distributions.
    """
    found = {name: (OURS, target) for name, target in BUILTIN.items()}
    for point in entry_points(group=GROUP) if declared is None else declared:
        owner = point.dist.name if point.dist else "an unnamed distribution"
        earlier = found.get(point.name)
        if earlier is not None and earlier != (owner, point.value):
            raise TwoOwners(
                f"connector {point.name!r} is declared by {earlier[0]} ({earlier[1]}) and by {owner} ({point.value}); "
                "uninstall one of them"
            )
        found[point.name] = (owner, point.value)
    return found


def names(declared: Iterable[EntryPoint] | None = None) -> list[str]:
    """The names of all systems, sorted."""
    return sorted(owners(declared))


def load(name: str, declared: Iterable[EntryPoint] | None = None) -> Plugin:
    """The plugin of a system.

    Raises: :class:`UnknownSystem` naming those there are, or what of the plugin is not as it must be.
    """
    known = owners(declared)
    if name not in known:
        raise UnknownSystem(f"there is no connector {name!r}; there are {', '.join(sorted(known))}")
    owner, target = known[name]
    module, _, attribute = target.partition(":")
    try:
        plugin = getattr(import_module(module), attribute or "PLUGIN")
    except Exception as error:  # a stranger's module may fail in any way
        why = f"{type(error).__name__}: {error}"
        raise UnknownSystem(f"connector {name!r} of {owner} cannot be loaded from {target}: {why}") from error
    if not isinstance(plugin, Plugin) or plugin.name != name:
        raise UnknownSystem(f"{target} of {owner} is not a Plugin named {name!r}; see connectors/README.md")
    return plugin
