"""The NetSuite connector passes the acceptance suite that every connector passes, over its simulated account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from connectors.conformance import ConnectorConformance
from connectors.netsuite import PLUGIN
from connectors.netsuite.connector import NetSuiteConnector
from connectors.simulation import Faults
from tests.connectors.netsuite_account import Account, is_data, running


class AccountDriver:
    """Edits the account as a person would."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def create(self, kind: str, fields: Mapping[str, Any]) -> str:
        return self.account.insert(kind, fields)

    def create_late(self, kind: str, fields: Mapping[str, Any], seconds: float) -> str:
        self.account.commit_delay_seconds = seconds
        try:
            return self.account.insert(kind, fields)
        finally:
            self.account.commit_delay_seconds = 0

    def update(self, kind: str, external_id: str, fields: Mapping[str, Any]) -> None:
        self.account.update(kind, external_id, fields)

    def delete(self, kind: str, external_id: str) -> None:
        self.account.delete(kind, external_id)

    def advance(self, seconds: float) -> None:
        self.account.wait(seconds)

    def count(self, kind: str, field: str, value: str) -> int:
        return sum(row.get(field) == value for row in self.account.rows(kind))

    def calls(self) -> int:
        return self.account.total_requests

    def lose_next_answer(self) -> None:
        self.account.faults.add(Faults.lose_answer(1, is_data))

    def fail_next(self, status: int) -> None:
        self.account.faults.add(Faults.status(status, match=is_data))

    def refuse_logins(self) -> None:
        self.account.faults.add(Faults.status(401, times=None))


class TestNetSuite(ConnectorConformance):
    """Custom records, on an account whose user is on GMT."""

    plugin = PLUGIN
    kind, key_field, text_field = "customrecord_partner_commission", "externalid", "custrecord_reason"
    broken: ClassVar[Mapping[str, Any]] = {"custrecord_no_such_field": "x"}
    zone: ClassVar[str] = "GMT"

    @pytest.fixture
    def edit(self) -> Iterator[AccountDriver]:
        with running(zone=self.zone) as account:
            yield AccountDriver(account)

    @pytest.fixture
    def connector(self, edit: AccountDriver) -> NetSuiteConnector:
        return edit.account.connect(page_size=7, concurrency=1)


class TestNetSuiteCustomers(TestNetSuite):
    """Once more with a standard record, a user far from GMT, several lanes, and the other login."""

    kind, text_field = "customer", "companyname"
    clearable_field = "phone"
    zone = "America/Los_Angeles"

    @pytest.fixture
    def connector(self, edit: AccountDriver) -> NetSuiteConnector:
        login = edit.account.logins.generate("ES256")
        return edit.account.connect(page_size=7, auth="m2m", **login)
