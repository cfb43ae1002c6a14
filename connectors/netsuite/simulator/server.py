"""A NetSuite account on loopback: SuiteTalk REST as far as the connector (and an independent client) uses it.

Order of checks as in the vendor's front end: concurrency, login, then the resource.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from connectors.netsuite.simulator.answers import Refused
from connectors.netsuite.simulator.async_jobs import AsyncJobs
from connectors.netsuite.simulator.database import Database, Row
from connectors.netsuite.simulator.documents import Amount, Documents
from connectors.netsuite.simulator.filters import matching
from connectors.netsuite.simulator.logins import TOKEN_PATH, Logins, invalid_login
from connectors.netsuite.simulator.queries import Queries, QueryRefused
from connectors.netsuite.simulator.records import ROOT, Records
from connectors.netsuite.simulator.rows import Rows
from connectors.netsuite.simulator.schema import (
    ColumnSpec,
    ColumnType,
    RecordType,
)
from connectors.netsuite.simulator.seeds import seed_account
from connectors.simulation import Action, FaultKind, SimRequest, SimResponse, Simulator

SUITEQL = "/services/rest/query/v1/suiteql"
GOVERNANCE = "/services/rest/system/v1/governanceLimits"


class NetSuiteSimulator(Simulator):
    """One account. Seed it through ``insert``, ``update``, ``delete``, ``merge``, ``invoice``, ``pay`` and so on.

    Switches: ``zone`` and ``date_format`` of the integration user, ``commit_delay_seconds``, ``stamp_precision``,
    ``concurrency_limit`` with ``others_running`` and ``over_limit_answer``, ``hide``/``reveal`` (tables, record types
    and columns the role may not see; ``hide("deletedrecord")`` takes the Deleted Records permission away),
    ``lock_record``, ``logins`` (certificates, tokens), ``administrator``, ``faults``.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        account: str = "1234567_SB1",
        zone: str = "GMT",
        date_format: str = "M/D/YYYY",
        port: int = 0,
        journal_path: Path | None = None,
    ) -> None:
        super().__init__(now=now, port=port, journal_path=journal_path)
        self.account = account
        self.database = Database(lambda: self.now(), ZoneInfo(zone))
        self.logins = Logins(account, lambda: self.now())
        self.concurrency_limit: int | None = None
        self.others_running = 0
        """requests of other integrations that count against the account's limit"""
        self.over_limit_answer: Literal[429, 400, 401] = 429
        """401 is the overload that looks like an invalid login"""
        self.administrator = False
        self.matches_in_time: int | None = None
        self.rows_in_time: int | None = None
        """a query that more rows match, or whose page has more, is not answered in time (504)"""
        self.slow_ids: set[str] = set()
        """nor is a query whose page has one of these records"""
        self._rows = Rows(self.database)
        self._documents = Documents(self._rows)
        self._queries = Queries(self.database, self.visible, lambda: self.now())
        self._queries.date_format = date_format
        self._records = Records(self._rows, self.visible, self._applied)
        self.jobs = AsyncJobs()
        self._hidden: set[tuple[str, str | None]] = set()
        self._counting = threading.Lock()
        self._running = 0
        self.most_running = 0
        """the most requests of ours that ran at a time"""
        for name, symbol in (
            ("US Dollar", "USD"),
            ("Euro", "EUR"),
            ("Australian Dollar", "AUD"),
            ("Pakistan Rupee", "PKR"),
        ):
            self.insert("currency", {"name": name, "symbol": symbol, "exchangerate": 1})

    def settings(self) -> dict[str, Any]:
        """Settings of a connection to this account: a new integration that logs in by certificate."""
        login = self.logins.generate("ES256")
        return {"account": self.account, "base_url": self.url, "allow_loopback": True, "auth": "m2m", **login}

    # -- switches

    def set_zone(self, name: str) -> None:
        """Give the integration user another time zone."""
        with self.lock:
            self.database.set_zone(ZoneInfo(name))

    @property
    def commit_delay_seconds(self) -> float:
        """How long after its stamp a change becomes visible."""
        return self.database.commit_delay_seconds

    @commit_delay_seconds.setter
    def commit_delay_seconds(self, seconds: float) -> None:
        self.database.commit_delay_seconds = seconds

    def hide(self, table: str, column: str | None = None) -> None:
        """Take a permission away: a table or record type, or one column of it."""
        with self.lock:
            self._hidden.add((table.lower(), column and column.lower()))

    def reveal(self, table: str, column: str | None = None) -> None:
        """Give a permission back."""
        with self.lock:
            self._hidden.discard((table.lower(), column and column.lower()))

    def visible(self, table: str, column: str | None) -> bool:
        """Whether the role may see a table, record type or column."""
        return (table, None) not in self._hidden and (column is None or (table, column) not in self._hidden)

    def lock_record(self, name: str, record_id: str) -> None:
        """Let a workflow lock a record against changes."""
        with self.lock:
            self._records.locked.add((name.lower(), int(record_id)))

    def define_field(self, table: str, name: str, type: ColumnType = "text") -> None:
        """Add a custom field."""
        with self.lock:
            self.database.add_field(table, ColumnSpec(name, type, name))

    # -- seeding, as people and scripts in the account

    def insert(self, name: str, fields: Mapping[str, Any]) -> str:
        """Add a record; returns its internal id."""
        with self.lock:
            return str(self._rows.insert(name, fields))

    def update(
        self,
        name: str,
        record_id: str,
        fields: Mapping[str, Any],
        *,
        touch: bool = True,
    ) -> None:
        """Change a record; ``touch=False`` leaves its change stamp alone."""
        with self.lock:
            self._rows.update(name, int(record_id), fields, touch=touch)

    def delete(self, name: str, record_id: str, *, tracked: bool = True) -> None:
        """Delete a record; ``tracked`` leaves a row in ``deletedrecord``."""
        with self.lock:
            self._rows.delete(name, int(record_id), tracked=tracked)

    def merge(self, name: str, winner: str, loser: str) -> None:
        """Merge duplicates: the loser is deleted and nothing points at the winner."""
        with self.lock:
            self._rows.merge(name, int(winner), int(loser))

    def invoice(
        self,
        customer: str,
        lines: Iterable[tuple[str, Amount]],
        on: date,
        *,
        tax: Amount = 0,
        **fields: Any,
    ) -> str:
        """Post an invoice of (kind, net amount) lines; other header fields by name (``custbody_contract_id=…``)."""
        with self.lock:
            fields = {"currency": self._currency("USD"), **fields}
            return str(self._documents.sale("invoice", int(customer), lines, on, tax=tax, sign=1, fields=fields))

    def credit(
        self,
        invoice: str,
        lines: Iterable[tuple[str, Amount]],
        on: date,
        *,
        tax: Amount = 0,
        apply: Mapping[str, Amount] | None = None,
        **fields: Any,
    ) -> str:
        """Post a credit memo made from an invoice; ``apply`` says to which invoices (default: all of it to that one)."""
        with self.lock:
            header = self._rows.find("invoice", int(invoice)) or {}
            given = [(kind, Decimal(str(amount))) for kind, amount in lines]
            gross = sum((amount for _, amount in given), Decimal(str(tax)))
            about = {
                "currency": header.get("currency"),
                "createdfrom": int(invoice),
                **fields,
            }
            memo = self._documents.sale(
                "creditMemo",
                header["entity"],
                given,
                on,
                tax=tax,
                sign=-1,
                fields=about,
            )
            applied = {int(invoice): gross} if apply is None else {int(k): Decimal(str(v)) for k, v in apply.items()}
            self._documents.apply(memo, applied)
            return str(memo)

    def pay(
        self,
        invoices: str | Mapping[str, Amount],
        amount: Amount | None,
        on: date,
        **fields: Any,
    ) -> str:
        """Post a customer payment over one invoice, or over several ({invoice: amount}; ``amount`` is the whole)."""
        with self.lock:
            applied = {invoices: amount or 0} if isinstance(invoices, str) else invoices
            header = self._rows.find("invoice", int(next(iter(applied)))) or {}
            about = {"currency": header.get("currency"), **fields}
            chosen = {int(key): value for key, value in applied.items()}
            return str(
                self._documents.settle(
                    "customerPayment",
                    header["entity"],
                    chosen,
                    on,
                    total=amount,
                    fields=about,
                )
            )

    def apply(self, document: str, applied: Mapping[str, Amount]) -> None:
        """Apply a payment or credit memo anew, as an edit of it does."""
        with self.lock:
            self._documents.apply(int(document), {int(k): Decimal(str(v)) for k, v in applied.items()})
            self._rows.update("customerPayment", int(document), {})

    def refund(self, invoice: str, amount: Amount, on: date, **fields: Any) -> str:
        """Post a customer refund of an invoice (named in ``custbody_invoice_id``) that no credit memo covers."""
        with self.lock:
            header = self._rows.find("invoice", int(invoice)) or {}
            about = {
                "currency": header.get("currency"),
                "custbody_invoice_id": invoice,
                **fields,
            }
            return str(
                self._documents.settle(
                    "customerRefund",
                    header["entity"],
                    {},
                    on,
                    total=amount,
                    fields=about,
                )
            )

    def bill(
        self,
        partner: str,
        statement: str,
        lines: Iterable[tuple[str, Amount]],
        on: date,
        *,
        tax: Amount = 0,
        **fields: Any,
    ) -> str:
        """Post a partner's own invoice (a vendor bill) over a statement."""
        with self.lock:
            about = {
                "currency": self._currency("USD"),
                "custbody_statement_id": statement,
                **fields,
            }
            return str(
                self._documents.sale(
                    "vendorBill",
                    int(partner),
                    lines,
                    on,
                    tax=tax,
                    sign=-1,
                    fields=about,
                )
            )

    def pay_bill(self, bill: str, amount: Amount, on: date, **fields: Any) -> str:
        """Post the payment of a vendor bill, carrying its statement."""
        with self.lock:
            header = self._rows.find("vendorBill", int(bill)) or {}
            about = {
                "currency": header.get("currency"),
                "custbody_statement_id": header.get("custbody_statement_id"),
                **fields,
            }
            return str(
                self._documents.settle(
                    "vendorPayment",
                    header["entity"],
                    {int(bill): amount},
                    on,
                    total=None,
                    fields=about,
                )
            )

    def void(self, name: str, record_id: str) -> None:
        """Void a transaction directly."""
        with self.lock:
            self._documents.void(name, int(record_id))

    def seed(
        self,
        seed: int,
        companies: int,
        *,
        external_id: Callable[[int], str | None] = "account-{}".format,
    ) -> None:
        """Fill the account with invented customers, contacts, invoices and payments; the same for the same seed."""
        with self.lock:
            seed_account(
                self._rows,
                seed,
                companies,
                external_id,
                self._currency("USD"),
                self.now().date(),
            )

    def get(self, name: str, record_id: str) -> Row | None:
        """A record as it is visible now, by column names; ``None`` when there is none."""
        with self.lock:
            self.database.settle()
            return self._rows.find(name, int(record_id))

    def rows(self, name: str) -> list[Row]:
        """All rows of a record type or table that are visible now."""
        with self.lock:
            self.database.settle()
            if name.lower() in self.database.tables:
                return self.database.rows(name.lower())
            kind = self._rows.kind(name)
            return self.database.rows(kind.table, **({"type": kind.code} if kind.code else {}))

    def _currency(self, symbol: str) -> int:
        return int(self.database.rows("currency", symbol=symbol)[0]["id"])

    # -- requests

    def route(self, request: SimRequest) -> str:
        """Addresses without ids, so that they can be counted."""
        parts = request.segments
        return "/".join(parts[2:6] if "metadata-catalog" in parts else parts[2:5]).lower()

    def answer(self, request: SimRequest) -> tuple[SimResponse | None, FaultKind | None]:
        """Refuse what exceeds the account's concurrency limit, before anything else is looked at."""
        with self._counting:
            self._running += 1
            self.most_running = max(self.most_running, self._running)
            over = self.concurrency_limit is not None and self._running + self.others_running > self.concurrency_limit
        try:
            if over and request.path != TOKEN_PATH:
                with self.lock:
                    self.requests[request.method, self.route(request)] += 1
                return self._over_limit().response, None
            return super().answer(request)
        finally:
            with self._counting:
                self._running -= 1

    def _over_limit(self) -> Refused:
        if self.over_limit_answer == 401:
            return invalid_login()
        detail = "Concurrent request limit exceeded. Request blocked."
        return Refused(self.over_limit_answer, "CONCURRENCY_LIMIT_EXCEEDED", detail)

    def handle(self, request: SimRequest) -> SimResponse:
        """Carry one request out."""
        self.database.settle()
        try:
            if request.path == TOKEN_PATH:
                return self.logins.token(request)
            self.logins.check(request)
            return self.jobs.around(request, self._resource)
        except Refused as refused:
            return refused.response

    def _resource(self, request: SimRequest) -> SimResponse:
        if request.path == SUITEQL:
            return self._suiteql(request)
        if request.path == GOVERNANCE:
            return self._governance()
        if request.path.startswith(ROOT + "/"):
            return self._record(request, request.segments[4:])
        raise Refused(404, "NOT_FOUND", "The requested resource was not found.")

    def _governance(self) -> SimResponse:
        if not self.administrator:
            raise Refused(
                403,
                "INSUFFICIENT_PERMISSION",
                "Only an administrator may see governance limits.",
            )
        limit = self.concurrency_limit or 5
        return SimResponse.json(
            {
                "accountConcurrencyLimit": limit,
                "accountUnallocatedConcurrencyLimit": limit,
                "concurrencyLimitType": "account",
            }
        )

    def _suiteql(self, request: SimRequest) -> SimResponse:
        if request.method != "POST":
            raise Refused(
                405,
                "METHOD_NOT_ALLOWED",
                "The method is not allowed for this resource.",
            )
        if "transient" not in request.headers.get("Prefer", "").lower():
            detail = "Invalid header parameter 'Prefer'. The header is mandatory with the value 'transient'."
            raise Refused(400, "INVALID_HEADER", detail, header="Prefer")
        limit, offset = _number(request, "limit", 1000), _number(request, "offset", 0)
        if not 1 <= limit <= 1000:
            raise Refused(
                400,
                "INVALID_PARAMETER",
                "Provide a limit from 1 to 1000.",
                parameter="limit",
            )
        if offset % limit:
            raise Refused(
                400,
                "INVALID_PARAMETER",
                "The offset must be divisible by the limit.",
                parameter="offset",
            )
        body = _body(request)
        if not isinstance(body.get("q"), str) or not isinstance(body.get("params", []), list):
            raise Refused(
                400,
                "INVALID_CONTENT",
                "Invalid content in the request body: q is expected.",
                path="q",
            )
        try:
            items, total = self._queries.run(body["q"], body.get("params", []), limit, offset)
        except QueryRefused as error:
            raise Refused(400, "INVALID_PARAMETER", str(error), parameter="q") from None
        if (
            (self.matches_in_time is not None and total > self.matches_in_time)
            or (self.rows_in_time is not None and len(items) > self.rows_in_time)
            or any(row.get("id") in self.slow_ids for row in items)
        ):
            return SimResponse.text("<h1>504 Gateway Time-out</h1>", 504, "text/html")
        here = f"{request.host_url}{SUITEQL}?limit={limit}&offset={offset}"
        return SimResponse.json(
            {
                "links": [{"rel": "self", "href": here}],
                "count": len(items),
                "hasMore": offset + len(items) < total and bool(items),
                "items": items,
                "offset": offset,
                "totalResults": total,
            }
        )

    def _record(self, request: SimRequest, parts: tuple[str, ...]) -> SimResponse:
        if parts[0] == "metadata-catalog":
            if len(parts) == 1:
                return self._records.catalogue(request)
            name, _, sublist = parts[1].partition("-")
            if sublist == "itemElement":
                return self._records.line_schema(self._records.kind(name))
            return self._records.schema(self._records.kind(parts[1]))
        kind = self._records.kind(parts[0])
        if len(parts) == 1:
            if request.method == "GET":
                return self._list(kind, request)
            if request.method == "POST":
                record_id = self._records.create(kind, _body(request))
                return SimResponse.empty(204, {"Location": self._records.address(kind, record_id, request)})
        elif len(parts) == 2:
            return self._single(kind, parts[1], request)
        raise Refused(405, "METHOD_NOT_ALLOWED", "The method is not allowed for this resource.")

    def _single(self, kind: RecordType, key: str, request: SimRequest) -> SimResponse:
        match request.method:
            case "GET":
                return self._records.shown(kind, self._records.existing(kind, key), request)
            case "PATCH":
                row = self._records.existing(kind, key)
                self._records.change(kind, row, _body(request))
            case "DELETE":
                self._records.remove(kind, self._records.existing(kind, key))
                return SimResponse.empty()
            case "PUT" if key.startswith("eid:") and len(key) > 4:
                row = self._records.row(kind, key) or {}
                if row:
                    self._records.change(kind, row, _body(request))
                else:
                    row = {"id": self._records.create(kind, _body(request), key.removeprefix("eid:"))}
            case _:
                raise Refused(
                    405,
                    "METHOD_NOT_ALLOWED",
                    "The method is not allowed for this resource.",
                )
        return SimResponse.empty(204, {"Location": self._records.address(kind, row["id"], request)})

    def _list(self, kind: RecordType, request: SimRequest) -> SimResponse:
        limit, offset = _number(request, "limit", 1000), _number(request, "offset", 0)
        if not 1 <= limit <= 1000 or offset % limit:
            raise Refused(
                400,
                "INVALID_PARAMETER",
                "Provide a limit from 1 to 1000 and an offset divisible by it.",
            )
        table = self.database.tables[kind.table]
        rows = self.database.rows(kind.table, **({"type": kind.code} if kind.code else {}))
        for text in request.query.get("q", []):
            rows = matching(rows, table, text, self._queries.date_format, self.database.zone)
        page = rows[offset : offset + limit]
        items = [
            {
                "links": [
                    {
                        "rel": "self",
                        "href": self._records.address(kind, r["id"], request),
                    }
                ],
                "id": str(r["id"]),
            }
            for r in page
        ]
        return SimResponse.json(
            {"links": [], "count": len(page), "hasMore": offset + len(page) < len(rows), "items": items,
             "offset": offset, "totalResults": len(rows)}
        )  # fmt: skip

    def _applied(
        self,
        kind: RecordType,
        key: str | None,
        record_id: int,
        action: Action,
        fields: Mapping[str, Any],
    ) -> None:
        self.journal.add(kind.name.lower(), key, str(record_id), action, fields)


def _body(request: SimRequest) -> dict[str, Any]:
    if "json" not in request.headers.get("Content-Type", ""):
        raise Refused(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "The content type must be application/json.",
            header="Content-Type",
        )
    try:
        body = request.json()
    except ValueError:
        raise Refused(
            400,
            "INVALID_CONTENT",
            "Invalid content in the request body: malformed JSON.",
        ) from None
    if not isinstance(body, dict):
        raise Refused(
            400,
            "INVALID_CONTENT",
            "Invalid content in the request body: an object is expected.",
        )
    return body


def _number(request: SimRequest, name: str, default: int) -> int:
    text = request.query.get(name, [str(default)])[0]
    if not re.fullmatch(r"\d{1,9}", text):
        raise Refused(
            400,
            "INVALID_PARAMETER",
            f"Invalid value of the parameter {name}.",
            parameter=name,
        )
    return int(text)
