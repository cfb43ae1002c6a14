"""Salesforce: reads leads, accounts, opportunities, contracts, cases; writes commissions, statuses, contacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.registry import Plugin
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.connector import connect


def _simulator(**options: Any) -> Any:
    from connectors.salesforce.simulator import SalesforceSimulator  # tests and demonstrations only

    return SalesforceSimulator(**options)


PLUGIN = Plugin(
    name="salesforce",
    config=SalesforceConfig,
    connect=connect,
    mapping=Path(__file__).with_name("mapping.yaml"),
    simulator=_simulator,
    listens=lambda config: isinstance(config, SalesforceConfig) and config.change_events,
    sources="Salesforce REST API Developer Guide, SOQL and SOSL Reference, Object Reference (API 62.0)",
)
