"""Logging in: client credentials or a signed assertion; one token for all workers, renewed once when refused."""

from __future__ import annotations

import base64
from datetime import timedelta
from urllib.parse import urlsplit

from connectors.errors import NeedsOperator
from connectors.http import BearerTokens, Http
from connectors.salesforce.config import SalesforceConfig

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFE = timedelta(minutes=3)
"""Salesforce refuses assertions that live longer than 5 minutes."""


def tokens(config: SalesforceConfig, login: Http) -> BearerTokens:
    """Bearer tokens of this connection; ``login`` calls the org without credentials (``decide_login``)."""
    return BearerTokens(lambda: fetch_token(config, login))


def fetch_token(config: SalesforceConfig, login: Http) -> str:
    """Log in and return an access token. Raises: ``NeedsOperator`` when the login is refused or for another host."""
    headers, form = _client(config) if config.auth == "client_credentials" else _assertion(config, login)
    # Asking twice is harmless: each token is one more session.
    body = login.call("POST", "/services/oauth2/token", form=form, headers=headers, idempotent=True).json()
    token, instance = body.get("access_token"), str(body.get("instance_url", ""))
    if not token:
        raise NeedsOperator("salesforce: the login answered without a token; check the External Client App")
    if instance and urlsplit(instance).hostname != urlsplit(config.url).hostname:
        host = urlsplit(instance).hostname
        raise NeedsOperator(
            f"salesforce: the login is for {host}, the connection for another host; set url to https://{host}"
        )
    return str(token)


def _client(config: SalesforceConfig) -> tuple[dict[str, str], dict[str, str]]:
    secret = config.client_secret.get_secret_value() if config.client_secret else ""
    basic = base64.b64encode(f"{config.client_id}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {basic}"}, {"grant_type": "client_credentials"}


def _assertion(config: SalesforceConfig, login: Http) -> tuple[dict[str, str], dict[str, str]]:
    import jwt  # brings cryptography along: 60 ms that only this flow needs

    # Dated by the org's clock, not ours: a few minutes' difference would spoil every login.
    now = login.call("GET", "/services/data").received_at
    if now is None or config.private_key is None:
        raise NeedsOperator("salesforce: the org's answer has no Date header; check the url")
    claims = {"iss": config.client_id, "sub": config.username, "aud": config.audience, "exp": now + ASSERTION_LIFE}
    try:
        assertion = jwt.encode(claims, config.private_key.get_secret_value(), algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):
        raise NeedsOperator("salesforce: private_key is not an RSA private key in PEM form") from None
    return {}, {"grant_type": JWT_BEARER, "assertion": assertion}
