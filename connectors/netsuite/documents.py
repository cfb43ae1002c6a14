"""Puts documents together: lines, tax, applications and credits of the transactions of one page.

Lines are signed debit minus credit, so an invoice's lines are negative; here amounts read as on the document.
Amounts are exact text; sums are made with ``Decimal``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from connectors.base import FieldType
from connectors.errors import NeedsOperator
from connectors.netsuite.errors import QueryRefused
from connectors.netsuite.kinds import LINE_COLUMNS, Kind
from connectors.netsuite.queries import MOST_KEYS, Queries
from connectors.netsuite.statements import Clause, column, equal, one_of

Row = dict[str, Any]
_NOT_SOLD = frozenset({"Subtotal", "Description", "Group", "EndGroup"})
"""Lines that show or group other lines; a subtotal would count what it sums a second time."""
_ALWAYS = ("id", "transaction", "taxline", "itemtype", "foreignamount")
_TAX = frozenset({"taxtotal", "nettotal", "credits"})


class Documents:
    """Adds the computed fields of transactions. Currencies are asked for once."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._symbols: dict[str, str] | None = None

    def complete(self, kind: Kind, asked: Mapping[str, frozenset[str]], rows: Sequence[Row]) -> None:
        """Add the asked computed fields to the rows; ``asked`` maps each to the inner names that are wanted."""
        wanted = asked.keys() & kind.computed.keys()
        if not wanted or not rows:
            return
        lines: dict[str, list[Row]] = {}
        links: dict[str, list[Row]] = {}
        for start in range(0, len(rows), MOST_KEYS):
            ids = [int(row["id"]) for row in rows[start : start + MOST_KEYS]]
            if wanted & ({"lines"} | _TAX):
                lines |= self._lines(ids, asked.get("lines", frozenset()) | asked.get("credits", frozenset()))
            if wanted & {"applications", "credits"}:
                links |= self._links(ids)
        made_from = self._types(rows) if "credits" in wanted else {}
        for row in rows:
            own = lines.get(row["id"], [])
            sold = [line for line in own if line.get("taxline") != "T" and line.get("itemtype") not in _NOT_SOLD]
            tax = sum((_amount(line, kind.line_sign) for line in own if line.get("taxline") == "T"), Decimal(0))
            values: Row = {
                "currencycode": self._symbol(row.get("currency")) if "currencycode" in wanted else None,
                "total": _total(row),
                "voideddate": row.get("lastmodifieddate", "")[:10] or None if row.get("voided") == "T" else None,
                "lines": [{**line, "amount": _text(_amount(line, kind.line_sign))} for line in sold],
                "taxtotal": _text(tax),
                "nettotal": _text(Decimal(_total(row) or "0") - tax),
                "applications": links.get(row["id"], []),
            }
            if "credits" in wanted:
                values["credits"] = _credits(row, values, made_from)
            row.update({name: values[name] for name in wanted})

    def _lines(self, ids: Sequence[int], inner: frozenset[str]) -> dict[str, list[Row]]:
        names = dict.fromkeys([*_ALWAYS, *sorted(inner - {"amount", "n", "invoice", "net", "tax", "lines"})])
        columns: dict[str, FieldType | None] = {column(name): LINE_COLUMNS.get(name) for name in names}
        clauses = [one_of("transaction", ids), equal("mainline", "F")]
        found: dict[str, list[Row]] = defaultdict(list)
        for line in self._queries.all(columns, "transactionline", clauses, ("transaction", "id")):
            document = str(line.pop("transaction"))
            line.pop("links", None)
            found[document].append(line)
        return found

    def _links(self, ids: Sequence[int]) -> dict[str, list[Row]]:
        """What each document pays or credits; several links between the same two are one application."""
        names: tuple[str, ...] = ("nextdoc", "nextline", "previousdoc", "previousline", "previoustype", "foreignamount")
        columns: dict[str, FieldType | None] = dict.fromkeys(names)
        clauses = [one_of("nextdoc", ids), equal("linktype", "Payment")]
        sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        types: dict[str, str] = {}
        for link in self._queries.all(columns, "nexttransactionlinelink", clauses, names[:4]):
            earlier = str(link["previousdoc"])
            sums[str(link["nextdoc"]), earlier] += abs(Decimal(link.get("foreignamount", "0")))
            types[earlier] = str(link.get("previoustype", ""))
        found: dict[str, list[Row]] = defaultdict(list)
        for (document, earlier), amount in sums.items():
            found[document].append({"id": earlier, "invoice": earlier, "type": types[earlier], "amount": _text(amount)})
        return found

    def _types(self, rows: Iterable[Row]) -> dict[str, str]:
        """The type codes of the documents that others were made from."""
        sources = sorted({int(row["createdfrom"]) for row in rows if row.get("createdfrom")})
        columns: dict[str, FieldType | None] = {"id": None, "type": None}
        found: dict[str, str] = {}
        for start in range(0, len(sources), MOST_KEYS):
            clause = one_of("id", sources[start : start + MOST_KEYS])
            found |= {
                str(r["id"]): str(r["type"]) for r in self._queries.all(columns, "transaction", [clause], ("id",))
            }
        return found

    def _symbol(self, currency: str | None) -> str | None:
        if currency is None:
            return None
        if self._symbols is None:
            columns: dict[str, FieldType | None] = {"id": None, "symbol": None}
            always = Clause("id IS NOT NULL")
            try:
                rows = list(self._queries.all(columns, "currency", [always], ("id",)))
            except QueryRefused as error:
                raise NeedsOperator(
                    "netsuite: currencies cannot be read; give the role Lists > Currency, or use a fixed currency in "
                    "the mapping instead of currencycode",
                    code=error.code,
                    status=error.status,
                ) from error
            self._symbols = {str(row["id"]): str(row.get("symbol", "")) for row in rows}
        return self._symbols.get(currency)

    def currency(self, rows: Iterable[Row]) -> None:
        """Add ``currencycode`` to rows that are no transactions."""
        for row in rows:
            row["currencycode"] = self._symbol(row.get("currency"))


