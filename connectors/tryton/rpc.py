"""Calls methods of models over JSON-RPC, logged in by a session or by the password itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connectors.errors import NeedsOperator
from connectors.http import Answer, Authenticator, BearerTokens, Http
from connectors.tryton.config import TrytonConfig
from connectors.tryton.errors import Fault, raise_for, result_of
from connectors.tryton.values import typed

Rows = list[dict[str, Any]]
LANGUAGE = "en"


def open_session(config: TrytonConfig, login: Http) -> str:
    """Log in by the password; the session, as it goes with each request. Raises: ``NeedsOperator`` when it is refused."""
    secret = {"password": config.password.get_secret_value()}
    body = _body("common.db.login", (config.user, secret, LANGUAGE))
    answer = result_of(_post(login, path_of(config), body, "common.db.login", idempotent=True))
    if not isinstance(answer, list) or len(answer) < 2:
        raise NeedsOperator("tryton: the login answered without a session; is url a Tryton server of series 7 or 8?")
    return _base64(f"{config.user}:{answer[0]}:{answer[1]}")


class Passwords:
    """An :class:`~connectors.http.Authenticator` that sends user and password with every request."""

    def __init__(self, config: TrytonConfig) -> None:
        self._header = "Basic " + _base64(f"{config.user}:{config.password.get_secret_value()}")

    def headers(self, method: str, url: str) -> Mapping[str, str]:
        """The same for every request."""
        return {"Authorization": self._header}

    def refresh(self, rejected: Mapping[str, str]) -> None:
        """Nothing to renew."""


class Rpc:
    """Methods of models, called in the integration user's context (company, English, archived records too)."""

    def __init__(self, config: TrytonConfig, http: Http) -> None:
        self._config = config
        self._http = http
        self._context: dict[str, Any] | None = None
        self._heard_at: datetime | None = None

    @property
    def page_size(self) -> int:
        """Records that may be asked for at a time."""
        return self._config.page_size

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._http.calls

    def call(
        self,
        model: str,
        method: str,
        *arguments: Any,
        idempotent: bool = True,
        context: Mapping[str, Any] | None = None,
    ) -> Any:
        """What the method of a model returns. Raises: see :func:`~connectors.tryton.errors.raise_for`."""
        return self.ask(f"model.{model}.{method}", *arguments, idempotent=idempotent, context=context)

    def ask(self, name: str, *arguments: Any, idempotent: bool, context: Mapping[str, Any] | None = None) -> Any:
        """What any method returns, as Tryton writes it; ``context`` is added to the user's own."""
        own = {**self._own_context(), **(context or {})}
        body = _body(name, (*arguments, own))
        answer = _post(self._http, path_of(self._config), body, name, idempotent=idempotent)
        self._heard_at = answer.received_at
        return result_of(answer)

    def search_read(
        self, model: str, domain: Sequence[Any], limit: int, order: Sequence[tuple[str, str]], fields: Sequence[str]
    ) -> Rows:
        """The first ``limit`` records in this order."""
        found = self.call(model, "search_read", domain, 0, limit, order, list(fields))
        return found if isinstance(found, list) else []

    def server_time(self) -> datetime:
        """What time it is there, in whole seconds. Raises: ``NeedsOperator`` when the answer has no ``Date``."""
        answer = _post(
            self._http, "/rpc/", _body("common.server.version", ()), "common.server.version", idempotent=True
        )
        if answer.received_at is None:
            raise NeedsOperator(
                "tryton: the server's time cannot be read; is there a proxy that drops the Date header?"
            )
        return answer.received_at

    def now(self) -> datetime:
        """What time it was there at the last answer; asked for when there is none. Raises: as :meth:`server_time`."""
        return self._heard_at or self.server_time()

    def user(self) -> str:
        """Who we are there, and in which company."""
        context = self._own_context()
        return f"{self._config.user} in {context.get('company.rec_name') or 'no company'}"

    def company(self) -> int | None:
        """The company that we work in."""
        found = self._own_context().get("company")
        return found if isinstance(found, int) else None

    def _own_context(self) -> dict[str, Any]:
        if self._context is None:
            body = _body("model.res.user.get_preferences", (True, {}))
            preferences = result_of(
                _post(self._http, path_of(self._config), body, "res.user.get_preferences", idempotent=True)
            )
            company = {} if self._config.company is None else {"company": self._config.company}
            self._context = {**preferences, **company, "language": LANGUAGE, "active_test": False}
        return self._context


def _body(method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"id": 1, "method": method, "params": typed(list(params))}


def _post(http: Http, path: str, body: Mapping[str, Any], name: str, *, idempotent: bool) -> Answer:
    try:
        return http.call("POST", path, json=body, idempotent=idempotent)
    except Fault as fault:
        raise_for(fault, name)


def authenticator(config: TrytonConfig, login: Http) -> Authenticator:
    """What logs the requests of this connection in."""
    if config.auth == "basic":
        return Passwords(config)
    return BearerTokens(lambda: open_session(config, login), scheme="Session")


def path_of(config: TrytonConfig) -> str:
    """The path of the database."""
    return f"/{quote(config.database, safe='')}/rpc/"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
