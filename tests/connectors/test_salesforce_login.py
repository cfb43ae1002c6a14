"""Logging in, being logged out, and the limits of the org: bounded, and said in words for a person."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.base import Query
from connectors.errors import NeedsOperator, QuotaSpent, RetryLater
from connectors.http import RetryPolicy
from connectors.salesforce import PLUGIN
from connectors.salesforce.config import SalesforceConfig
from connectors.simulation import Faults
from tests.connectors.salesforce_org import START, Org, read, running

ACCOUNTS = Query("Account", ("Name",))
USERNAME = "integration@org.example"


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode(), public.decode()


def jwt_settings(private: str, **more: str) -> dict[str, Any]:
    return {"auth": "jwt_bearer", "client_secret": None, "private_key": private, "username": USERNAME, **more}


def test_a_signed_assertion_logs_in_by_the_orgs_clock(keys: tuple[str, str]) -> None:
    with running() as org:
        org.sessions.public_keys["client-of-tests"] = keys[1]
        org.moment = START + timedelta(days=900)  # far from this machine's clock
        assert org.connect(**jwt_settings(keys[0])).kinds()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"client_secret": "wrong"}, "client_secret"),
        ({"client_id": "unknown"}, "client_id"),
    ],
)
def test_a_refused_login_is_for_a_person_and_asked_once(settings: dict[str, Any], says: str) -> None:
    with running() as org:
        with pytest.raises(NeedsOperator, match=says):
            org.connect(**settings).kinds()
        assert org.requests["POST", "services/oauth2/token"] == 1


@pytest.mark.parametrize("fault", ["unregistered key", "user not approved", "audience", "not a key"])
def test_a_refused_assertion_is_for_a_person(keys: tuple[str, str], fault: str) -> None:
    with running() as org:
        private = keys[0]
        more = {}
        if fault != "unregistered key":
            org.sessions.public_keys["client-of-tests"] = keys[1]
        if fault == "user not approved":
            org.sessions.users[USERNAME] = False
        if fault == "audience":
            more["audience"] = "https://elsewhere.example"
        if fault == "not a key":
            private = "-----BEGIN NOTHING-----"
        with pytest.raises(NeedsOperator) as refused:
            org.connect(**jwt_settings(private, **more)).kinds()
        assert "BEGIN" not in str(refused.value)


@pytest.mark.parametrize(
    ("error", "why"), [("unknown_error", "retry your request"), ("server_error", ""), ("temporarily_unavailable", "")]
)
def test_a_login_that_is_refused_for_now_is_tried_again(error: str, why: str) -> None:
    with running() as org:
        body = {"error": error, "error_description": why}
        org.faults.add(Faults.status(400, times=2, match=lambda r: "/oauth2/" in r.path, body=body))
        assert "Account" in org.connect().kinds()
        assert org.requests["POST", "services/oauth2/token"] == 3


def test_too_many_logins_of_an_hour_are_not_taken_for_wrong_credentials() -> None:
    with running() as org:
        body = {"error": "invalid_grant", "error_description": "login rate exceeded"}
        org.faults.add(Faults.status(400, times=None, match=lambda r: "/oauth2/" in r.path, body=body))
        with pytest.raises(RetryLater, match="too often") as parked:
            org.connect().kinds()
        assert (parked.value.code, parked.value.retry_after_seconds) == ("LOGIN_RATE_EXCEEDED", 900)
        assert org.requests["POST", "services/oauth2/token"] == 1


def test_a_session_that_ends_between_pages_is_renewed_and_the_page_replayed() -> None:
    with running() as org:
        connector = org.connect()
        ids = [org.insert("Account", {"Name": "n"}) for _ in range(6)]
        org.pages.shrink_to = 2
        org.wait(3600)
        seen = []
        for page in connector.changes(ACCOUNTS, since=None):
            seen += [record.external_id for record in page.records]
            org.sessions.revoke_all()
        assert seen == ids
        assert org.sessions.tokens_made == 3


def test_a_session_refused_for_ever_costs_two_logins_and_stops() -> None:
    with running() as org:
        connector = org.connect()
        org.forget_sessions = True
        with pytest.raises(NeedsOperator):
            read(connector, ACCOUNTS)
        assert org.sessions.tokens_made <= 2


def test_a_description_refused_for_ever_is_bounded_too() -> None:
    """The vendor library alone would log in again a thousand times here."""
    with running() as org:
        org.forget_sessions = True
        with pytest.raises(NeedsOperator):
            org.connect().describe("Lead")
        assert org.sessions.tokens_made <= 2


def test_workers_log_in_once_together() -> None:
    with running() as org:
        connector = org.connect()
        connector.usage()
        org.sessions.revoke_all()
        workers = [Thread(target=lambda: list(connector.fetch("Account", ("Name",), []))) for _ in range(2)]
        workers += [
            Thread(target=lambda: list(connector.fetch("Account", ("Name",), ["001000000000000AAA"]))) for _ in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert org.sessions.tokens_made == 2


def test_the_daily_quota_parks_the_connection_and_is_no_login_problem() -> None:
    with running() as org:
        connector = org.connect(quota_share=1.0)
        org.daily_requests = 1
        connector.kinds()
        with pytest.raises(QuotaSpent) as spent:
            read(connector, ACCOUNTS)
        assert spent.value.retry_after_seconds >= 900
        assert org.sessions.tokens_made == 1


def test_our_share_of_the_quota_is_kept_although_the_header_names_an_app_limit() -> None:
    with running() as org:
        org.daily_requests, org.per_app_limit = 10, ("Referee", 5)
        connector = org.connect(quota_share=0.5)
        with pytest.raises(QuotaSpent):
            for _ in range(20):
                connector.kinds()
        assert org.requests_used <= 5


def test_too_many_requests_at_once_are_waited_out() -> None:
    with running() as org:
        connector = org.connect()
        message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
        org.faults.add(org.error(403, "REQUEST_LIMIT_EXCEEDED", message, times=2))
        assert connector.kinds()
        assert min(org.waits) >= 5


def test_a_429_says_how_long_and_is_obeyed() -> None:
    with running() as org:
        connector = org.connect()
        org.faults.add(Faults.status(429, headers={"Retry-After": "17"}, match=lambda r: "sobjects" in r.path))
        assert connector.kinds()
        assert 17 <= org.waits[0] < 40


def test_an_org_that_stays_down_ends_in_retry_later() -> None:
    with running() as org:
        connector = org.connect(RetryPolicy(attempts=3))
        org.faults.add(Faults.status(503, times=None, body=b"<html>Down</html>", headers={"Content-Type": "text/html"}))
        with pytest.raises(RetryLater):
            read(connector, ACCOUNTS)


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "API_DISABLED_FOR_ORG", "API access"),
        (410, "UNSUPPORTED_API_VERSION", "api_version"),
        (400, "MALFORMED_QUERY", "where"),
        (400, "INVALID_TYPE", "package"),
        (403, "INSUFFICIENT_ACCESS", "permission"),
        (404, "NOT_FOUND", "no such object"),
    ],
)
def test_set_up_faults_are_for_a_person_and_say_what_to_do(status: int, code: str, says: str) -> None:
    with running() as org:
        connector = org.connect()
        org.faults.add(org.error(status, code, "secret text of the vendor", times=None, match=lambda r: "q" in r.query))
        with pytest.raises(NeedsOperator, match=says) as refused:
            read(connector, ACCOUNTS)
        assert "secret" not in str(refused.value)
        assert refused.value.code == code


def test_settings_say_what_is_missing() -> None:
    with pytest.raises(ValueError, match="client_secret"):
        SalesforceConfig.model_validate({"url": "https://x.my.salesforce.com", "client_id": "a"})
    with pytest.raises(ValueError, match="private_key"):
        SalesforceConfig.model_validate({"url": "https://x.my.salesforce.com", "client_id": "a", "auth": "jwt_bearer"})


def test_the_plugin_ships_everything_and_keeps_secrets_to_itself() -> None:
    assert isinstance(PLUGIN.mapping, Path)
    assert PLUGIN.mapping.exists()
    config = PLUGIN.config.model_validate(
        {"url": "https://x.my.salesforce.com", "client_id": "a", "client_secret": "hush"}
    )
    assert "hush" not in repr(config)
    assert isinstance(Org(), type(PLUGIN.simulator()))  # type: ignore[misc]
