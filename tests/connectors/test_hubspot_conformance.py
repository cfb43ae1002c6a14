"""The HubSpot connector passes the acceptance suite that every connector passes, over its simulated portal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from connectors.conformance import ConnectorConformance
from connectors.hubspot import PLUGIN
from connectors.hubspot.connector import HubSpotConnector
from connectors.hubspot.simulator.schema import sync_key
from connectors.simulation import Faults, SimRequest
from tests.connectors.hubspot_portal import Portal, running


def _data(request: SimRequest) -> bool:
    return "/oauth/" not in request.path


class PortalDriver:
    """Edits the portal as a person would."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal

    def create(self, kind: str, fields: Mapping[str, Any]) -> str:
        return self.portal.insert(kind.removeprefix("p_"), fields)

    def create_late(self, kind: str, fields: Mapping[str, Any], seconds: float) -> str:
        """A record that the search index has only later."""
        self.portal.rows.index_lag_seconds = seconds
        try:
            return self.create(kind, fields)
        finally:
            self.portal.rows.index_lag_seconds = 0

    def update(self, kind: str, external_id: str, fields: Mapping[str, Any]) -> None:
        self.portal.update(kind.removeprefix("p_"), external_id, fields)

    def delete(self, kind: str, external_id: str) -> None:
        self.portal.archive(kind.removeprefix("p_"), external_id)

    def advance(self, seconds: float) -> None:
        self.portal.wait(seconds)

    def count(self, kind: str, field: str, value: str) -> int:
        return sum(row.get(field) == value for row in self.portal.all_rows(kind.removeprefix("p_")))

    def calls(self) -> int:
        return self.portal.total_requests

    def lose_next_answer(self) -> None:
        self.portal.faults.add(Faults.lose_answer(1, _data))

    def fail_next(self, status: int) -> None:
        self.portal.faults.add(Faults.status(status, match=_data))

    def refuse_logins(self) -> None:
        self.portal.faults.add(Faults.status(401, times=None))


class TestHubSpot(ConnectorConformance):
    plugin = PLUGIN
    kind, key_field, text_field = "p_commission", "sync_key", "corrects"
    broken: ClassVar[Mapping[str, Any]] = {"kind": "no such kind"}

    @pytest.fixture
    def edit(self) -> Iterator[PortalDriver]:
        with running() as portal:
            yield PortalDriver(portal)

    @pytest.fixture
    def connector(self, edit: PortalDriver) -> HubSpotConnector:
        return edit.portal.connect(page_size=7, write_size=10)


class MergingDriver(PortalDriver):
    """Edits contacts of a portal in which a merge leaves the winner (elsewhere it makes a new record)."""

    def merge(self, kind: str, loser: str, winner: str) -> None:
        self.portal.merge(kind, winner, loser)


class TestHubSpotContacts(TestHubSpot):
    """Once more with a standard object that merges and keeps its last change under a name of its own."""

    kind, text_field = "contacts", "jobtitle"
    broken: ClassVar[Mapping[str, Any]] = {"no_such_property": "x"}

    @pytest.fixture
    def edit(self) -> Iterator[MergingDriver]:
        with running() as portal:
            portal.add_property("contacts", sync_key())
            portal.rows.keeps_id_on_merge.add("contacts")
            yield MergingDriver(portal)
