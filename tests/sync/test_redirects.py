"""Merged accounts and leads: nothing that names the one that is gone is lost, and no claim loses its rank."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson

from sync import tables
from sync.redirects import follow_redirects, surviving
from sync.store import Store

START = datetime(2026, 1, 5, tzinfo=UTC)


def redirect(store: Store, loser: str, winner: str) -> None:
    stream = store.stream("crm", "Account")
    with store.transaction() as db:
        values = {"stream_id": stream.id, "loser": loser, "winner": winner, "seen_at": START}
        db.execute(tables.redirect.insert().values(values))


def invoice(account: str) -> dict[str, object]:
    return {"type": "invoice", "id": "i1", "account": account, "issued_on": "2026-01-05", "currency": "AUD",
            "lines": [{"kind": "saas", "amount": "10.00"}]}  # fmt: skip


def test_an_invoice_of_a_merged_account_follows_the_chain_once(store: Store) -> None:
    run = store.start_run("test", None, at=START)
    store.put_facts([invoice("a1")], known_at=START, run_id=run)
    redirect(store, "a1", "a2")
    redirect(store, "a2", "a3")
    later = START + timedelta(days=1)
    with store.transaction() as db:
        assert follow_redirects(db, at=later, run_id=run) == 1
    with store.transaction() as db:
        assert follow_redirects(db, at=later, run_id=run) == 0
    versions = [orjson.loads(line) for line in store.fact_lines(types=["invoice"])]
    assert [version["account"] for version in versions] == ["a1", "a3"]


def test_two_accounts_that_were_merged_into_each_other_are_left_alone(store: Store) -> None:
    redirect(store, "a1", "a2")
    redirect(store, "a2", "a1")
    with store.reading() as db:
        assert surviving(db) == {}
