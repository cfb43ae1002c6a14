"""Job: a simulated system on this machine, filled with invented companies, until Ctrl-C."""

from __future__ import annotations

import io
import signal
import sys
import threading
from datetime import timedelta
from typing import Any

from connectors.registry import load, names
from connectors.universe import LARGEST_UNIVERSE
from jobs.problems import UserError

CRMS = ("hubspot", "salesforce")
_SETTLED = timedelta(hours=1)


def serve(
    system: str, *, port: int, seed: int, companies: int, crm: str = "salesforce", webhooks: str | None = None
) -> None:
    """Print the settings to connect with, then answer requests until SIGINT or SIGTERM.

    ``crm``: the simulated system whose record ids an ERP's customers carry. ``webhooks``: the address to which it posts,
    each second, what has changed. Raises: ``UserError`` for a system without a simulator or, with ``webhooks``, one that
    posts none, a port that is taken, or too many companies.
    """
    simulator = _simulator(system, port)
    if webhooks is not None and not hasattr(simulator, "deliver"):
        raise UserError(f"--webhooks: found {system}, which posts none; allowed: hubspot")
    if crm not in CRMS:
        raise UserError(f"--crm: found {crm!r}; allowed: {', '.join(CRMS)}")
    if not 0 <= companies <= LARGEST_UNIVERSE:
        raise UserError(f"--companies: found {companies:,}; allowed: 0 to {LARGEST_UNIVERSE:,}")
    print(f"making up {companies:,} companies (seed {seed}) ...", file=sys.stderr, flush=True)
    _fill(system, simulator, seed, companies, crm)
    if webhooks is not None:
        simulator.webhooks.waiting.clear()  # nobody is told of what was made up
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        simulator.start()
    except OSError as error:
        raise UserError(
            f"--port: found {port}, which cannot be listened on ({error.strerror}); 0 takes a free one"
        ) from None
    print(f"{system} answers at {simulator.url} until Ctrl-C. In referee.yaml:\n")
    print(connection_block(system, simulator.settings()), flush=True)
    while not stop.wait(1.0 if webhooks else None):
        simulator.deliver(webhooks)
    simulator.stop()
    print(f"{system}: {simulator.total_requests:,} requests answered", file=sys.stderr)


def _fill(system: str, simulator: Any, seed: int, companies: int, crm: str) -> None:
    """Make up the companies, an hour ago: readers leave the last minutes, in which rows may still appear, for later.

    The same seed gives all systems the same companies, and the ERP's customers carry the CRM's account ids.
    """
    now = simulator.now
    simulator.now = lambda: now() - _SETTLED
    if system == "netsuite":
        accounts = _simulator(crm, 0)
        accounts.now = simulator.now
        simulator.seed(seed, companies, external_id=accounts.seed(seed, companies).get)
    else:
        simulator.seed(seed, companies)
    simulator.now = now


def _simulator(system: str, port: int) -> Any:
    known = {name: plugin.simulator for name in names() if (plugin := load(name)).simulator}
    if system not in known:
        raise UserError(f"simulate: found {system!r}; allowed: {', '.join(known)}")
    if not 0 <= port <= 65_535:
        raise UserError(f"--port: found {port}; allowed: 0 to 65535")
    return known[system](port=port)


def connection_block(system: str, settings: dict[str, Any]) -> str:
    """The ``connections:`` part of a referee.yaml that reaches this system."""
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import LiteralScalarString

    shown = {
        key: LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value
        for key, value in settings.items()
    }
    out, yaml = io.StringIO(), YAML()
    yaml.width = 4096  # one line a value, however long
    yaml.dump({"connections": {system: {"system": system, "settings": shown}}}, out)
    return out.getvalue()
