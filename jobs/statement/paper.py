"""Statements as PDF: the texts of a page, and many pages at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from jobs.problems import UserError
from jobs.report.figures import shown
from jobs.typesetting import pages
from rules.calendar import DAY
from rules.money import percent

AT_ONCE = os.cpu_count() or 1
"""Statements that are typeset at the same time; the typesetter works outside Python's lock."""
_KINDS = {"true_up": "True-up", "co_op": "Co-op"}


def statement_pdf(document: dict[str, Any], *, fonts: Path | None = None, format: str = "pdf") -> bytes:
    """One statement as a PDF (or its pages as PNG, for looking at). Raises: ``UserError`` for a letter no font has."""
    cut_on = date.fromisoformat(document["period_to"]) + DAY
    what = f"statement {document['statement']}"
    made = pages("statement/statement.typ", page_of(document), cut_on, what, fonts=fonts, format=format)
    return made if isinstance(made, bytes) else made[0]


def statement_pdfs(
    documents: Iterable[dict[str, Any]], *, fonts: Path | None = None
) -> Iterator[tuple[dict[str, Any], bytes | UserError]]:
    """Many statements in their order, each as its PDF or as why it has none; only a few are held in memory at a time."""

    def one(document: dict[str, Any]) -> bytes | UserError:
        try:
            return statement_pdf(document, fonts=fonts)
        except UserError as error:
            return error

    waiting = iter(documents)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while batch := list(islice(waiting, AT_ONCE * 8)):
            yield from zip(batch, pool.map(one, batch), strict=True)


def page_of(document: dict[str, Any]) -> dict[str, Any]:
    """The texts of a page, ready to be set."""
    money = document["currency"]
    is_open = document["state"] == "open"
    period = f"{document['period_from']} to {document['period_to']}"
    partner = document["partner"]
    return {
        "title": f"Commission statement {document['statement']}",
        "description": f"{partner['name']}, {period}, payable {document['payable']} {money}",
        "keywords": ["commission", "statement", document["program"]["id"]],
        "statement": document["statement"],
        "fingerprint": f"SHA-256 of its figures: {document['sha256']}",
        "program": document["program"],
        "partner": {
            "name": partner["name"],
            "details": [f"Partner {partner['id']}", *(partner[n] for n in ("country", "email", "website") if partner[n])],
        },
        "facts": [
            ("Period", period), ("Terms", document["program"]["version"]), ("Currency", money),
            ("To be sent by", document["due_on"]), ("To be paid by", document["pay_by"]), ("State", document["state"]),
        ],
        "notice": "Preview: this period is not closed; figures may change until it is." if is_open else None,
        "highlights": [
            ("Carried in", shown(document["opening"])), ("Total of entries", shown(document["total"])),
            (f"Payable, {money}", shown(document["payable"])), ("Carried forward", shown(document["carried_forward"])),
        ],
        "lines": [_line(line, money) for line in document["lines"]],
        "count": len(document["lines"]),
        "total": shown(document["total"]),
        "summary": _summary(document),
        "notes": _notes(document),
        "signatures": ["Approved for payment", "Second approval"],
    }  # fmt: skip


def _line(line: dict[str, Any], money: str) -> dict[str, Any]:
    contract = []
    if line["contract"] is not None:
        value = f" of {shown(line['contract_value'])} {line['contract_currency']}" if line["contract_value"] else ""
        contract.append(f"contract {line['contract']} ({line['contract_kind'].replace('_', ' ')}){value}")
    kind = _KINDS.get(line["kind"], line["kind"].capitalize())
    source = f"{kind} on {line['source_type'].replace('_', ' ')} {line['source']}"
    corrected = f"corrects {line['corrects']}" if line["corrects"] else None
    if corrected and line["corrects_statement"]:
        corrected += f" of statement {line['corrects_statement']}"
    return {
        "date": line["earned_on"],
        "customer": line["customer"] or line["referral"] or kind,
        "what": "; ".join(part for part in (source, *contract, corrected) if part),
        "because": f"{line['because']} [{', '.join(line['clauses'])}]" if line["clauses"] else line["because"],
        "basis": shown(line["basis"]),
        "rate": percent(Decimal(line["rate"])) if line["rate"] is not None else "",
        "amount": shown(line["amount"]),
    }


def _summary(document: dict[str, Any]) -> list[tuple[str, str, bool]]:
    carried_in = f"Carried in from {document['previous']}" if document["previous"] else "Carried in"
    rows = [
        (carried_in, "opening", False), ("Commissions and bonuses", "earned", False), ("Corrections", "corrections", False),
        ("Balance", "balance", True), ("Of it carried forward to the next statement", "carried_forward", False),
        ("Payable", "payable", True), ("Withholding tax", "withheld", False), ("To be transferred", "to_pay", True),
    ]  # fmt: skip
    return [
        (name, shown(_negated(document[figure]) if figure == "withheld" else document[figure]), is_sum)
        for name, figure, is_sum in rows
    ]


def _notes(document: dict[str, Any]) -> list[str]:
    money = document["currency"]
    notes = []
    if document["needs_partner_invoice"] and Decimal(document["payable"]):
        notes.append(
            f"Please send an invoice of exactly {shown(document['payable'])} {money} that names statement {document['statement']}; "
            "the payout waits for it."
        )
    if Decimal(document["minimum"]) and document["currency"] == document["minimum_currency"]:
        notes.append(
            f"Amounts below {shown(document['minimum'])} {document['minimum_currency']} are carried forward to the next statement."
        )
    method = document["payment_method"] or "as agreed with the partner; payment details are not part of this statement"
    notes.append(f"Payment method: {method}.")
    withheld = "No tax is withheld."
    if Decimal(document["withheld"]):
        rate = f" ({percent(Decimal(document['withholding_rate']))})" if document["withholding_rate"] else ""
        withheld = f"Withholding tax{rate}: {shown(document['withheld'])} {money}, shown apart and no fee."
    notes.append(
        f"Tax: amounts are before tax. {withheld} This statement is the document for the partner's own tax reporting."
    )
    notes.append(f"Terms: {', '.join(document['clauses'])} of {document['program']['version']}.")
    return notes


def _negated(amount: str) -> str:
    value = Decimal(amount)
    return format(-value if value else value, "f")
