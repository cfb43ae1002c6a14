"""The token endpoint: client credentials, JWT bearer and refresh tokens, sessions with a lifetime, nothing else.

Source: "OAuth 2.0 Client Credentials Flow for Server-to-Server Integration", "OAuth 2.0 JWT Bearer Flow",
"OAuth 2.0 Refresh Token Flow for Renewed Sessions". Referee uses no refresh tokens; other programs know no other
login, and have to log in to be asked about the rest.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import jwt

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LONGEST_ASSERTION = timedelta(minutes=5)


class Refused(Exception):
    """An OAuth refusal: ``{error, error_description}`` with status 400."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


class Sessions:
    """Applications, users and live access tokens of one org."""

    def __init__(self, now: Callable[[], datetime], org_id: str, user_id: str) -> None:
        self.now = now
        self.applications: dict[str, str] = {"client-of-tests": "secret-of-tests"}
        """client id → client secret"""
        self.public_keys: dict[str, str] = {}
        """client id → PEM of the certificate's key (JWT bearer)"""
        self.users: dict[str, bool] = {"integration@org.example": True}
        """user name → active and pre-authorised"""
        self.refresh_tokens: dict[str, str] = {"refresh-token-of-tests": "client-of-tests"}
        """refresh token → client id"""
        self.rotate_refresh_tokens = False
        """each use ends a refresh token and gives the next one"""
        self.audiences = {"https://login.salesforce.com", "https://test.salesforce.com"}
        self.lifetime_seconds = 7200.0
        self.tokens_made = 0
        self._org_id, self._user_id = org_id, user_id
        self._live: dict[str, datetime] = {}

    def token(self, form: Mapping[str, str], authorization: str, url: str) -> dict[str, Any]:
        """Answer of ``POST /services/oauth2/token``. Raises: :class:`Refused`."""
        grant = form.get("grant_type", "")
        more: dict[str, str] = {}
        if grant == "client_credentials":
            self._client(form, authorization)
        elif grant == JWT_BEARER:
            self._assertion(form.get("assertion", ""), url)
        elif grant == "refresh_token":
            self._client(form, authorization)
            more = self._refreshed(form)
        else:
            raise Refused("unsupported_grant_type", "grant type not supported")
        self.tokens_made += 1
        issued = self.now()
        token = f"{self._org_id[:15]}!SIMULATED.{self.tokens_made:06d}"
        self._live[token] = issued + timedelta(seconds=self.lifetime_seconds)
        return {
            "access_token": token, "signature": "c2lnbmF0dXJl", "scope": "api", "instance_url": url,
            "id": f"{url}/id/{self._org_id}/{self._user_id}", "token_type": "Bearer",
            "issued_at": str(int(issued.timestamp() * 1000)), **more,
        }  # fmt: skip

    def accepts(self, authorization: str) -> bool:
        """Whether the header carries a live token."""
        scheme, _, token = authorization.partition(" ")
        until = self._live.get(token)
        return scheme in ("Bearer", "OAuth") and until is not None and self.now() < until

    def revoke(self, token: str) -> None:
        """End one session, as ``POST /services/oauth2/revoke`` does. Raises: :class:`Refused`."""
        if self._live.pop(token, None) is None:
            raise Refused("invalid_token", "invalid token")

    def revoke_all(self) -> None:
        """End every session; clients must log in again."""
        self._live.clear()

    def _client(self, form: Mapping[str, str], authorization: str) -> None:
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        if authorization.startswith("Basic "):
            try:
                client, _, secret = base64.b64decode(authorization[6:], validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise Refused("invalid_client", "invalid client credentials") from None
        if client not in self.applications:
            raise Refused("invalid_client_id", "client identifier invalid")
        if secret != self.applications[client]:
            raise Refused("invalid_client", "invalid client credentials")
        if not any(self.users.values()):
            raise Refused("invalid_grant", "no client credentials user enabled")

    def _refreshed(self, form: Mapping[str, str]) -> dict[str, str]:
        old = form.get("refresh_token", "")
        client = self.refresh_tokens.get(old)
        if client is None or client != form.get("client_id"):
            raise Refused("invalid_grant", "expired access/refresh token")
        if not self.rotate_refresh_tokens:
            return {}
        fresh = f"{old.partition('.')[0]}.{self.tokens_made:06d}"
        del self.refresh_tokens[old]
        self.refresh_tokens[fresh] = client
        return {"refresh_token": fresh}

    def _assertion(self, assertion: str, url: str) -> None:
        try:
            claimed = jwt.decode(assertion, options={"verify_signature": False})
            key = self.public_keys[str(claimed.get("iss"))]
            claims = jwt.decode(
                assertion, key, algorithms=["RS256"],
                options={"verify_exp": False, "verify_aud": False, "require": ["iss", "sub", "aud", "exp"]},
            )  # fmt: skip
        except KeyError:
            raise Refused("invalid_client_id", "client identifier invalid") from None
        except jwt.PyJWTError:
            raise Refused("invalid_grant", "invalid assertion") from None
        left = float(claims["exp"]) - self.now().timestamp()
        if left <= 0 or left > LONGEST_ASSERTION.total_seconds():
            raise Refused("invalid_grant", "expired assertion" if left <= 0 else "assertion expires too far ahead")
        if claims["aud"] not in self.audiences | {url}:
            raise Refused("invalid_grant", "audience is invalid")
        if not self.users.get(str(claims["sub"])):
            raise Refused("invalid_grant", "user hasn't approved this consumer")
