"""Fills an account with invented companies and their documents, any number, quickly and always the same."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

from connectors.netsuite.simulator.database import Row
from connectors.netsuite.simulator.rows import Rows
from connectors.universe import companies

_AT_A_TIME = 2000
_KINDS = ("saas", "services", "hardware")


def seed_account(
    rows: Rows,
    seed: int,
    count: int,
    external_id: Callable[[int], str | None],
    currency: int,
    today: date,
) -> None:
    """Add ``count`` customers, each with a contact, two invoices of two lines and a payment of the first.

    A company whose ``external_id`` is ``None`` is no customer.
    """
    chance = random.Random(seed)
    batch = _Batch(rows, currency)
    for company in companies(seed, count):
        known_as = external_id(company.index)
        if known_as is None:
            continue
        customer = batch.new_id()
        batch.customers.append(
            {"id": customer, "companyname": company.name, "entityid": f"C{customer}", "url": company.website,
             "externalid": known_as, "currency": currency}
        )  # fmt: skip
        for person in company.contacts[:1]:
            first, _, last = person.name.partition(" ")
            batch.contacts.append(
                {"id": batch.new_id(), "entityid": person.name, "firstname": first, "lastname": last,
                 "title": person.title, "email": person.email, "phone": person.phone, "company": customer}
            )  # fmt: skip
        for number in range(2):
            on = today - timedelta(days=chance.randrange(20, 400))
            net = [Decimal(chance.randrange(10_000, 5_000_000)) / 100 for _ in range(2)]
            invoice = batch.invoice(customer, list(zip(_KINDS[number:], net, strict=False)), on)
            if number == 0:
                batch.payment(customer, invoice, sum(net, Decimal(0)), on + timedelta(days=14))
        if len(batch.customers) >= _AT_A_TIME:
            batch.flush()
    batch.flush()


class _Batch:
    def __init__(self, rows: Rows, currency: int) -> None:
        self._rows = rows
        self._currency = currency
        self.customers: list[Row] = []
        self.contacts: list[Row] = []
        self._invoices: list[Row] = []
        self._payments: list[Row] = []
        self._lines: list[Row] = []
        self._links: list[Row] = []

    def new_id(self) -> int:
        return self._rows.database.new_id()

    def invoice(self, customer: int, lines: list[tuple[str, Decimal]], on: date) -> int:
        document, total = (
            self.new_id(),
            sum((amount for _, amount in lines), Decimal(0)),
        )
        self._invoices.append(self._header(document, customer, total, on) | {"foreignamountunpaid": total})
        self._line(document, 0, total, mainline="T")
        for number, (kind, amount) in enumerate(lines, 1):
            self._line(document, number, -amount, custcol_kind=kind, itemtype="Service")
        return document

    def payment(self, customer: int, invoice: int, amount: Decimal, on: date) -> None:
        document = self.new_id()
        self._payments.append(self._header(document, customer, amount, on))
        self._line(document, 0, -amount, mainline="T")
        self._links.append(
            {"previousdoc": invoice, "previousline": 0, "previoustype": "CustInvc", "nextdoc": document, "nextline": 0,
             "nexttype": "CustPymt", "linktype": "Payment", "foreignamount": amount,
             "lastmodifieddate": self._rows.database.stamp()}
        )  # fmt: skip
        self._invoices[-1] |= {"foreignamountunpaid": 0, "status": "B"}

    def _header(self, document: int, customer: int, total: Decimal, on: date) -> Row:
        return {"id": document, "entity": customer, "trandate": on, "currency": self._currency, "foreigntotal": total,
                "status": "A"}  # fmt: skip

    def _line(self, document: int, number: int, amount: Decimal, **fields: str) -> None:
        stamp = self._rows.database.stamp()
        self._lines.append(
            {"transaction": document, "id": number, "linesequencenumber": number, "mainline": "F", "taxline": "F",
             "foreignamount": amount, "netamount": amount, "linelastmodifieddate": stamp, "linecreateddate": stamp,
             **fields}
        )  # fmt: skip

    def flush(self) -> None:
        for name, rows in (("customer", self.customers), ("contact", self.contacts), ("invoice", self._invoices),
                           ("customerPayment", self._payments)):  # fmt: skip
            self._rows.insert_many(name, rows)
            rows.clear()
        for table, lines in (
            ("transactionline", self._lines),
            ("nexttransactionlinelink", self._links),
        ):
            self._rows.database.insert(table, lines)
            lines.clear()
