"""Logging in: a signed assertion for an hour's token (m2m), or a new signature on every attempt (tba)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import jwt
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA256, Client  # type: ignore[import-untyped]
from pydantic import SecretStr

from connectors.errors import NeedsOperator
from connectors.http import Answer, Authenticator, Http
from connectors.logins import TimedTokens
from connectors.netsuite.config import NetSuiteConfig

TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFE = timedelta(minutes=5)
"""NetSuite allows up to an hour; ours is used at once."""
_SKEW_WORTH_ANOTHER_TRY = timedelta(seconds=30)


class ServerClock:
    """Our clock, corrected by the ``Date`` of the answers: signatures more than 5 minutes off are refused."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._skew = timedelta(0)

    def __call__(self) -> datetime:
        """The time on the server, as far as we know."""
        return self._clock() + self._skew

    def observe(self, answer: Answer) -> None:
        """Learn from an answer, also from one that refuses a login."""
        if answer.received_at is not None:
            self._skew = answer.received_at - self._clock()


class SignedRequests:
    """Token-based authentication: nonce, timestamp and signature are new on every attempt."""

    def __init__(self, config: NetSuiteConfig, clock: ServerClock) -> None:
        self._config = config
        self._clock = clock

    def headers(self, method: str, url: str) -> Mapping[str, str]:
        """The signature of one attempt, over method and address with its query; the body is not part of it."""
        config = self._config
        client = Client(
            _plain(config.consumer_key),
            client_secret=_plain(config.consumer_secret),
            resource_owner_key=_plain(config.token_id),
            resource_owner_secret=_plain(config.token_secret),
            signature_method=SIGNATURE_HMAC_SHA256,
            realm=config.realm,
            timestamp=str(int(self._clock().timestamp())),
        )
        _, signed, _ = client.sign(url, http_method=method)
        return {"Authorization": str(signed["Authorization"])}

    def refresh(self, rejected: Mapping[str, str]) -> None:
        """Nothing to renew: the next attempt is signed anew anyway."""


class CertificateTokens(TimedTokens):
    """Machine-to-machine tokens. Raises, at a login: ``NeedsOperator`` when NetSuite refuses the certificate."""

    def __init__(self, config: NetSuiteConfig, login: Http, clock: ServerClock) -> None:
        super().__init__(self._fetched, clock)
        self._config = config
        self._login = login

    def _fetched(self) -> tuple[str, timedelta]:
        assumed = self._clock()
        try:
            answer = self._ask(assumed)
        except NeedsOperator:
            # The refusal carries the server's time; when ours was far off, that was the reason.
            if abs(self._clock() - assumed) < _SKEW_WORTH_ANOTHER_TRY:
                raise
            answer = self._ask(self._clock())
        body = answer.json()
        token = body.get("access_token") if isinstance(body, dict) else None
        if not isinstance(token, str) or not token:
            raise NeedsOperator("netsuite: the login answered without a token; check the integration record")
        return token, timedelta(seconds=int(body.get("expires_in", 3600)))

    def _ask(self, now: datetime) -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion(self._config, now),
        }
        # Asking twice is harmless: tokens are independent of each other.
        return self._login.call("POST", TOKEN_PATH, form=form, idempotent=True)


def assertion(config: NetSuiteConfig, now: datetime) -> str:
    """The signed JWT that asks for a token. Raises: ``NeedsOperator`` for a key that does not fit the algorithm."""
    claims: dict[str, Any] = {
        "iss": config.client_id,
        "scope": ["rest_webservices"],
        "aud": config.url + TOKEN_PATH,
        "iat": int(now.timestamp()),
        "exp": int((now + ASSERTION_LIFE).timestamp()),
    }
    headers = {"kid": config.certificate_id}
    try:
        return jwt.encode(claims, _plain(config.private_key), algorithm=config.algorithm, headers=headers)
    except (ValueError, TypeError, jwt.PyJWTError):
        kind = "an RSA" if config.algorithm.startswith("PS") else "an elliptic-curve"
        message = f"netsuite: private_key is not {kind} private key in PEM form, as {config.algorithm} needs"
        raise NeedsOperator(message) from None


def authenticator(config: NetSuiteConfig, login: Http, clock: ServerClock) -> Authenticator:
    """What logs the requests of this connection in."""
    return SignedRequests(config, clock) if config.auth == "tba" else CertificateTokens(config, login, clock)


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""
