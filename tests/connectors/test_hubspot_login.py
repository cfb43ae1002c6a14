"""Logins of HubSpot: tokens that stay, tokens that end, and refusals that are for a person."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from connectors.base import Query
from connectors.errors import NeedsOperator
from connectors.hubspot.config import HubSpotConfig
from connectors.simulation import Faults
from tests.connectors.hubspot_portal import OAUTH, TOKEN, Portal, read, running

COMPANIES = Query("companies", ("name",))


@pytest.fixture
def portal() -> Iterator[Portal]:
    with running() as started:
        started.insert("companies", {"name": "Invented"})
        yield started


def logins(portal: Portal) -> int:
    return portal.requests["POST", "token"]


def test_a_service_keys_token_is_all_it_takes(portal: Portal) -> None:
    assert len(read(portal.connect(), COMPANIES)[0]) == 1
    assert logins(portal) == 0


def test_a_rotated_token_is_for_a_person_and_is_not_tried_again(portal: Portal) -> None:
    portal.logins.tokens = {"another"}
    with pytest.raises(NeedsOperator, match="set access_token to the present one"):
        read(portal.connect(), COMPANIES)
    assert portal.total_requests == 1


def test_oauth_logs_in_once_and_again_before_the_token_ends(portal: Portal) -> None:
    connector = portal.connect(**OAUTH)
    _, watermark = read(connector, COMPANIES)
    assert logins(portal) == 1
    portal.wait(1700)
    read(connector, COMPANIES, watermark)
    assert logins(portal) == 1
    portal.wait(50)  # less than a minute of its half hour is left
    read(connector, COMPANIES, watermark)
    assert logins(portal) == 2


def test_a_token_that_ended_early_is_renewed_once(portal: Portal) -> None:
    connector = portal.connect(**OAUTH)
    read(connector, COMPANIES)
    portal.logins.revoke_all()
    assert len(read(connector, COMPANIES)[0]) == 1
    assert logins(portal) == 2


def test_a_lasting_401_ends_after_one_renewal(portal: Portal) -> None:
    portal.faults.add(Faults.status(401, times=None, match=lambda request: "/oauth/" not in request.path))
    with pytest.raises(NeedsOperator, match="the login was refused"):
        read(portal.connect(**OAUTH), COMPANIES)
    assert logins(portal) == 2


def test_a_refresh_token_that_changes_is_used_and_told(portal: Portal) -> None:
    portal.logins.rotates = True
    connector = portal.connect(**OAUTH)
    with capture_logs() as logs:
        read(connector, COMPANIES)
        portal.logins.revoke_all()
        assert len(read(connector, COMPANIES)[0]) == 1
    assert [log["event"] for log in logs].count("refresh_token_rotated") == 2
    assert not any("refresh-token-of-tests" in str(log) for log in logs)


@pytest.mark.parametrize(
    ("setting", "code"),
    [("client_id", "BAD_CLIENT_ID"), ("client_secret", "BAD_CLIENT_SECRET"), ("refresh_token", "BAD_REFRESH_TOKEN")],
)
def test_a_refused_login_names_the_setting_and_never_its_value(portal: Portal, setting: str, code: str) -> None:
    with pytest.raises(NeedsOperator, match=rf"{code}.*{setting}") as refused:
        read(portal.connect(**{**OAUTH, setting: "wrong-value"}), COMPANIES)
    assert "wrong-value" not in str(refused.value)
    assert logins(portal) == 1


def test_a_busy_login_is_waited_for(portal: Portal) -> None:
    portal.faults.add(Faults.status(503, times=2, match=lambda request: "/oauth/" in request.path))
    assert len(read(portal.connect(**OAUTH), COMPANIES)[0]) == 1


def test_a_missing_scope_is_named(portal: Portal) -> None:
    portal.logins.missing_scopes.add("crm.objects.companies.read")
    with pytest.raises(NeedsOperator, match=r"crm\.objects\.companies\.read.*add it"):
        read(portal.connect(), COMPANIES)


def test_a_retired_version_is_told(portal: Portal) -> None:
    with pytest.raises(NeedsOperator, match="api_version may be retired"):
        read(portal.connect(api_version="2019-03"), COMPANIES)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "auth: token needs access_token"),
        ({"auth": "oauth", "client_id": "x"}, "auth: oauth needs client_secret, refresh_token"),
        ({**TOKEN, "api_version": "v3"}, "api_version"),
        ({**TOKEN, "page_size": 101}, "page_size"),
        ({**TOKEN, "password": "x"}, "password"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        HubSpotConfig.model_validate(settings)
