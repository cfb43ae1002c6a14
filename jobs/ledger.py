"""Job: verify the stored ledger: the hash chain, and that every posting has two sides that cancel."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import select

from jobs.show import console, table
from rules.money import text
from sync import book_tables as t
from sync.book_ledger import verify_journal
from sync.store import Store


def verify(store: Store) -> dict[str, Any]:
    """Recompute the chain and the balances; ``broken`` are positions (from 1) whose hash does not fit."""
    with store.reading() as db:
        rows, broken = verify_journal(db)
    totals = balances(store)
    unequal = sorted({each["currency"] for each in totals if _sum(totals, each["currency"])})
    return {"ok": not broken and not unequal, "rows": rows, "broken": broken[:100], "unbalanced": unequal}


def balances(store: Store) -> list[dict[str, Any]]:
    """The balance of each account and currency (credits less debits), as the sum of its postings."""
    totals: dict[tuple[str, str], Decimal] = {}
    with store.reading() as db:
        found = db.execute(
            select(t.journal.c.body).where(t.journal.c.kind == "posting").execution_options(yield_per=2000)
        )
        for row in found:
            body = orjson.loads(row.body)
            for account, sign in ((body["debit"], -1), (body["credit"], 1)):
                name = (account, body["currency"])
                totals[name] = totals.get(name, Decimal(0)) + sign * Decimal(body["amount"])
    return [
        {"account": account, "currency": currency, "balance": text(amount, currency)}
        for (account, currency), amount in sorted(totals.items())
    ]


def _sum(totals: list[dict[str, Any]], currency: str) -> Decimal:
    return sum((Decimal(each["balance"]) for each in totals if each["currency"] == currency), Decimal(0))


def show_verified(found: dict[str, Any]) -> None:
    """Print the verdict."""
    out = console()
    if found["ok"]:
        out.print(f"the ledger is whole: {found['rows']:,} rows, every hash fits, every currency sums to zero")
        return
    for position in found["broken"]:
        out.print(f"row {position}: the stored hash does not fit its content and the row before it")
    for currency in found["unbalanced"]:
        out.print(f"{currency}: the postings do not sum to zero")
    out.print("the journal was changed outside this service: restore it from a backup and compare")


def show_balances(found: list[dict[str, Any]]) -> None:
    """Print balances."""
    rows = [(each["account"], each["currency"], each["balance"]) for each in found]
    console().print(table("balances", ("account", "currency", "balance"), rows, right=("balance",)))
