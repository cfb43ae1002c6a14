"""The Acme connector: pages by change number, upserts by key."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from connectors import base
from connectors.base import Change, Cursor, Description, Page, Query, Record, Usage, Written
from connectors.errors import AnswerLost, ConnectorError, CursorExpired, RecordRejected, RetryLater
from connectors.http import Answer, BearerTokens, Budget, Decision, Fail, Http, decide_by_status

FIELDS = {
    "key": base.Field("key", "Key", "string", unique=True, external_id=True, length=80),
    "name": base.Field("name", "Name", "string", length=255),
    "website": base.Field("website", "Website", "string", length=255),
}
COMPANIES = Description("companies", "Companies", FIELDS)


class AcmeConfig(BaseModel):
    """Settings of one Acme connection; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="https://NAME.acme.example")
    token: SecretStr = Field(description="API token of the integration user")
    page_size: int = Field(default=100, ge=1, le=500)
    allow_loopback: bool = Field(default=False, description="for a simulator on this machine")


def decide(answer: Answer) -> Decision:
    """What an answer means: the one place that knows Acme's codes."""
    if answer.status in (404, 422):
        code = str(answer.json().get("code"))
        return Fail(RecordRejected(f"acme: refused with {code}", code=code, status=answer.status))
    return decide_by_status(answer)


class AcmeConnector:
    """Reads and writes companies over the REST API."""

    def __init__(self, config: AcmeConfig, http: Http) -> None:
        self._config, self._http = config, http

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """Pages in order of the change number, which is also the cursor."""
        after, more = since or "0", True
        if not after.isdigit():
            raise CursorExpired("acme: this cursor was not made by the acme connector")
        while more:
            found = self._get(query.kind, {"after": after, "limit": self._config.page_size})
            after = str(found[-1]["change"]) if found else after
            more = len(found) == self._config.page_size
            yield Page(tuple(_record(query.kind, row, query.fields) for row in found), after, None if more else after)

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """The companies with these ids or keys that are there."""
        for key in keys:
            yield from (_record(kind, row, fields) for row in self._get(kind, {key_field or "id": key}))

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """One call a company: an upsert by key, or an update by id."""
        return [self._write(change) for change in changes]

    def write_calls(self, changes: Sequence[Change]) -> int:
        """API calls that a write would cost."""
        return len(changes)

    def kinds(self) -> list[str]:
        """The objects that there are."""
        return [COMPANIES.kind]

    def describe(self, kind: str) -> Description | None:
        """Its fields; a system that can be asked is asked here."""
        return COMPANIES if kind == COMPANIES.kind else None

    def usage(self) -> Usage:
        """Acme does not say."""
        return Usage(None, None)

    def _get(self, kind: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        if kind != COMPANIES.kind:
            raise ConnectorError(f"acme: there is no object {kind}; there is {COMPANIES.kind}", code="UNKNOWN_OBJECT")
        rows: list[dict[str, Any]] = self._http.call("GET", f"/{kind}", query=query).json(exact=True)["rows"]
        return rows

    def _write(self, change: Change) -> Written:
        body = {**change.fields, change.key_field or "id": change.key}
        try:
            row = self._http.call("PUT" if change.key_field else "PATCH", f"/{change.kind}", json=body).json()
        except RecordRejected as error:
            return Written(change.key, "rejected", code=error.code, message=str(error))
        except AnswerLost as error:  # first: an answer that was lost may also be worth another try
            return Written(change.key, "unknown", message=str(error))
        except RetryLater as error:
            return Written(change.key, "retry", message=str(error))
        return Written(change.key, "done", row["id"], row["created"])


def _record(kind: str, row: dict[str, Any], fields: Sequence[str]) -> Record:
    return Record(kind, row["id"], str(row["change"]), {f: row.get(f) for f in fields}, deleted=row["deleted"])


def connect(
    config: AcmeConfig,
    *,
    budget: Budget | None = None,
    clock: object = None,
    sleep: Callable[[float], None] = time.sleep,
) -> AcmeConnector:
    """A connector for these settings; nothing is called yet."""
    auth = BearerTokens(config.token.get_secret_value)
    return AcmeConnector(
        config, Http(config.url, system="acme", decide=decide, auth=auth, budget=budget, sleep=sleep,
                     allow_loopback=config.allow_loopback),
    )  # fmt: skip
