"""Acme: reads companies, writes them back."""

from pathlib import Path

from connectors.registry import Plugin
from referee_acme.connector import AcmeConfig, connect

PLUGIN = Plugin(
    "acme", AcmeConfig, connect, Path(__file__).with_name("mapping.yaml"), sources="Acme REST API, version 1"
)
