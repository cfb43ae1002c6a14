"""Invoices, payments, credits and refunds with their lines and links, posted as the vendor posts them.

Lines are signed debit minus credit: the main line of an invoice is positive, what it sells is negative; a credit
memo has the opposite signs. Headers are not signed. A payment points back at what it pays through
``nexttransactionlinelink``; applying it does not touch the invoice's own change stamp.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.netsuite.simulator.database import Row
from connectors.netsuite.simulator.rows import Rows

Amount = str | int | Decimal
ITEM_TYPES = {"hardware": "InvtPart", "shipping": "ShipItem", "discount": "Discount"}


class Documents:
    """Posts documents of customers and vendors. Amounts are exact; dates are the account's."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._database = rows.database

    def sale(
        self,
        name: str,
        customer: int,
        lines: Iterable[tuple[str, Amount]],
        on: date,
        *,
        tax: Amount = 0,
        sign: int,
        fields: Mapping[str, Any],
    ) -> int:
        """Post an invoice (``sign=1``) or credit memo (``sign=-1``) of (kind, net amount) lines."""
        given = [(kind, Decimal(str(amount))) for kind, amount in lines]
        total = sum((amount for _, amount in given), Decimal(str(tax)))
        header = {
            "trandate": on, "entity": customer, "foreigntotal": total, "foreignamountunpaid": total, "status": "A",
            **fields,
        }  # fmt: skip
        document = self._rows.insert(name, header)
        posted: list[Row] = [self._line(document, 0, sign * total, mainline="T")]
        for number, (kind, amount) in enumerate(given, 1):
            posted.append(
                self._line(
                    document,
                    number,
                    -sign * amount,
                    custcol_kind=kind,
                    itemtype=ITEM_TYPES.get(kind, "Service"),
                )
            )
        if Decimal(str(tax)):
            posted.append(
                self._line(
                    document,
                    len(posted),
                    -sign * Decimal(str(tax)),
                    taxline="T",
                    itemtype="TaxItem",
                )
            )
        self._insert("transactionline", posted)
        return document

    def settle(
        self,
        name: str,
        entity: int,
        applied: Mapping[int, Amount],
        on: date,
        *,
        total: Amount | None,
        fields: Mapping[str, Any],
    ) -> int:
        """Post a payment and apply it to documents; the rest of ``total`` stays unapplied."""
        amounts = {document: Decimal(str(amount)) for document, amount in applied.items()}
        whole = Decimal(str(total)) if total is not None else sum(amounts.values(), Decimal(0))
        header = {
            "trandate": on,
            "entity": entity,
            "foreigntotal": whole,
            "status": "A",
            **fields,
        }
        document = self._rows.insert(name, header)
        self._insert("transactionline", [self._line(document, 0, -whole, mainline="T")])
        self.apply(document, amounts)
        return document

    def apply(self, document: int, applied: Mapping[int, Decimal]) -> None:
        """Apply a payment or credit memo to documents: its applications become exactly these."""
        later = self._header(document)
        stamp = self._database.stamp()

        def linked() -> None:
            earlier = {row["previousdoc"]: Decimal(row["foreignamount"]) for row in self._links(document)}
            self._database.remove("nexttransactionlinelink", nextdoc=document)
            self._database.insert(
                "nexttransactionlinelink",
                [
                    {
                        "previousdoc": target, "previousline": 0, "previoustype": self._header(target)["type"],
                        "nextdoc": document, "nextline": 0, "nexttype": later["type"], "linktype": "Payment",
                        "foreignamount": amount, "lastmodifieddate": stamp,
                    }
                    for target, amount in applied.items()
                ],
            )  # fmt: skip
            for target in earlier.keys() | applied.keys():
                moved = applied.get(target, Decimal(0)) - earlier.get(target, Decimal(0))
                self._owe(target, -moved)

        self._database.commit(linked)

    def _owe(self, document: int, change: Decimal) -> None:
        header = self._header(document)
        unpaid = Decimal(header.get("foreignamountunpaid", "0")) + change
        status = "A" if unpaid else "B"
        self._database.update(
            "transaction",
            {"id": document},
            {"foreignamountunpaid": unpaid, "status": status},
        )

    def void(self, name: str, document: int) -> None:
        """Void directly: the amounts become zero, the lines stay, applications end."""
        stamp = self._database.stamp()

        def emptied() -> None:
            for row in self._links(document):
                self._owe(row["previousdoc"], Decimal(row["foreignamount"]))
            self._database.remove("nexttransactionlinelink", nextdoc=document)
            self._database.remove("nexttransactionlinelink", previousdoc=document)
            zero = {"foreignamount": 0, "netamount": 0, "linelastmodifieddate": stamp}
            self._database.update("transactionline", {"transaction": document}, zero)

        self._database.commit(emptied)
        self._rows.update(
            name,
            document,
            {"voided": "T", "foreigntotal": 0, "foreignamountunpaid": 0, "status": "V"},
        )

    def _header(self, document: int) -> Row:
        self._database.settle()
        found = self._database.rows("transaction", id=document)
        if not found:
            raise KeyError(f"no transaction {document} that is visible now")
        return found[0]

    def _links(self, document: int) -> Sequence[Row]:
        return self._database.rows("nexttransactionlinelink", nextdoc=document)

    def _insert(self, table: str, rows: Sequence[Row]) -> None:
        self._database.commit(lambda: self._database.insert(table, rows))

    def _line(self, document: int, number: int, amount: Decimal, **fields: Any) -> Row:
        stamp = self._database.stamp()
        return {
            "transaction": document, "id": number, "linesequencenumber": number, "mainline": "F", "taxline": "F",
            "foreignamount": amount, "netamount": amount, "linelastmodifieddate": stamp, "linecreateddate": stamp,
            **fields,
        }  # fmt: skip
