"""The reference connector, over a system in memory: for tests, and to copy from."""

from __future__ import annotations

from connectors.memory.connector import MemoryConfig, MemoryConnector, connect
from connectors.memory.system import MemorySystem
from connectors.registry import Plugin

__all__ = ["PLUGIN", "MemoryConfig", "MemoryConnector", "MemorySystem", "connect"]

PLUGIN = Plugin(
    name="memory",
    config=MemoryConfig,
    connect=connect,
    mapping=None,
    sources="the contract in connectors/base.py; there is no vendor",
)