def _credits(row: Row, values: Row, made_from: Mapping[str, str]) -> list[Row]:
    """Which invoices a credit memo lowers, by how much net and tax.

    A memo made from an invoice lowers that one, applied or not. Any other lowers those it is applied to, net and
    tax in proportion; the last one takes what rounding leaves, so that the parts add up.
    """
    source = str(row.get("createdfrom") or "")
    net, tax = Decimal(values["nettotal"]), Decimal(values["taxtotal"])
    whole = {"net": _text(net), "tax": _text(tax), "lines": values["lines"]}
    if made_from.get(source) == "CustInvc":
        return [{"invoice": source, **whole}]
    applied = [link for link in values["applications"] if link["type"] == "CustInvc"]
    gross = sum((Decimal(link["amount"]) for link in applied), Decimal(0))
    if len(applied) == 1 and gross == net + tax:
        return [{"invoice": applied[0]["invoice"], **whole}]
    parts, total, given = [], net + tax, Decimal(0)
    complete = gross == total
    for number, link in enumerate(applied, 1):
        amount = Decimal(link["amount"])
        share = (amount * tax / total).quantize(Decimal("0.01")) if total else Decimal(0)
        if complete and number == len(applied):
            share = tax - given
        given += share
        parts.append({"invoice": link["invoice"], "net": _text(amount - share), "tax": _text(share), "lines": None})
    return parts


def _total(row: Row) -> str | None:
    # Whether a header total is signed depends on the type; none of these documents can be negative.
    return _text(abs(Decimal(row["foreigntotal"]))) if row.get("foreigntotal") else None


def _amount(line: Row, sign: int) -> Decimal:
    return sign * Decimal(line.get("foreignamount") or "0")


def _text(amount: Decimal) -> str:
    return format(amount + 0, "f")  # + 0 turns -0 into 0
