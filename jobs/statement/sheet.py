"""Statements as CSV: one row an entry, and one for what was carried in; a statement's figures stand on each of its rows.

So the column ``amount`` of a statement adds up to its balance: what is payable and what is carried forward.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from jobs.sheets import csv_text

COLUMNS = (
    "statement", "state", "program", "partner", "partner_name", "period_from", "period_to", "due_on", "pay_by", "line",
    "entry", "referral", "customer", "contract", "contract_kind", "contract_value", "contract_currency", "source_type",
    "source", "earned_on", "basis", "rate", "amount", "currency", "corrects", "corrects_statement", "clauses", "because",
    "statement_opening", "statement_total", "statement_withheld", "statement_payable", "statement_to_pay",
    "statement_carried_forward",
)  # fmt: skip
_OF_LINE = COLUMNS[10:23] + COLUMNS[24:28]


def statements_csv(documents: Iterable[dict[str, Any]]) -> str:
    """The rows of statements, one heading."""
    return csv_text(COLUMNS, (row for document in documents for row in _rows(document)))


def _rows(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = {
        **{name: document[name] for name in ("statement", "state", "period_from", "period_to", "due_on", "pay_by", "currency")},
        "program": document["program"]["id"],
        "partner": document["partner"]["id"],
        "partner_name": document["partner"]["name"],
        **{name: document[name.removeprefix("statement_")] for name in COLUMNS[28:]},
    }  # fmt: skip
    opening = {
        "line": "opening",
        "amount": document["opening"],
        "because": f"carried in from {document['previous'] or 'nothing'}",
    }
    yield {**dict.fromkeys(_OF_LINE), **head, **opening}
    for line in document["lines"]:
        own = {name: line[name] for name in _OF_LINE if name != "clauses"}
        yield {**own, **head, "line": line["kind"], "clauses": " ".join(line["clauses"])}
