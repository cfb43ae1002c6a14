"""Logging in: a token that stays, or tokens of half an hour that a refresh token renews.

Source: "Manage OAuth access tokens" (all parameters in the body) and "API usage guidelines": a token is renewed when
it is about to end; an answer of 401 alone does not mean that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import structlog
from pydantic import SecretStr

from connectors.errors import NeedsOperator
from connectors.http import Authenticator, Http
from connectors.hubspot.config import HubSpotConfig
from connectors.hubspot.paths import Paths
from connectors.logins import RefreshToken, RefreshTokens, RefreshTokensInMemory, TimedTokens

log = structlog.get_logger(__name__)

SHORTEST_LIFE = timedelta(seconds=1800)
"""Assumed when an answer does not say."""


class StaticToken:
    """The token of a service key or private app: it does not end, so a refused one is for a person."""

    def __init__(self, token: str) -> None:
        self._token = token

    def headers(self, method: str, url: str) -> Mapping[str, str]:
        """The token."""
        return {"Authorization": f"Bearer {self._token}"}

    def refresh(self, rejected: Mapping[str, str]) -> None:
        """Raises: ``NeedsOperator``."""
        raise NeedsOperator(
            "hubspot: the access token is not accepted: it was rotated, revoked, or belongs to another account; "
            "set access_token to the present one",
            code="EXPIRED_AUTHENTICATION",
            status=401,
        )


class RefreshedTokens(TimedTokens):
    """OAuth access tokens. Raises, at a login: ``NeedsOperator`` when HubSpot refuses the refresh token.

    HubSpot gives the same refresh token back. Should it give another one, that is kept in ``kept`` before the access
    token that came with it is used; one process at a time exchanges it.
    """

    def __init__(self, config: HubSpotConfig, login: Http, clock: Callable[[], datetime], kept: RefreshTokens) -> None:
        super().__init__(self._renewed, clock)
        self._config = config
        self._login = login
        self._kept = kept

    def _renewed(self) -> tuple[str, timedelta]:
        with self._kept.exchanging(_plain(self._config.refresh_token)) as held:
            return self._exchanged(held)

    def _exchanged(self, held: RefreshToken) -> tuple[str, timedelta]:
        form = {
            "grant_type": "refresh_token",
            "client_id": self._config.client_id or "",
            "client_secret": _plain(self._config.client_secret),
            "refresh_token": held.value,
        }
        body = self._login.call("POST", Paths(self._config.api_version).token, form=form).json()
        token = body.get("access_token") if isinstance(body, dict) else None
        if not isinstance(token, str) or not token:
            raise NeedsOperator("hubspot: the login answered without a token; check the app")
        fresh = body.get("refresh_token")
        if isinstance(fresh, str) and fresh and fresh != held.value:
            held.replace(fresh)
            log.info("refresh_token_rotated", system="hubspot")
        return token, timedelta(seconds=int(body.get("expires_in") or SHORTEST_LIFE.total_seconds()))


def authenticator(
    config: HubSpotConfig, login: Http, clock: Callable[[], datetime], kept: RefreshTokens | None = None
) -> Authenticator:
    """What logs the requests of this connection in; refresh tokens are kept in memory unless ``kept`` is given."""
    if config.auth == "oauth":
        return RefreshedTokens(config, login, clock, kept or RefreshTokensInMemory())
    return StaticToken(_plain(config.access_token))


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""
