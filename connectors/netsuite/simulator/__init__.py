"""A NetSuite account on loopback for tests, demonstrations and load: ``NetSuiteSimulator``."""

from connectors.netsuite.simulator.server import NetSuiteSimulator

__all__ = ["NetSuiteSimulator"]
