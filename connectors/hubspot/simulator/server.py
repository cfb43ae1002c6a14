"""The simulated portal as a server: routing, versions, logins, limits, and a person's hands in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast

from connectors.hubspot.kinds import STANDARD
from connectors.hubspot.simulator.answers import NoSuchPage, Refusal, body_of, invalid_values, not_found
from connectors.hubspot.simulator.associations import Associations
from connectors.hubspot.simulator.batches import Batches, Results, shown
from connectors.hubspot.simulator.limits import Limits, refused
from connectors.hubspot.simulator.logins import Logins
from connectors.hubspot.simulator.rows import Row, Rows
from connectors.hubspot.simulator.schema import ObjectSpec, PropertySpec
from connectors.hubspot.simulator.search import found_ids
from connectors.hubspot.simulator.standard import portal_objects
from connectors.hubspot.simulator.values import stamp_of
from connectors.hubspot.simulator.webhooks import Webhooks
from connectors.simulation import Action, Fault, Faults, SimRequest, SimResponse, Simulator

PORTAL_ID = 40_400_400
LONGEST_ADDRESS = 16_384
LARGEST_PAGE = 100
_WITHOUT_RECORDS = {*STANDARD, "conversations"} - {"companies", "contacts", "deals", "tickets"}


class HubSpotSimulator(Simulator):
    """A portal. ``now`` is its clock; ``zone`` that in which its day of calls ends."""

    def __init__(
        self, *, now: Callable[[], datetime] | None = None, port: int = 0, journal_path: Path | None = None,
        zone: str = "US/Eastern",
    ) -> None:  # fmt: skip
        super().__init__(now=now, port=port, journal_path=journal_path)
        self.objects: dict[str, ObjectSpec] = portal_objects()
        self.logins = Logins(lambda: self.now(), PORTAL_ID)
        self.webhooks = Webhooks(lambda: self.now(), PORTAL_ID, min(self.logins.apps.values()))
        self.rows = Rows(self.objects, lambda: self.now(), self.webhooks.note)
        self.limits = Limits(lambda: self.now(), zone)
        self.batches = Batches(self.rows, self._note)
        self.associations = Associations(self.rows)
        self.versions = {"2026-03", "2026-09", "v3", "v4"}
        """versions that are answered; others are retired or not there yet"""
        self.most_results = 10_000
        """results of a search, over all its pages"""
        self.records_in_time: int | None = None
        """a list or batch of more records is not answered in time (504)"""
        self.matches_in_time: int | None = None
        """nor is a search that finds more in all"""
        self.slow_ids: set[str] = set()
        """nor is one with one of these records"""
        self.largest_page = LARGEST_PAGE
        self.user_id = "61000001"
        """who the person is that changes records here"""

    def settings(self) -> dict[str, Any]:
        """Settings of a connection to this portal: a private app's token."""
        return {
            "url": self.url, "access_token": min(self.logins.tokens), "webhook_secret": self.webhooks.secret,
            "allow_loopback": True,
        }  # fmt: skip

    # -- seeding, as people and other programs in the portal

    def insert(self, kind: str, properties: Mapping[str, Any], company: str | None = None) -> str:
        """Add a record, associated with a company when one is given; returns its id."""
        with self.lock:
            row = self.rows.insert(kind, self._texts(kind, properties))
            if company is not None:
                self.rows.associate(kind, row.id, "companies", company)
            return row.id

    def update(self, kind: str, record_id: str, properties: Mapping[str, Any]) -> None:
        """Change a record."""
        with self.lock:
            self.rows.update(kind, self._live(kind, record_id), self._texts(kind, properties), user=self.user_id)

    def archive(self, kind: str, record_id: str) -> None:
        """Move a record to the bin."""
        with self.lock:
            self.rows.archive(kind, self._live(kind, record_id))

    def restore(self, kind: str, record_id: str) -> None:
        """Take a record out of the bin."""
        with self.lock:
            self.rows.restore(kind, record_id)

    def merge(self, kind: str, winner: str, loser: str) -> str:
        """Merge two records; returns the id of the one that is left, which may be new."""
        with self.lock:
            return self.rows.merge(kind, winner, loser).id

    def associate(self, kind: str, record_id: str, other: str, other_id: str) -> None:
        """Associate two records; of contacts alone this moves the stamp, since their company is a property too."""
        with self.lock:
            self.rows.associate(kind, record_id, other, other_id)

    def separate(self, kind: str, record_id: str, other: str, other_id: str) -> None:
        """Take an association off."""
        with self.lock:
            self.rows.separate(kind, record_id, other, other_id)

    def get(self, kind: str, record_id: str) -> dict[str, str] | None:
        """The properties of a record that is there now, under whatever id; ``None`` when there is none."""
        with self.lock:
            row = self.rows.live(kind, record_id)
            return dict(row.properties) if row else None

    def all_rows(self, kind: str) -> list[dict[str, str]]:
        """Properties of all records of an object that are there now."""
        with self.lock:
            return [dict(row.properties) for row in self.rows.listed(kind, archived=False)]

    def add_property(self, kind: str, spec: PropertySpec) -> None:
        """Add a property to an object, as an administrator does."""
        with self.lock:
            self.objects[kind].properties[spec.name] = spec

    def remove_property(self, kind: str, name: str) -> None:
        """Delete a property and its values."""
        with self.lock:
            del self.objects[kind].properties[name]
            self.rows.remove_value(kind, name)

    def seed(self, seed: int, companies: int) -> dict[int, str]:
        """Fill the portal with that many invented companies, their contacts, and partners and referrals among them.

        Returns the id of each company's record by the company's index; referrals that were not won have none yet.
        """
        from connectors.hubspot.simulator.seeding import fill  # only seeding needs the invented world

        with self.lock:
            return fill(self, seed, companies)

    def deliver(self, uri: str, door: str | None = None) -> list[int]:
        """Post the webhooks that wait, as the portal does by itself; see :meth:`.webhooks.Webhooks.deliver`."""
        return self.webhooks.deliver(uri, door)

    @staticmethod
    def limited(
        policy: str,
        *,
        times: int | None = 1,
        match: Callable[[SimRequest], bool] = lambda request: True,
        after: int = 0,
    ) -> Fault:
        """A fault that answers 429 of this policy."""
        return Faults.status(429, times=times, match=match, body=refused(policy).body, after=after)

    # -- requests

    def route(self, request: SimRequest) -> str:
        """``/crm/objects/2026-03/deals/batch/read`` is counted as ``objects/deals/batch/read``."""
        try:
            resource, rest = self._resource(request.segments)
        except NoSuchPage:
            return request.path
        return "/".join((resource, *rest))

    def handle(self, request: SimRequest) -> SimResponse:
        """Answer one request."""
        if len(request.path) + len(request.raw_query) > LONGEST_ADDRESS:
            return SimResponse.text("<h1>414 URI Too Long</h1>", 414, "text/html")
        try:
            return self._front(request)
        except Refusal as refusal:
            return SimResponse(refusal.status, refusal.body)
        except NoSuchPage:
            return SimResponse.text("<html><body>404: not found</body></html>", 404, "text/html")

    def _front(self, request: SimRequest) -> SimResponse:
        resource, rest = self._resource(request.segments)
        if resource == "token":
            form = {key: values[0] for key, values in request.form().items()}
            return SimResponse(200, self.logins.token(form))
        self.logins.accept(request.headers.get("Authorization", ""))
        search = resource == "objects" and rest[1:] == ("search",)
        self.limits.take(search=search)
        answer = self._in_time(self._answer(request, resource, rest))
        return answer if search else SimResponse(answer.status, answer.body, self.limits.headers())

    def _in_time(self, answer: SimResponse) -> SimResponse:
        found = answer.body.get("results", []) if isinstance(answer.body, dict) else []
        records = [one["id"] for one in found if "id" in one and "properties" in one]
        too_many = self.records_in_time is not None and len(records) > self.records_in_time
        if self.matches_in_time is not None and isinstance(answer.body, dict):
            too_many |= answer.body.get("total", 0) > self.matches_in_time
        if too_many or not self.slow_ids.isdisjoint(records):
            return SimResponse.text("<h1>504 Gateway Time-out</h1>", 504, "text/html")
        return answer

    def _resource(self, parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """What a path is about, with its version taken out. Raises: :class:`NoSuchPage`."""
        match parts:
            case ("oauth", version, "token"):
                found: tuple[str, str, tuple[str, ...]] = (version, "token", ())
            case ("account-info", version, *rest):
                found = (version, "account", tuple(rest))
            case ("crm-object-schemas", version, "schemas", *rest) | ("crm", ("v3" as version), "schemas", *rest):
                found = (version, "schemas", tuple(rest))
            case ("crm", ("v3" | "v4") as version, "objects" | "properties" | "associations" as name, *rest):
                found = (version, name, tuple(rest))
            case ("crm", "objects" | "properties" | "associations" as name, version, *rest):
                found = (version, name, tuple(rest))
            case _:
                raise NoSuchPage
        if found[0] not in self.versions and found[:2] != ("v1", "token"):
            raise NoSuchPage
        return found[1], found[2]

    def _answer(self, request: SimRequest, resource: str, rest: tuple[str, ...]) -> SimResponse:
        match (request.method, resource, *rest):
            case ("GET", "account", "details"):
                return SimResponse(200, self._details())
            case ("GET", "account", "api-usage", "daily", "private-apps"):
                return SimResponse(200, {"results": [self._usage()]})
            case ("GET", "schemas"):
                self.logins.need("crm.schemas.custom.read")
                return SimResponse(200, {"results": [_schema(spec) for spec in self.objects.values() if spec.custom]})
            case ("GET", "properties", kind):
                spec = self._spec(kind, "read")
                return SimResponse(200, {"results": [one.described() for one in spec.properties.values()]})
            case (_, "associations", kind, other, "batch", *action):
                return self._link(request, kind, other, tuple(action))
            case ("PUT", "objects", kind, record_id, "associations", "default", other, other_id):
                here, there = self._spec(kind, "write"), self._spec(other, "read")
                return self._batch(self.associations.one(here, record_id, there, other_id))
            case (_, "objects", kind, *more):
                return self._objects(request, kind, tuple(more))
        raise NoSuchPage

    def _objects(self, request: SimRequest, kind: str, more: tuple[str, ...]) -> SimResponse:
        reads = request.method == "GET" or more in (("search",), ("batch", "read"))
        spec = self._spec(kind, "read" if reads else "write")
        archived = request.query.get("archived", ["false"])[0].lower() == "true"
        match (request.method, *more):
            case ("GET",):
                return SimResponse(200, self._list(spec, request, archived))
            case ("POST", "search"):
                return SimResponse(200, self._search(spec, request))
            case ("POST", "batch", "read"):
                return self._batch(self.batches.read(spec, body_of(request), archived))
            case ("POST", "batch", "create"):
                return self._batch(self.batches.create(spec, body_of(request)), done=201)
            case ("POST", "batch", "update"):
                return self._batch(self.batches.update(spec, body_of(request)))
            case ("POST", "batch", "upsert"):
                return self._batch(self.batches.upsert(spec, body_of(request)))
            case ("POST", "batch", "archive"):
                self.batches.archive(spec, body_of(request))
                return SimResponse.empty()
            case ("POST", "merge"):
                body = body_of(request)
                row = self.rows.merge(spec.name, str(body["primaryObjectId"]), str(body["objectIdToMerge"]))
                return SimResponse(200, shown(spec, row, ()))
            case ("POST",):
                body = {"inputs": [{"properties": body_of(request).get("properties") or {}}]}
                return SimResponse(201, self.batches.create(spec, body)[0][0])
            case ("GET", record_id):
                return SimResponse(200, shown(spec, self._one(spec, record_id, archived), _names(request)))
            case ("PATCH", record_id):
                body = {"inputs": [{"id": record_id, "properties": body_of(request).get("properties") or {}}]}
                return SimResponse(200, self.batches.update(spec, body)[0][0])
            case ("DELETE", record_id):
                self.batches.archive(spec, {"inputs": [{"id": record_id}]})
                return SimResponse.empty()
        raise NoSuchPage

    def _one(self, spec: ObjectSpec, record_id: str, archived: bool) -> Row:
        row = self.rows.get(spec.name, record_id) if archived else self.rows.live(spec.name, record_id)
        if row is None or (row.archived_at is not None) != archived:
            raise not_found([record_id])
        return row

    def _list(self, spec: ObjectSpec, request: SimRequest, archived: bool) -> dict[str, Any]:
        limit = int(request.query.get("limit", ["10"])[0])
        after = int(request.query.get("after", ["0"])[0])
        if not 1 <= limit <= self.largest_page:
            raise Refusal(400, "VALIDATION_ERROR", f"limit must be between 1 and {self.largest_page}")
        rows = list(islice(self.rows.listed(spec.name, archived=archived, after=after), limit + 1))
        others = self._associated(request)
        results = [shown(spec, row, _names(request)) for row in rows[:limit]]
        for result in results:
            if found := self.associations.shown(spec, result["id"], others):
                result["associations"] = found
        body: dict[str, Any] = {"results": results}
        if len(rows) > limit:
            body["paging"] = {"next": {"after": rows[limit - 1].id, "link": f"{self.url}{request.path}"}}
        return body

    def _associated(self, request: SimRequest) -> list[ObjectSpec]:
        """The objects whose associations a list is asked to show; of those without records here there are none."""
        asked = [name for part in request.query.get("associations", []) for name in part.split(",") if name]
        return [self._spec(name, "read") for name in asked if name not in _WITHOUT_RECORDS]

    def _search(self, spec: ObjectSpec, request: SimRequest) -> dict[str, Any]:
        asked, index = body_of(request), self.rows.index(spec.name)
        ids, total, after = found_ids(spec, index, asked, len(request.body), self.most_results)
        names = [str(name) for name in asked.get("properties") or ()]
        results = [self._indexed(spec, record_id, index[record_id], names) for record_id in ids]
        body: dict[str, Any] = {"total": total, "results": results}
        if after is not None:
            body["paging"] = {"next": {"after": after}}
        return body

    def _indexed(
        self, spec: ObjectSpec, record_id: str, properties: Mapping[str, str], names: list[str]
    ) -> dict[str, Any]:
        """A record as the index has it, which may be older than the database."""
        row = cast(Row, self.rows.get(spec.name, record_id))
        stale = Row(record_id, dict(properties), row.created, datetime.fromisoformat(properties[spec.modified]))
        return shown(spec, stale, names)

    def _link(self, request: SimRequest, kind: str, other: str, action: tuple[str, ...]) -> SimResponse:
        here = self._spec(kind, "read" if action == ("read",) else "write")
        there = self._spec(other, "read")
        match (request.method, *action):
            case ("POST", "read"):
                return self._batch(self.associations.read(here, there, body_of(request)))
            case ("POST", "associate", "default"):
                return self._batch(self.associations.associate(here, there, body_of(request)))
            case ("POST", "create"):
                return self._batch(self.associations.create(here, there, body_of(request)), done=201)
            case ("POST", "archive"):
                self.associations.remove(here, there, body_of(request))
                return SimResponse.empty()
        raise NoSuchPage

    def _batch(self, outcome: Results, done: int = 200) -> SimResponse:
        results, errors = outcome
        now = stamp_of(self.now())
        body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        if not errors:
            return SimResponse(done, body)
        return SimResponse(207, {**body, "errors": errors, "numErrors": len(errors)})

    def _details(self) -> dict[str, Any]:
        offset = self.now().astimezone(self.limits.zone).utcoffset()
        seconds = int(offset.total_seconds()) if offset else 0
        sign, minutes = "-" if seconds < 0 else "+", abs(seconds) // 60
        return {
            "portalId": PORTAL_ID, "accountType": "STANDARD", "timeZone": self.limits.zone.key, "companyCurrency": "AUD",
            "additionalCurrencies": [], "utcOffset": f"{sign}{minutes // 60:02d}:{minutes % 60:02d}",
            "utcOffsetMilliseconds": 1000 * seconds, "uiDomain": "app.hubspot.example", "dataHostingLocation": "na1",
        }  # fmt: skip

    def _usage(self) -> dict[str, Any]:
        return {
            "name": "private-apps-api-calls-daily", "usageLimit": self.limits.daily, "currentUsage": self.limits.used,
            "collectedAt": stamp_of(self.now()), "fetchStatus": "SUCCESS", "resetsAt": stamp_of(self.limits.resets_at()),
        }  # fmt: skip

    def _spec(self, name: str, action: str) -> ObjectSpec:
        """The object that a name in an address means. Raises: :class:`Refusal` for none, or a scope that is missing."""
        for spec in self.objects.values():
            own = {spec.type_id} | (
                {f"p_{spec.name}", f"p{PORTAL_ID}_{spec.name}"}
                if spec.custom
                else {spec.name, spec.name.removesuffix("s")}
            )
            if name.lower() in own or (spec.name == "companies" and name.lower() == "company"):
                self.logins.need(f"crm.objects.{'custom' if spec.custom else spec.name}.{action}")
                return spec
        raise Refusal(400, None, f"Unable to infer object type from: {name}")

    def _texts(self, kind: str, properties: Mapping[str, Any]) -> dict[str, str]:
        texts, errors = self.rows.checked(kind, properties)
        if errors:
            raise invalid_values(errors)
        return texts

    def _live(self, kind: str, record_id: str) -> Row:
        row = self.rows.live(kind, record_id)
        if row is None:
            raise not_found([record_id])
        return row

    def _note(self, kind: str, key: str | None, record_id: str, action: str, properties: Mapping[str, Any]) -> None:
        self.journal.add(kind, key, record_id, cast(Action, action), properties)


def _names(request: SimRequest) -> list[str]:
    return [name for part in request.query.get("properties", []) for name in part.split(",") if name]


def _schema(spec: ObjectSpec) -> dict[str, Any]:
    return {
        "id": spec.type_id.partition("-")[2], "objectTypeId": spec.type_id, "name": spec.name,
        "fullyQualifiedName": f"p{PORTAL_ID}_{spec.name}",
        "labels": {"singular": spec.label.removesuffix("s"), "plural": spec.label}, "archived": False,
        "requiredProperties": list(spec.required), "searchableProperties": [], "associations": [],
        "primaryDisplayProperty": next(iter(spec.required), "hs_object_id"),
        "properties": [one.described() for one in spec.properties.values()],
    }  # fmt: skip
