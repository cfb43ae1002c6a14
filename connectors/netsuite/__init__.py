"""NetSuite: reads customers, invoices, payments and credits, writes commissions and statements back (see README.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.netsuite.config import NetSuiteConfig
from connectors.registry import Plugin

__all__ = ["PLUGIN"]


def _connect(config: NetSuiteConfig, **options: Any) -> Any:
    from connectors.netsuite.connector import connect  # signing libraries take a while to load

    return connect(config, **options)


def _simulator(**options: Any) -> Any:
    from connectors.netsuite.simulator import NetSuiteSimulator  # needed by tests and demonstrations only

    return NetSuiteSimulator(**options)


PLUGIN = Plugin(
    name="netsuite",
    config=NetSuiteConfig,
    connect=_connect,
    mapping=Path(__file__).with_name("mapping.yaml"),
    simulator=_simulator,
    sources=(
        "SuiteTalk REST Web Services: records, SuiteQL, metadata catalogue, asynchronous requests; OAuth 2.0 client "
        "credentials; token-based authentication; concurrency governance (docs.oracle.com, NetSuite Applications Suite)"
    ),
)
