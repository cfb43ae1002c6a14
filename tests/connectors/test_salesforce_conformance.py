"""The Salesforce connector passes the acceptance suite that every connector passes, over its simulated org."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from connectors.conformance import ConnectorConformance
from connectors.salesforce import PLUGIN
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.jobs import USUAL_POLLS
from connectors.salesforce.simulator.schema import sync_key
from connectors.simulation import Faults, SimRequest
from tests.connectors.salesforce_org import CLIENT, Org, running


def _data(request: SimRequest) -> bool:
    return "/oauth2/" not in request.path


class OrgDriver:
    """Edits the org as a person would."""

    def __init__(self, org: Org) -> None:
        self.org = org

    def create(self, kind: str, fields: Mapping[str, Any]) -> str:
        return self.org.insert(kind, fields)

    def create_late(self, kind: str, fields: Mapping[str, Any], seconds: float) -> str:
        self.org.rows.commit_delay_seconds = seconds
        try:
            return self.org.insert(kind, fields)
        finally:
            self.org.rows.commit_delay_seconds = 0

    def update(self, kind: str, external_id: str, fields: Mapping[str, Any]) -> None:
        self.org.update(kind, external_id, fields)

    def delete(self, kind: str, external_id: str) -> None:
        self.org.delete(kind, external_id)

    def advance(self, seconds: float) -> None:
        self.org.wait(seconds)

    def count(self, kind: str, field: str, value: str) -> int:
        return sum(row.get(field) == value for row in self.org.all_rows(kind))

    def calls(self) -> int:
        return self.org.requests_used

    def lose_next_answer(self) -> None:
        self.org.faults.add(Faults.lose_answer(1, _data))

    def fail_next(self, status: int) -> None:
        self.org.faults.add(Faults.status(status, match=_data))

    def refuse_logins(self) -> None:
        self.org.forget_sessions = True


class TestSalesforce(ConnectorConformance):
    plugin, secrets = PLUGIN, (CLIENT["client_secret"],)
    kind, key_field, text_field = "Commission__c", "Sync_Key__c", "Corrects__c"
    broken: ClassVar[Mapping[str, Any]] = {"Kind__c": "no such kind"}

    @pytest.fixture
    def edit(self) -> Iterator[OrgDriver]:
        with running() as org:
            org.pages.shrink_to = 7
            yield OrgDriver(org)

    @pytest.fixture
    def connector(self, edit: OrgDriver) -> SalesforceConnector:
        return edit.org.connect(write_size=10)


class MergingDriver(OrgDriver):
    """Edits accounts, which can be merged."""

    def merge(self, kind: str, loser: str, winner: str) -> None:
        self.org.merge(winner, loser)


class TestSalesforceAccounts(TestSalesforce):
    """Once more with an object that merges and has its own unique key."""

    kind, text_field = "Account", "Name"
    broken: ClassVar[Mapping[str, Any]] = {"Support_Contact_Email__c": "not an address"}
    clearable_field = "Phone"

    @pytest.fixture
    def edit(self) -> Iterator[MergingDriver]:
        with running() as org:
            org.pages.shrink_to = 7
            org.add_field("Account", sync_key())
            yield MergingDriver(org)


class TestSalesforceByJobs(TestSalesforce):
    """Once more with every further page by a query job, and every write by a job."""

    @pytest.fixture
    def edit(self) -> Iterator[OrgDriver]:
        with running() as org:
            org.pages.shrink_to = 4
            org.jobs.polls, org.jobs.largest_part = USUAL_POLLS - 1, 9
            yield OrgDriver(org)

    @pytest.fixture
    def connector(self, edit: OrgDriver) -> SalesforceConnector:
        return edit.org.connect(write_size=10, bulk_read_rows=0, bulk_write_rows=0)
