"""HubSpot: reads companies, contacts, deals, tickets and custom objects, writes commissions and states back (see README.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.hubspot.config import HubSpotConfig
from connectors.registry import Plugin, Receive

__all__ = ["PLUGIN"]


def _connect(config: HubSpotConfig, **options: Any) -> Any:
    from connectors.hubspot.connector import connect  # loads the HTTP stack

    return connect(config, **options)


def _simulator(**options: Any) -> Any:
    from connectors.hubspot.simulator import HubSpotSimulator  # needed by tests and demonstrations only

    return HubSpotSimulator(**options)


def _receiver(config: Any) -> Receive | None:
    secret = config.webhook_secret or config.client_secret
    if secret is None:
        return None
    from connectors.hubspot.webhooks import hints  # needed where requests are received only

    return lambda posted, now: hints(secret.get_secret_value(), posted, now)


PLUGIN = Plugin(
    name="hubspot",
    config=HubSpotConfig,
    connect=_connect,
    mapping=Path(__file__).with_name("mapping.yaml"),
    simulator=_simulator,
    keeps_refresh_tokens=lambda config: isinstance(config, HubSpotConfig) and config.auth == "oauth",
    receiver=_receiver,
    sources=(
        "HubSpot API reference 2026-03: CRM objects (lists, search, batches, merge), properties, schemas, "
        "associations, account information, OAuth; usage guidelines; request validation (developers.hubspot.com)"
    ),
)
