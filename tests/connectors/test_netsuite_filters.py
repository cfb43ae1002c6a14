"""The ``q`` filter of record lists: a bare date is midnight where the account is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import requests

from tests.connectors.netsuite_account import Account, running
from tests.connectors.test_netsuite_login import signer


def listed(account: Account, query: str) -> requests.Response:
    return requests.get(
        f"{account.url}/services/rest/record/v1/customer", params={"q": query}, auth=signer(account), timeout=10
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('lastModifiedDate AFTER "3/2/2026"', True),  # 23:30 of the second of March in Los Angeles
        ('lastModifiedDate AFTER "3/3/2026"', False),  # the third in UTC
        ('lastModifiedDate BEFORE "3/3/2026"', True),
        ('lastModifiedDate BEFORE "3/2/2026"', False),
        ('lastModifiedDate ON "3/2/2026"', True),
        ('lastModifiedDate ON_OR_AFTER "3/3/2026"', False),
        ('lastModifiedDate ON_OR_BEFORE "3/2/2026"', True),
    ],
)
def test_days_are_the_accounts(query: str, found: bool) -> None:
    with running(zone="America/Los_Angeles", start=datetime(2026, 3, 3, 7, 30, tzinfo=UTC)) as account:
        account.insert("customer", {"companyName": "Lee & Sons"})
        assert listed(account, query).json()["totalResults"] == int(found)


def test_another_date_format_is_refused_in_the_words_that_clients_wait_for() -> None:
    with running(date_format="DD.MM.YYYY") as account:
        answer = listed(account, 'lastModifiedDate AFTER "3/2/2026"')
        assert answer.status_code == 400
        detail = answer.json()["o:errorDetails"][0]
        assert (detail["o:errorCode"], 'failed with date format "DD.MM.YYYY"' in detail["detail"]) == (
            "INVALID_PARAMETER", True,
        )  # fmt: skip
