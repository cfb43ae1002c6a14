"""A statement as a document: its figures, each line with customer, contract, basis, rate and reason (CN-30, NT-15).

Names and contract values are those known when it was cut: what was signed does not change afterwards.
Pure: from a settled program's picture to plain values. Amounts are text with exactly their currency's digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson

from jobs.report.figures import amount_of, total
from jobs.report.leads import contract_value
from jobs.report.picture import Picture, Row
from rules.money import ZERO, plain, text

EARNED = ("commission", "bonus", "co_op")
"""Kinds of entries that are earned; all others correct something."""

FIGURES = ("statement", "period_to", "opening", "total", "withheld", "payable", "carried_forward")
FIGURES_OF_LINE = ("entry", "basis", "rate", "amount")


def statement_documents(
    picture: Picture, *, partner: str | None = None, period_from: str | None = None, with_open: bool = False
) -> Iterator[dict[str, Any]]:
    """The documents of all issued statements (open ones only when wanted), by id."""
    entries = {row["key"]: row for row in picture.rows["entries"]}
    on = {key: row["id"] for row in picture.rows["statements"] for key in row["entries"]}
    before: dict[tuple[str, str], Row] = {}
    rows = sorted(picture.rows["statements"], key=lambda row: (row["partner"], row["currency"], row["period_from"]))
    for row in rows:
        account = (row["partner"], row["currency"])
        is_wanted = partner in (None, row["partner"]) and period_from in (None, row["period_from"])
        if is_wanted and (with_open or row["state"] != "open"):
            yield _document(picture, row, before.get(account), entries, on)
        before[account] = row


def _document(
    picture: Picture, row: Row, previous: Row | None, entries: Mapping[str, Row], on: Mapping[str, str]
) -> dict[str, Any]:
    cut_at = picture.program.calendar.end_of(date.fromisoformat(row["period_to"]))
    partner = picture.last_known("partner", row["partner"], cut_at)
    terms = picture.program.on(date.fromisoformat(row["period_from"]))
    money = row["currency"]
    own = [entries[key] for key in row["entries"]]
    lines = [
        _line(picture, entry, on, cut_at) for entry in sorted(own, key=lambda each: (each["earned_on"], each["key"]))
    ]
    earned = total(entry for entry in own if entry["kind"] in EARNED)
    corrections = total(entry for entry in own if entry["kind"] not in EARNED)
    to_pay = amount_of(row, "payable") - amount_of(row, "withheld")
    body = {
        "statement": row["id"],
        "state": row["state"],
        "program": {"id": row["program"], "name": picture.program.name, "version": picture.program.label_on(date.fromisoformat(row["period_from"]))},
        "partner": {
            "id": row["partner"],
            "name": partner.name if partner else row["partner"],
            **{name: getattr(partner, name) if partner else None for name in ("country", "email", "phone", "website")},
        },
        "period_from": row["period_from"],
        "period_to": row["period_to"],
        "due_on": row["due_on"],
        "pay_by": row["pay_by"],
        "currency": money,
        "previous": previous["id"] if previous and amount_of(row, "opening") else None,
        "lines": lines,
        "opening": row["opening"],
        "earned": text(earned, money),
        "corrections": text(corrections, money),
        "total": row["total"],
        "balance": text(amount_of(row, "opening") + amount_of(row, "total"), money),
        "withheld": row["withheld"],
        "payable": row["payable"],
        "to_pay": text(to_pay, money),
        "carried_forward": row["carried_forward"],
        "minimum": text(terms.statements.minimum, picture.program.currency),
        "minimum_currency": picture.program.currency,
        "needs_partner_invoice": terms.statements.needs_partner_invoice,
        "withholding_rate": _rate(partner.withholding_rate) if partner else None,
        "payment_method": None,
        "clauses": sorted({*terms.statements.clauses, *terms.statements.minimum_clauses, *terms.statements.invoice_clauses}),
    }  # fmt: skip
    return {**body, "sha256": fingerprint(body)}


def fingerprint(body: Mapping[str, Any]) -> str:
    """The SHA-256 of a statement's figures; it stays when the statement is paid or a partner changes its name."""
    figures = [body[name] for name in FIGURES] + [[line[name] for name in FIGURES_OF_LINE] for line in body["lines"]]
    return hashlib.sha256(orjson.dumps(figures)).hexdigest()


def _line(picture: Picture, entry: Row, on: Mapping[str, str], cut_at: datetime) -> Row:
    referral = picture.last_known("referral", entry["referral"], cut_at)
    contract = picture.last_known("contract", entry["contract"], cut_at)
    account = picture.last_known("account", contract.account, cut_at) if contract else None
    value = contract_value(contract) if contract else None
    return {
        "entry": entry["key"],
        "kind": entry["kind"],
        "referral": entry["referral"],
        "customer": account.name if account else referral.company if referral else None,
        "contract": entry["contract"],
        "contract_kind": contract.kind if contract else None,
        "contract_value": text(value, contract.currency) if value is not None else None,
        "contract_currency": contract.currency if contract else None,
        "source_type": entry["source"]["type"],
        "source": entry["source"]["id"],
        "earned_on": entry["earned_on"],
        "basis": entry["basis"],
        "rate": entry["rate"],
        "amount": entry["amount"],
        "corrects": entry["corrects"],
        "corrects_statement": on.get(entry["corrects"]) if entry["corrects"] else None,
        "clauses": entry["clauses"],
        "because": entry["because"],
    }


def _rate(rate: Decimal | None) -> str | None:
    return plain(rate) if rate is not None and rate > ZERO else None
