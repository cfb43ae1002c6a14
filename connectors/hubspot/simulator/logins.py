"""Logins: tokens of service keys and private apps, and OAuth tokens of half an hour from refresh tokens.

Source: "Manage OAuth access tokens": parameters in the body, never in the address; the refresh token stays the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from connectors.hubspot.simulator.answers import Refusal

LIFE_SECONDS = 1800


class Logins:
    """Tokens and apps of one portal."""

    def __init__(self, now: Callable[[], datetime], portal_id: int) -> None:
        self._now = now
        self._portal_id = portal_id
        self.tokens = {"token-of-tests"}
        """live tokens of service keys and private apps"""
        self.apps = {"client-of-tests": "secret-of-tests"}
        """client id → client secret"""
        self.refresh_tokens = {"refresh-token-of-tests": "client-of-tests"}
        """refresh token → client id"""
        self.rotates = False
        """each use ends a refresh token and gives the next one (HubSpot does not say that it does)"""
        self.grace = timedelta(0)
        """for so long a token that was ended gives its successor once more, as some systems that rotate them do"""
        self._ended: dict[str, tuple[datetime, str]] = {}
        self.missing_scopes: set[str] = set()
        self.tokens_made = 0
        self._live: dict[str, datetime] = {}

    def accept(self, authorization: str) -> None:
        """Let a request in. Raises: :class:`Refusal` 401."""
        scheme, _, token = authorization.partition(" ")
        until = self._live.get(token)
        if scheme == "Bearer" and (token in self.tokens or (until is not None and self._now() < until)):
            return
        if until is not None:
            message = "The OAuth token used to make this call expired."
            raise Refusal(401, "EXPIRED_AUTHENTICATION", message)
        raise Refusal(401, "INVALID_AUTHENTICATION", "Authentication credentials not found or not valid.")

    def need(self, scope: str) -> None:
        """Raises: :class:`Refusal` 403 when the app lacks the scope."""
        if scope in self.missing_scopes:
            context = {"requiredGranularScopes": [scope], "links": ["https://developers.hubspot.com/scopes"]}
            message = "One or more of the following scopes are required."
            raise Refusal(403, "MISSING_SCOPES", message, context=context)

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer of the token endpoint. Raises: :class:`Refusal` 400."""
        client, old = form.get("client_id", ""), form.get("refresh_token", "")
        if form.get("grant_type") != "refresh_token":
            raise Refusal(400, "BAD_GRANT_TYPE", "grant_type must be refresh_token")
        if client not in self.apps:
            raise Refusal(400, "BAD_CLIENT_ID", "missing or unknown client id")
        if form.get("client_secret") != self.apps[client]:
            raise Refusal(400, "BAD_CLIENT_SECRET", "missing or invalid client secret")
        ended_at, successor = self._ended.get(old, (None, ""))
        if ended_at is not None and self._now() - ended_at < self.grace:
            old = successor
        if self.refresh_tokens.get(old) != client:
            raise Refusal(400, "BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        self.tokens_made += 1
        fresh = old
        if self.rotates and old != successor:
            del self.refresh_tokens[old]
            fresh = f"{old.partition('.')[0]}.{self.tokens_made:06d}"
            self.refresh_tokens[fresh] = client
            self._ended[old] = (self._now(), fresh)
        token = f"SIMULATED.{self._portal_id}.{self.tokens_made:06d}"
        self._live[token] = self._now() + timedelta(seconds=LIFE_SECONDS)
        return {
            "access_token": token, "refresh_token": fresh, "expires_in": LIFE_SECONDS, "token_type": "bearer",
            "hub_id": self._portal_id,
        }  # fmt: skip

    def revoke_all(self) -> None:
        """End every OAuth token; clients must log in again."""
        self._live.clear()
