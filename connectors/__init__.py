"""Connectors: one folder a system, behind one small contract (``connectors.base``)."""
