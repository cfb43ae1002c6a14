"""A Salesforce org on loopback: the REST API as far as the connector (and an independent client) uses it.

Order of checks as in the vendor's front end: address length, version, session, quota, then the resource.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from connectors.salesforce.simulator.answers import Refusal, body_of, header_flag, not_found
from connectors.salesforce.simulator.composite import composite
from connectors.salesforce.simulator.describe import describe, global_describe
from connectors.salesforce.simulator.evaluate import Evaluator
from connectors.salesforce.simulator.events import Events, channel_of
from connectors.salesforce.simulator.jobs import Jobs
from connectors.salesforce.simulator.oauth import Refused, Sessions
from connectors.salesforce.simulator.objects import standard_objects
from connectors.salesforce.simulator.paging import Pages
from connectors.salesforce.simulator.records import Records
from connectors.salesforce.simulator.rows import Rows
from connectors.salesforce.simulator.schema import FieldSpec, ObjectSpec
from connectors.salesforce.simulator.soql import SoqlError, parse
from connectors.salesforce.simulator.values import Row, stamp_of
from connectors.salesforce.simulator.writes import Rules, Saved, Writes
from connectors.simulation import Fault, Faults, SimRequest, SimResponse, Simulator

ORG_ID = "00DHs0000000001MAA"
LONGEST_ADDRESS = 16_384
OLDEST_VERSION = 31
QUOTA_MESSAGE = "TotalRequests Limit exceeded."


class SalesforceSimulator(Simulator):
    """One org. Seed it through ``insert``, ``update``, ``delete``, ``undelete``, ``merge``, ``convert_lead``.

    Switches: ``sessions`` (applications, users, token lifetime), ``rows.commit_delay_seconds``, ``pages``
    (shrinking, empty pages, locator lifetime), ``jobs`` (Bulk API 2.0: states, parts, failures), ``rules`` (validation, duplicates, locks), ``hide``/``reveal``,
    ``daily_requests``, ``per_app_limit``, ``faults``.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        port: int = 0,
        journal_path: Path | None = None,
        newest_version: float = 62.0,
    ) -> None:
        super().__init__(now=now, port=port, journal_path=journal_path)
        self.objects: dict[str, ObjectSpec] = standard_objects()
        self.events = Events(lambda: self.now(), self.lock, lambda: self.rows.commit_due())
        self.rows = Rows(self.objects, lambda: self.now(), self.events.happened)
        self.sessions = Sessions(lambda: self.now(), ORG_ID, self.rows.user_id)
        self.newest_version = newest_version
        self.daily_requests = 100_000
        self.requests_used = 0
        self.per_app_limit: tuple[str, int] | None = None
        """(application, limit): adds the per-app part to Sforce-Limit-Info"""
        self.forget_sessions = False
        """every session is refused, however new"""
        self.schema_changed_at = self.now()
        self._hidden: set[tuple[str, str]] = set()
        self._read_only: set[tuple[str, str]] = set()
        self._writes = Writes(self.rows, self.visible, self.writable)
        self._evaluator = Evaluator(self.rows, self.visible)
        self.pages = Pages(self._evaluator, lambda: self.now())
        self.jobs = Jobs(self.rows, self._evaluator, self._writes, lambda: self.now(), self._applied)
        self._records = Records(self.rows, self._writes, self._evaluator, self._applied)

    def settings(self) -> dict[str, Any]:
        """Settings of a connection to this org: client credentials of its application."""
        client_id, client_secret = next(iter(self.sessions.applications.items()))
        return {"url": self.url, "client_id": client_id, "client_secret": client_secret, "allow_loopback": True}

    @property
    def rules(self) -> Rules:
        """Validation rules, duplicate rules and row locks."""
        return self._writes.rules

    # -- seeding, as people and other programs in the org

    def insert(self, name: str, fields: Mapping[str, Any]) -> str:
        """Add a row; returns its 18-character id."""
        with self.lock:
            return self.rows.insert(name, fields)

    def update(self, name: str, record_id: str, fields: Mapping[str, Any]) -> None:
        """Change a row."""
        with self.lock:
            self.rows.update(name, record_id, fields)

    def delete(self, name: str, record_id: str) -> None:
        """Move a row to the bin."""
        with self.lock:
            self.rows.delete(name, record_id)

    def undelete(self, name: str, record_id: str) -> None:
        """Take a row out of the bin."""
        with self.lock:
            self.rows.undelete(name, record_id)

    def merge(self, winner: str, loser: str) -> None:
        """Merge two accounts, contacts or leads."""
        with self.lock:
            self.rows.merge(winner, loser)

    def convert_lead(
        self, lead_id: str, account_id: str | None = None, opportunity: Mapping[str, Any] | None = None
    ) -> tuple[str, str, str | None]:
        """Convert a lead: ids of account, contact and (when fields are given) opportunity."""
        with self.lock:
            return self.rows.convert_lead(lead_id, account_id, opportunity)

    def get(self, name: str, record_id: str) -> Row | None:
        """A copy of the row as it is visible now (nulls are absent); ``None`` when there is none."""
        with self.lock:
            row = self.rows.find(name, record_id)
            return dict(row) if row else None

    def all_rows(self, name: str, *, deleted: bool = False) -> list[Row]:
        """Copies of all visible rows of an object."""
        with self.lock:
            return [dict(row) for row in self.rows.table(name).values() if deleted or not row["IsDeleted"]]

    def add_field(self, name: str, field: FieldSpec) -> None:
        """Add a custom field to an object, as an administrator does."""
        with self.lock:
            self.rows.add_field(name, field)
            self.schema_changed_at = self.now()

    def hide(self, name: str, *fields: str) -> None:
        """Take read access to fields from the integration user (they vanish from the API)."""
        with self.lock:
            self._hidden |= {(name, field) for field in fields}
            self.schema_changed_at = self.now()

    def reveal(self, name: str, *fields: str) -> None:
        """Give read access back."""
        with self.lock:
            self._hidden -= {(name, field) for field in fields}
            self.schema_changed_at = self.now()

    def make_read_only(self, name: str, *fields: str) -> None:
        """Take write access to fields from the integration user."""
        with self.lock:
            self._read_only |= {(name, field) for field in fields}
            self.schema_changed_at = self.now()

    def make_writable(self, name: str, *fields: str) -> None:
        """Give write access back."""
        with self.lock:
            self._read_only -= {(name, field) for field in fields}
            self.schema_changed_at = self.now()

    def visible(self, name: str, field: str) -> bool:
        """Whether the integration user sees the field."""
        return (name, field) not in self._hidden

    def writable(self, name: str, field: str) -> bool:
        """Whether the integration user may write the field."""
        return (name, field) not in self._read_only

    @staticmethod
    def error(
        status: int, code: str, message: str, *, times: int | None = 1,
        match: Callable[[SimRequest], bool] = lambda request: "/oauth2/" not in request.path, after: int = 0,
    ) -> Fault:  # fmt: skip
        """A fault that answers with the vendor's error list."""
        return Faults.status(
            status, times=times, match=match, body=[{"message": message, "errorCode": code}], after=after
        )

    # -- requests

    def route(self, request: SimRequest) -> str:
        """``/services/data/v62.0/sobjects/Lead/describe`` is counted as ``sobjects/Lead/describe``."""
        parts = request.segments
        if parts[:2] == ("services", "data"):
            rest = parts[3:]
            if rest[:1] == ("jobs",):
                return "/".join((*rest[:2], *rest[3:]))
            return "query/more" if rest[:1] == ("query",) and len(rest) > 1 else "/".join(rest[:3]) or "versions"
        return "/".join(parts)

    def handle(self, request: SimRequest) -> SimResponse:
        """Answer one request."""
        try:
            return self._front(request)
        except Refusal as refusal:
            return SimResponse(refusal.status, refusal.body)
        except SoqlError as error:
            return SimResponse(400, [{"message": error.message, "errorCode": error.code}])
        except Refused as refused:
            return SimResponse(400, {"error": refused.error, "error_description": refused.description})

    def _front(self, request: SimRequest) -> SimResponse:
        if len(request.path) + len(request.raw_query) > LONGEST_ADDRESS:
            return SimResponse.text("<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>", 414, "text/html")
        parts = request.segments
        if parts == ("services", "oauth2", "token") and request.method == "POST":
            form = {key: values[0] for key, values in request.form().items()}
            return SimResponse(200, self.sessions.token(form, request.headers.get("Authorization", ""), self.url))
        if parts == ("services", "oauth2", "revoke") and request.method == "POST":
            self.sessions.revoke(request.form().get("token", [""])[0])
            return SimResponse.empty(200)
        if parts[:1] == ("cometd",) and len(parts) == 2:
            return self._told(request, parts[1])
        if parts[:2] != ("services", "data"):
            raise not_found()
        if len(parts) == 2:
            return SimResponse(200, self._versions())
        version = self._version(parts[2])
        if self.forget_sessions or not self.sessions.accepts(request.headers.get("Authorization", "")):
            raise Refusal(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if self.requests_used >= self.daily_requests:
            raise Refusal(403, "REQUEST_LIMIT_EXCEEDED", QUOTA_MESSAGE)
        self.requests_used += 1
        answer = self._resource(request, parts[3:], version)
        return SimResponse(answer.status, answer.body, {**answer.headers, "Sforce-Limit-Info": self._limit_info()})

    def _told(self, request: SimRequest, version: str) -> SimResponse:
        """Change events: Bayeux messages, which count for no quota."""
        self._version(f"v{version}")
        accepted = not self.forget_sessions and self.sessions.accepts(request.headers.get("Authorization", ""))
        self.rows.commit_due()
        channels = {channel_of(name) for name in self.objects}
        answers, headers = self.events.answer(request.json(), request.headers, channels, accepted=accepted)
        return SimResponse(200, answers, headers)

    def _versions(self) -> list[dict[str, str]]:
        newest = int(self.newest_version)
        return [
            {"label": f"Release {number}", "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
            for number in range(OLDEST_VERSION, newest + 1)
        ]

    def _version(self, text: str) -> str:
        try:
            number = float(text.removeprefix("v"))
        except ValueError:
            raise not_found() from None
        if number < OLDEST_VERSION:
            raise Refusal(410, "UNSUPPORTED_API_VERSION", f"Version {number} is retired")
        if number > self.newest_version:
            raise not_found()
        return text

    def _limit_info(self) -> str:
        info = f"api-usage={self.requests_used}/{self.daily_requests}"
        if self.per_app_limit:
            name, limit = self.per_app_limit
            info += f"; per-app-api-usage={self.requests_used}/{limit}(appName={name})"
        return info

    def _resource(self, request: SimRequest, parts: tuple[str, ...], version: str) -> SimResponse:
        match (request.method, *parts):
            case ("GET", "query" | "queryAll" as name):
                return SimResponse(200, self._query(request, version, deleted=name == "queryAll"))
            case ("GET", "query" | "queryAll", locator):
                return SimResponse(200, self.pages.following(locator, version))
            case ("GET", "limits"):
                left = {"Max": self.daily_requests, "Remaining": self.daily_requests - self.requests_used}
                return SimResponse(200, {"DailyApiRequests": left, "DailyBulkV2QueryJobs": self.jobs.left()})
            case ("GET", "sobjects"):
                return SimResponse(200, global_describe(self.objects.values(), version))
            case (_, "sobjects", name, *rest):
                return self._sobject(request, self._spec(name), rest, version)
            case ("POST", "composite"):
                return SimResponse(200, composite(request, version, self._resource, self.faults))
            case (method, "jobs", lane, *rest):
                ask = {key: values[0] for key, values in request.query.items()}
                return self.jobs.answer(method, lane, rest, request.body, ask, version)
            case (_, "composite", "sobjects", *rest):
                return self._collection(request, rest, version)
        raise not_found()

    def _query(self, request: SimRequest, version: str, *, deleted: bool) -> dict[str, Any]:
        query = parse(request.query.get("q", [""])[0])
        rows, shape = self._evaluator.run(query, deleted=deleted)
        if query.count:
            return {"totalSize": len(rows), "done": True, "records": []}
        return self.pages.first(rows, shape, request.headers.get("Sforce-Query-Options", ""), version)

    def _sobject(self, request: SimRequest, spec: ObjectSpec, rest: list[str], version: str) -> SimResponse:
        user = self.rows.user_id
        allow = header_flag(request.headers, "Sforce-Duplicate-Rule-Header", "allowSave")
        query = {key: values[0] for key, values in request.query.items()}
        match (request.method, *rest):
            case ("GET", "describe"):
                return self._describe(request, spec, version)
            case ("GET", "updated"):
                return SimResponse(200, self._records.updated(spec, query.get("start", ""), query.get("end", "")))
            case ("GET", "deleted"):
                return SimResponse(200, self._records.deleted(spec, query.get("start", ""), query.get("end", "")))
            case ("POST",):
                return SimResponse(201, self._records.insert(spec, body_of(request.body), user, allow))
            case ("GET", record_id):
                return SimResponse(200, self._shown(spec, record_id, query.get("fields", ""), version))
            case ("GET", field, key):
                record_id = self._records.id_of(spec, field, key, version)
                return SimResponse(200, self._shown(spec, record_id, query.get("fields", ""), version))
            case ("PATCH", record_id):
                unless = self._unless(request)
                self._records.update(spec, record_id, body_of(request.body), user, allow, unless)
                return SimResponse.empty()
            case ("DELETE", record_id):
                self._records.delete(spec, record_id, user)
                return SimResponse.empty()
            case ("PATCH", field, key):
                only = query.get("updateOnly") == "true"
                done = self._records.upsert(spec, field, key, body_of(request.body), user, allow, only, version)
                return SimResponse(201 if done["created"] else 200, done)
        raise not_found()

    def _shown(self, spec: ObjectSpec, record_id: str, fields: str, version: str) -> dict[str, Any]:
        names = [name for name in fields.split(",") if name]
        return self._records.get(
            spec, record_id, names or [name for name in spec.fields if self.visible(spec.name, name)], version
        )

    def _collection(self, request: SimRequest, rest: list[str], version: str) -> SimResponse:
        user = self.rows.user_id
        allow = header_flag(request.headers, "Sforce-Duplicate-Rule-Header", "allowSave")
        query = {key: values[0] for key, values in request.query.items()}
        match (request.method, *rest):
            case ("POST" | "PATCH" as method,):
                return SimResponse(200, self._records.collection(body_of(request.body), method, user, allow, None))
            case ("PATCH", name, field):
                spec = self._spec(name)
                target = (spec, self._records.key_field(spec, field))
                return SimResponse(200, self._records.collection(body_of(request.body), "PATCH", user, allow, target))
            case ("DELETE",):
                all_or_none = query.get("allOrNone") == "true"
                return SimResponse(200, self._records.delete_many(query.get("ids", "").split(","), all_or_none, user))
            case ("GET", name):
                ids, names = query.get("ids", "").split(","), query.get("fields", "").split(",")
                return SimResponse(200, self._records.retrieve(self._spec(name), ids, names, version))
            case ("POST", name):
                body = body_of(request.body)
                return SimResponse(200, self._records.retrieve(self._spec(name), body["ids"], body["fields"], version))
        raise not_found()

    def _describe(self, request: SimRequest, spec: ObjectSpec, version: str) -> SimResponse:
        since = request.headers.get("If-Modified-Since")
        if since and parsedate_to_datetime(since) >= self.schema_changed_at.replace(microsecond=0):
            return SimResponse.empty(304)
        return SimResponse(200, describe(spec, self.visible, self.writable, version))

    def _unless(self, request: SimRequest) -> str | None:
        text = request.headers.get("If-Unmodified-Since")
        return stamp_of(parsedate_to_datetime(text)) if text else None

    def _spec(self, name: str) -> ObjectSpec:
        try:
            return self._evaluator.object_named(name)
        except SoqlError:
            raise not_found() from None

    def _applied(self, saved: Saved) -> None:
        self.journal.add(saved.object, saved.key, saved.id, saved.action, saved.fields)

    def seed(self, seed: int, companies: int) -> dict[int, str]:
        """Fill the org with that many invented companies, their contacts, and partners and leads among them.

        Returns the id of each company's account by the company's index; leads that were not won have none yet.
        """
        from connectors.salesforce.simulator.seeding import fill  # only seeding needs the invented world

        with self.lock:
            return fill(self.rows, seed, companies)
