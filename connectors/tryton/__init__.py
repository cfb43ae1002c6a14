"""Tryton: reads parties, opportunities, sales, invoices and payments, writes commissions back (see README.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.registry import Plugin
from connectors.tryton.config import TrytonConfig

__all__ = ["PLUGIN"]


def _connect(config: TrytonConfig, **options: Any) -> Any:
    from connectors.tryton.connector import connect  # loaded when a connection is opened

    return connect(config, **options)


PLUGIN = Plugin(
    name="tryton",
    config=TrytonConfig,
    connect=_connect,
    mapping=Path(__file__).with_name("mapping.yaml"),
    sources="Tryton 8.2: JSON-RPC, user manual of the modules party, sale_opportunity, sale, account_invoice, commission "
    "(docs.tryton.org); a running trytond 8.2",
)
