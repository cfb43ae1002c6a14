"""CSV and Excel files in a folder: reads lists that other systems export, writes a list that others import."""

from __future__ import annotations

from pathlib import Path

from connectors.files.config import FilesConfig
from connectors.files.connector import connect
from connectors.registry import Plugin

PLUGIN = Plugin(
    name="files",
    config=FilesConfig,
    connect=connect,
    mapping=Path(__file__).with_name("mapping.yaml"),
    sources="RFC 4180 (CSV), ECMA-376 (xlsx), OWASP: CSV injection",
)
