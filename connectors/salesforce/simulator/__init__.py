"""A Salesforce org on loopback for tests, demonstrations and load: ``SalesforceSimulator``."""

from connectors.salesforce.simulator.server import SalesforceSimulator

__all__ = ["SalesforceSimulator"]
