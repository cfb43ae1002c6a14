"""Logging in to NetSuite: signatures that an independent client agrees with, certificates, and bounded failures."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import jwt
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from oauthlib.oauth1 import Client  # type: ignore[import-untyped]
from oauthlib.oauth1.rfc5849.signature import (  # type: ignore[import-untyped]
    base_string_uri,
    normalize_parameters,
    sign_hmac_sha256_with_client,
    signature_base_string,
)
from requests_oauthlib import OAuth1  # type: ignore[import-untyped]

from connectors.base import Query, Record
from connectors.errors import NeedsOperator, RetryLater
from connectors.netsuite.auth import ASSERTION_TYPE, TOKEN_PATH
from connectors.netsuite.config import NetSuiteConfig
from connectors.netsuite.connector import connect
from connectors.netsuite.simulator.logins import TokenPair, signature
from connectors.simulation import Faults
from tests.connectors.netsuite_account import Account, is_data, read, running

CUSTOMERS = Query("customer", ("companyname",))
SUITEQL = "/services/rest/query/v1/suiteql"


def post(account: Account, auth: Any) -> requests.Response:
    return requests.post(
        account.url + SUITEQL, params={"limit": 5, "offset": 0}, json={"q": "SELECT id FROM customer"},
        headers={"Prefer": "transient"}, auth=auth, timeout=10,
    )  # fmt: skip


def signer(account: Account, realm: str = "1234567_SB1", **changed: Any) -> OAuth1:
    login = {**account.login, **changed}
    return OAuth1(
        login["consumer_key"], login["consumer_secret"], login["token_id"], login["token_secret"], realm=realm,
        signature_method=changed.get("method", "HMAC-SHA256"), timestamp=changed.get("timestamp", ts(account)),
        nonce=changed.get("nonce"),
    )  # fmt: skip


def ts(account: Account, seconds: float = 0) -> str:
    return str(int((account.moment + timedelta(seconds=seconds)).timestamp()))


def test_an_independent_client_is_let_in() -> None:
    with running() as account:
        assert post(account, signer(account)).status_code == 200
        assert post(account, signer(account, timestamp=ts(account, 299))).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"realm": "1234567-sb1"}, {"token_secret": "wrong"}, {"consumer_secret": "wrong"}, {"token_id": "wrong"},
        {"method": "HMAC-SHA1"},
    ],
)  # fmt: skip
def test_a_wrong_signature_is_not(changed: dict[str, Any]) -> None:
    with running() as account:
        answer = post(account, signer(account, **changed))
        assert answer.status_code == 401
        assert answer.json()["o:errorDetails"][0]["o:errorCode"] == "INVALID_LOGIN_ATTEMPT"


def test_neither_an_old_timestamp_nor_a_used_nonce_is() -> None:
    with running() as account:
        assert post(account, signer(account, timestamp=ts(account, -301))).status_code == 401
        assert post(account, signer(account, nonce="once")).status_code == 200
        assert post(account, signer(account, nonce="once")).status_code == 401


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)), max_size=4),
    st.text(min_size=1, max_size=10),
)
@settings(max_examples=60)
def test_the_simulators_signature_is_oauthlibs(query: list[tuple[str, str]], secret: str) -> None:
    pair = TokenPair("ck", secret, "tk", "ts")
    url = "http://127.0.0.1:9/services/rest/record/v1/customer"
    base = signature_base_string("POST", base_string_uri(url), normalize_parameters(query))
    client = Client(pair.consumer_key, client_secret=pair.consumer_secret, resource_owner_secret=pair.token_secret)
    assert signature("post", url, query, pair) == sign_hmac_sha256_with_client(base, client)


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "ES512"])
def test_a_certificate_logs_in_once_for_all_workers(algorithm: str) -> None:
    with running() as account:
        connector = account.connect(auth="m2m", **account.logins.generate(algorithm))
        read(connector, CUSTOMERS)
        read(connector, CUSTOMERS)
        assert account.logins.tokens_issued == 1
        account.wait(3590)  # renewed before it ends, so no call is refused
        read(connector, CUSTOMERS)
        assert account.logins.tokens_issued == 2
        assert account.waits == []


def claims_of(account: Account, settings: dict[str, str], **changed: Any) -> dict[str, Any]:
    now = int(account.moment.timestamp())
    claims = {"iss": settings["client_id"], "scope": "restlets,rest_webservices", "aud": account.url + TOKEN_PATH,
              "iat": now, "exp": now + 3000}  # fmt: skip
    return {**claims, **changed}


def ask_token(account: Account, assertion: str) -> requests.Response:
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    return requests.post(account.url + TOKEN_PATH, data=form, timeout=10)


def test_the_token_endpoint_checks_everything() -> None:
    with running() as account:
        known = account.logins.generate("ES256")
        key, kid = known["private_key"], {"kid": known["certificate_id"]}
        now = int(account.moment.timestamp())

        def status(headers: dict[str, str] = kid, **changed: Any) -> int:
            claims = claims_of(account, known, **changed)
            return ask_token(account, jwt.encode(claims, key, "ES256", headers)).status_code

        assert status() == 200
        assert status(scope=["rest_webservices"]) == status(scope="rest_webservices restlets") == 200
        assert status(aud="https://1234567-sb1.suitetalk.api.netsuite.com" + TOKEN_PATH) == 200
        for bad in (
            {"iss": "another"}, {"aud": "https://example.com/token"}, {"exp": now + 3601}, {"iat": now - 4000, "exp": now - 1},
            {"scope": "everything"}, {"headers": {"kid": "another"}},
        ):  # fmt: skip
            assert status(**bad) == 400, bad
        shared = "a shared secret that is long enough for the algorithm"
        refused = ask_token(account, jwt.encode(claims_of(account, known), shared, "HS256", kid))
        assert (refused.status_code, refused.json()) == (400, {"error": "invalid_request"})


def test_rs256_is_refused_although_the_key_is_right() -> None:
    with running() as account:
        known = account.logins.generate("PS256")
        wrong = jwt.encode(claims_of(account, known), known["private_key"], "RS256", {"kid": known["certificate_id"]})
        assert ask_token(account, wrong).status_code == 400


def test_a_revoked_certificate_asks_for_a_person_and_says_no_secret() -> None:
    with running() as account:
        known = account.logins.generate("ES256")
        account.logins.revoke_certificate(known["client_id"], known["certificate_id"])
        with pytest.raises(NeedsOperator, match="certificate") as caught:
            read(account.connect(auth="m2m", **known), CUSTOMERS)
        assert known["client_id"] not in str(caught.value)
        assert account.total_requests <= 2


@pytest.mark.parametrize("auth", ["tba", "m2m"])
def test_a_login_refused_for_ever_is_tried_a_few_times_only(auth: str) -> None:
    with running() as account:
        login = account.logins.generate("ES256") if auth == "m2m" else {}
        account.faults.add(Faults.status(401, times=None, match=is_data))
        connector = account.connect(auth=auth, **login)
        for _ in range(3):
            before = account.total_requests
            with pytest.raises(NeedsOperator, match="login"):
                read(connector, CUSTOMERS)
            assert account.total_requests - before <= 5


def test_an_ended_token_is_renewed_within_a_read() -> None:
    with running() as account:
        for number in range(6):
            account.insert("customer", {"companyname": f"C{number}"})
        account.wait(3600)
        connector = account.connect(auth="m2m", page_size=2, **account.logins.generate("ES256"))
        found: list[Record] = []
        for page in connector.changes(CUSTOMERS, since=None):
            found += page.records
            account.logins.forget_tokens()
        assert len(found) == 6


def test_a_clock_that_is_wrong_is_corrected_by_the_servers() -> None:
    with running() as account:
        account.now = lambda: account.moment + timedelta(hours=2)  # the connection's clock stays behind
        assert read(account.connect(), CUSTOMERS)[0] == []
        assert read(account.connect(auth="m2m", **account.logins.generate("ES256")), CUSTOMERS)[0] == []


def test_an_overload_that_looks_like_a_bad_login_is_waited_out() -> None:
    with running() as account:
        account.concurrency_limit, account.others_running, account.over_limit_answer = 5, 5, 401
        waits: list[float] = []

        def others_finish(seconds: float) -> None:
            account.others_running = 0
            waits.append(seconds)

        settings = NetSuiteConfig(account=account.account, base_url=account.url, allow_loopback=True, **account.login)
        assert read(connect(settings, clock=lambda: account.moment, sleep=others_finish), CUSTOMERS)[0] == []
        assert waits[0] >= 5


@pytest.mark.parametrize("status", [429, 400])
def test_a_storm_of_concurrency_errors_ends_in_sync(status: int) -> None:
    with running() as account:
        account.insert("customer", {"companyname": "C"})
        account.wait(3600)
        body = {
            "status": status,
            "o:errorDetails": [{"detail": "blocked", "o:errorCode": "CONCURRENCY_LIMIT_EXCEEDED"}],
        }
        account.faults.add(Faults.status(status, times=6, match=is_data, body=body))
        assert len(read(account.connect(), CUSTOMERS)[0]) == 1
        assert sum(account.waits) > 15  # three tries of a second each are known to be too few
        account.faults.add(Faults.status(status, times=None, match=is_data, body=body))
        before = account.total_requests
        with pytest.raises(RetryLater):
            read(account.connect(), CUSTOMERS)
        assert account.total_requests - before <= 12
