"""A HubSpot portal on loopback for tests, demonstrations and load: ``HubSpotSimulator``."""

from connectors.hubspot.simulator.server import HubSpotSimulator

__all__ = ["HubSpotSimulator"]
