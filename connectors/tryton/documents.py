"""Fields that the connector puts together, from a page of rows as Tryton gave them.

Amounts stay exact text in the document's own currency; nothing is converted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from connectors.tryton.register import Register
from connectors.tryton.rpc import Rpc
from connectors.tryton.values import plain

Row = dict[str, Any]
_LINE = "account.invoice.line,"
_NAMED = re.compile(r"^\s*([A-Za-z][A-Za-z0-9 _-]{0,39}?)\s*:\s*(\S.*?)\s*$")
_NUMBER = r"(?:Decimal\(\s*['\"]?)?(?P<rate>\d+(?:\.\d+)?|\.\d+)(?:['\"]?\s*\))?"
_RATE = re.compile(rf"^\s*(?:amount\s*\*\s*{_NUMBER}|{_NUMBER.replace('rate', 'first')}\s*\*\s*amount)\s*$")


class Documents:
    """Completes the rows of a page."""

    def __init__(self, rpc: Rpc, register: Register) -> None:
        self._rpc = rpc
        self._register = register

    def complete(self, names: Iterable[str], rows: list[Row]) -> None:
        """Add the computed fields ``names`` to the rows."""
        wanted = set(names)
        for row in rows:
            if "notes" in wanted:
                row["notes"] = notes_in(row.get("comment"))
            if "opportunity" in wanted:
                row["opportunity"] = _named(row.get("origin"), "sale.opportunity,")
            if "credit" in wanted:
                row["credit"] = _amount(row["untaxed_amount"]) < 0
            if "payments" in wanted:
                row["payments"] = _payments(row)
            if "rate" in wanted:
                row["rate"] = rate_of(row["lines"])
            if "invoiced" in wanted:
                row["invoiced"] = row["invoice_line"] is not None
            if "currency_code" in wanted:
                row["currency_code"] = row["agent"]["currency"]["code"]
        if "credits" in wanted:
            self._credits(rows)
        if {"key", "reason"} & wanted:
            kept = self._register.of({int(row["id"]): int(id_of(row["agent"])) for row in rows})
            for row in rows:
                row["key"], row["reason"] = kept.get(int(row["id"]), (None, None))

    def _credits(self, rows: list[Row]) -> None:
        origins = sorted({line for row in rows if _amount(row["untaxed_amount"]) < 0 for line in _origins(row)})
        sources: dict[int, Row] = {}
        for start in range(0, len(origins), self._rpc.page_size):
            few = origins[start : start + self._rpc.page_size]
            found = self._rpc.search_read(
                "account.invoice.line", [["id", "in", few]], len(few), [("id", "ASC")], ["invoice.cancel_move"]
            )
            sources |= {row["id"]: plain(row)["invoice"] for row in found}
        for row in rows:
            row["credits"] = _credits_of(row, sources) if _amount(row["untaxed_amount"]) < 0 else []


def notes_in(text: str | None) -> dict[str, str]:
    """The ``name: value`` lines of a text; names in lower case with underscores. The first of a name counts."""
    found: dict[str, str] = {}
    for line in (text or "").splitlines():
        if match := _NAMED.match(line):
            found.setdefault(re.sub(r"[ -]+", "_", match[1].lower()), match[2])
    return found


def rate_of(lines: list[Row]) -> str | None:
    """The rate of a plan that has one line ``amount * rate`` for all products; none for any other plan."""
    if len(lines) != 1 or lines[0].get("product") or lines[0].get("category"):
        return None
    match = _RATE.match(lines[0]["formula"] or "")
    return format(Decimal(match["rate"] or match["first"]), "f") if match else None


def id_of(value: Any) -> Any:
    """The id of a related record, whether it came alone or with fields."""
    return value["id"] if isinstance(value, dict) and "id" in value else value


def _payments(row: Row) -> list[Row]:
    """Lines of money that were booked as payments of an invoice, and other lines that it was settled with.

    A credit note that settles an invoice is no payment of it; it is a document of its own.
    """
    made: dict[int, Row] = {}
    paid = [*row["payment_lines"], *(line for line in row["reconciliation_lines"] if _is_money(line))]
    for line in paid:
        made.setdefault(line["id"], {"id": line["id"], "date": line["date"], "amount": _paid(row, line)})
    return sorted(made.values(), key=lambda line: line["id"])


def _is_money(line: Row) -> bool:
    origin = (line.get("move") or {}).get("origin") or ""
    return not str(origin).startswith("account.invoice,")


def _paid(row: Row, line: Row) -> str | None:
    """What a line pays in the invoice's currency, positive; ``None`` when it was booked in another one."""
    sign = -1 if row["type"] == "in" else 1
    if line["second_currency"] is not None and line["second_currency"] == id_of(row["currency"]):
        return _text(-sign * _amount(line["amount_second_currency"]))
    if id_of(row["currency"]) == id_of((row["company"] or {}).get("currency")):
        return _text(sign * (_amount(line["credit"]) - _amount(line["debit"])))
    return None


def _credits_of(row: Row, sources: Mapping[int, Row]) -> list[Row]:
    """Which invoices a credit note lowers, by how much net and tax and on which lines, all positive.

    Each line lowers the invoice that it was made from. The tax is shared by net amount; the last invoice takes what
    rounding leaves. A credit note that cancelled its whole invoice lowers nothing: that invoice is void.
    """
    lines: dict[int, list[Row]] = {}
    for line in row["lines"]:
        source = sources.get(_line_id(line) or 0)
        if line["type"] == "line" and source is not None:
            lowered = {"amount": _text(-_amount(line["amount"])), "product": line["product"]}
            lines.setdefault(source["id"], []).append(lowered)
    nets = {invoice: sum((_amount(line["amount"]) for line in of), Decimal(0)) for invoice, of in lines.items()}
    net, tax = -_amount(row["untaxed_amount"]), -_amount(row["tax_amount"])
    complete, given, parts = sum(nets.values()) == net, Decimal(0), []
    move = id_of(row["move"])
    void = {source["id"] for source in sources.values() if move is not None and id_of(source["cancel_move"]) == move}
    for number, (invoice, amount) in enumerate(nets.items(), 1):
        share = (tax * amount / net).quantize(Decimal("0.01")) if net else Decimal(0)
        if complete and number == len(nets):
            share = tax - given
        given += share
        if invoice not in void:
            parts.append({"invoice": invoice, "net": _text(amount), "tax": _text(share), "lines": lines[invoice]})
    return parts


def _origins(row: Row) -> list[int]:
    return [number for line in row["lines"] if (number := _line_id(line)) is not None]


def _line_id(line: Row) -> int | None:
    number = _named(line.get("origin"), _LINE)
    return int(number) if number and number.isdigit() else None


def _named(reference: Any, model: str) -> str | None:
    text = str(reference or "")
    return text.removeprefix(model) if text.startswith(model) else None


def _amount(text: Any) -> Decimal:
    return Decimal(text or "0")


def _text(amount: Decimal) -> str:
    return format(amount + 0, "f")  # + 0 turns -0 into 0
