"""Who may call: OAuth 2.0 machine-to-machine tokens and token-based authentication (OAuth 1.0), checked in full."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from connectors.netsuite.simulator.answers import Refused
from connectors.simulation import SimRequest, SimResponse

TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"
ALGORITHMS = ("PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_AUTH_PARAM = re.compile(r'\s*([A-Za-z_]+)="([^"]*)"')


@dataclass(frozen=True)
class TokenPair:
    """The four values of token-based authentication, as the account knows them."""

    consumer_key: str
    consumer_secret: str
    token_id: str
    token_secret: str


@dataclass
class Logins:
    """Certificates, tokens and nonces of one account. Times in seconds."""

    account: str
    now: Callable[[], datetime]
    token_lifetime_seconds: int = 3600
    clock_skew_seconds: int = 300
    tokens_issued: int = 0
    _certificates: dict[tuple[str, str], Any] = field(default_factory=dict)
    _pairs: dict[tuple[str, str], TokenPair] = field(default_factory=dict)
    _tokens: dict[str, float] = field(default_factory=dict)
    _nonces: dict[str, float] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The account's own address."""
        return f"https://{self.account.lower().replace('_', '-')}.suitetalk.api.netsuite.com"

    def register_certificate(self, client_id: str, certificate_id: str, public_key_pem: str) -> None:
        """Map an integration and certificate to the integration user."""
        self._certificates[client_id, certificate_id] = serialization.load_pem_public_key(public_key_pem.encode())

    def revoke_certificate(self, client_id: str, certificate_id: str) -> None:
        """End a mapping; tokens already given stay valid until they expire."""
        del self._certificates[client_id, certificate_id]

    def register_tokens(self, pair: TokenPair) -> None:
        """Accept token-based authentication with these values."""
        self._pairs[pair.consumer_key, pair.token_id] = pair

    def forget_tokens(self) -> None:
        """End every access token given so far."""
        self._tokens.clear()

    def generate(self, algorithm: str) -> dict[str, Any]:
        """A new integration with its own key pair: the settings of a connection that logs in by certificate."""
        if algorithm.startswith("PS"):
            key: Any = rsa.generate_private_key(public_exponent=65537, key_size=3072)
        else:
            curve = {
                "ES256": ec.SECP256R1(),
                "ES384": ec.SECP384R1(),
                "ES512": ec.SECP521R1(),
            }[algorithm]
            key = ec.generate_private_key(curve)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        client, certificate = secrets.token_hex(32), f"cert{secrets.token_hex(8)}"
        self.register_certificate(client, certificate, public.decode())
        return {
            "client_id": client,
            "certificate_id": certificate,
            "private_key": private,
            "algorithm": algorithm,
        }

    def generate_tokens(self) -> dict[str, Any]:
        """A new set of values of token-based authentication."""
        pair = TokenPair(*(secrets.token_hex(32) for _ in range(4)))
        self.register_tokens(pair)
        return {
            "consumer_key": pair.consumer_key,
            "consumer_secret": pair.consumer_secret,
            "token_id": pair.token_id,
            "token_secret": pair.token_secret,
        }

    def token(self, request: SimRequest) -> SimResponse:
        """The token endpoint."""
        form = request.form()
        if form.get("grant_type") != ["client_credentials"] or form.get("client_assertion_type") != [_ASSERTION]:
            return _oauth_error("invalid_request")
        try:
            self._check_assertion((form.get("client_assertion") or [""])[0], request)
        except _BadRequest:
            return _oauth_error("invalid_request")
        except (jwt.PyJWTError, KeyError, ValueError, TypeError):
            return _oauth_error("invalid_grant")
        token = secrets.token_urlsafe(48)
        self._tokens[token] = self.now().timestamp() + self.token_lifetime_seconds
        self.tokens_issued += 1
        answer = {
            "access_token": token,
            "expires_in": str(self.token_lifetime_seconds),
            "token_type": "Bearer",
        }
        return SimResponse.json(answer)

    def _check_assertion(self, assertion: str, request: SimRequest) -> None:
        head = jwt.get_unverified_header(assertion)
        if head.get("alg") not in ALGORITHMS:
            raise _BadRequest
        issuer = jwt.decode(assertion, options={"verify_signature": False})["iss"]
        key = self._certificates[issuer, head["kid"]]
        options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False,
                        "require": ["iss", "scope", "aud", "iat", "exp"]}  # fmt: skip
        claims = jwt.decode(assertion, key, algorithms=[head["alg"]], options=options)
        if claims["aud"] not in (request.host_url + TOKEN_PATH, self.host + TOKEN_PATH):
            raise ValueError("aud")
        now, issued, expires = (
            self.now().timestamp(),
            float(claims["iat"]),
            float(claims["exp"]),
        )
        if not (issued - self.clock_skew_seconds <= now < expires and 0 < expires - issued <= 3600):
            raise ValueError("exp")
        scope = claims["scope"]
        names = scope if isinstance(scope, list) else re.split(r"[ ,]+", scope)
        if (
            not set(names) <= {"rest_webservices", "restlets", "suite_analytics", "mcp"}
            or "rest_webservices" not in names
        ):
            raise ValueError("scope")

    def check(self, request: SimRequest) -> None:
        """Let a logged-in request pass. Raises: ``Refused`` (401) for any other."""
        header = request.headers.get("Authorization", "")
        if header.startswith("Bearer "):
            if self._tokens.get(header.removeprefix("Bearer "), 0) > self.now().timestamp():
                return
            raise invalid_login("INVALID_LOGIN")
        if header.startswith("OAuth ") and self._signature_holds(request, dict(_AUTH_PARAM.findall(header[6:]))):
            return
        raise invalid_login()

    def _signature_holds(self, request: SimRequest, sent: dict[str, str]) -> bool:
        values = {name: unquote(value) for name, value in sent.items()}
        pair = self._pairs.get((values.get("oauth_consumer_key", ""), values.get("oauth_token", "")))
        if pair is None or values.get("realm") != self.account.upper().replace("-", "_"):
            return False
        if values.get("oauth_signature_method") != "HMAC-SHA256" or not values.get("oauth_timestamp", "").isdigit():
            return False
        now = self.now().timestamp()
        nonce = f"{pair.token_id}:{values.get('oauth_nonce')}"
        if abs(now - int(values["oauth_timestamp"])) > self.clock_skew_seconds or nonce in self._nonces:
            return False
        signed = [(n, v) for n, v in values.items() if n not in ("realm", "oauth_signature")]
        signed += parse_qsl(request.raw_query, keep_blank_values=True)
        hosts = (request.host_url, self.host)
        good = any(
            hmac.compare_digest(
                signature(request.method, host + request.path, signed, pair),
                values["oauth_signature"],
            )
            for host in hosts
        )
        if good:
            self._nonces = {n: at for n, at in self._nonces.items() if now - at <= 2 * self.clock_skew_seconds}
            self._nonces[nonce] = now
        return good


def signature(method: str, url: str, parameters: Sequence[tuple[str, str]], pair: TokenPair) -> str:
    """HMAC-SHA256 over the OAuth 1.0 base string (RFC 5849, 3.4.1), in base64."""
    pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in parameters)
    joined = "&".join(f"{name}={value}" for name, value in pairs)
    base = "&".join(quote(part, safe="~") for part in (method.upper(), url, joined))
    key = f"{quote(pair.consumer_secret, safe='~')}&{quote(pair.token_secret, safe='~')}"
    return base64.b64encode(hmac.new(key.encode(), base.encode(), hashlib.sha256).digest()).decode()


def invalid_login(code: str = "INVALID_LOGIN_ATTEMPT") -> Refused:
    """The refusal of a login; the vendor never says what was wrong with it."""
    detail = "Invalid login attempt. For more details, see the Login Audit Trail in the NetSuite UI."
    return Refused(401, code, detail)


class _BadRequest(Exception):
    pass


def _oauth_error(code: str) -> SimResponse:
    return SimResponse.json({"error": code}, 400)
