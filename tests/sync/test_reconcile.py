"""Reconciling finds whatever reading changes missed, by record, by day and by money, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import Description, Field
from connectors.errors import RetryLater
from connectors.memory.connector import MemoryConfig, MemoryConnector
from connectors.memory.system import MemorySystem
from sync.mapping import load_mapping
from sync.pull import pull
from sync.reconcile import Reconciled, amount_in, reconcile
from sync.store import Store
from tests.sync.empty_store import empty_store

MAPPING = load_mapping(
    "m.yaml",
    """
system: memory
objects:
  - object: Payment
    where: Kind=sale
    record: payment
    fields:
      invoice: Invoice
      received_on: Received
      currency: {value: AUD}
      amount: Amount
""",
)


class Ledger:
    """Payments of a memory system and the store beside it."""

    def __init__(self, store: Store) -> None:
        self.store, self.at = store, datetime(2026, 3, 2, 9, tzinfo=UTC)
        fields = {name: Field(name, name, "string") for name in ("Invoice", "Received", "Kind")}
        fields["Amount"] = Field("Amount", "Amount", "money")
        self.system = MemorySystem({"Payment": Description("Payment", "Payment", fields)}, lambda: self.at)
        self.reader = MemoryConnector(MemoryConfig(page_size=4), self.system)
        self.pulled_at = self.at

    def payment(self, amount: str, **more: Any) -> str:
        fields = {"Invoice": "I1", "Received": "2026-03-01", "Kind": "sale", "Amount": amount}
        return self.system.create("Payment", {**fields, **more})

    def wait(self, **time: float) -> None:
        self.at += timedelta(**time)

    def pull(self) -> None:
        self.pulled_at = self.at
        run = self.store.start_run("pull", "erp", at=self.at)
        pull(self.store, "erp", self.reader, MAPPING, now=lambda: self.at, run_id=run)

    def reconcile(self) -> Reconciled:
        settled = self.pulled_at - timedelta(hours=1)
        return reconcile(self.store, "erp", self.reader, MAPPING.objects[0], settled_before=settled)

    def purge(self, row_id: str) -> None:
        """A record goes without a trace."""
        versions = self.system._rows["Payment"][row_id]
        versions[:] = [replace(one, visible_at=datetime.max.replace(tzinfo=UTC)) for one in versions]

    def edit_untouched(self, row_id: str, fields: dict[str, Any]) -> None:
        """A change that moves no stamp."""
        versions = self.system._rows["Payment"][row_id]
        versions[-1] = replace(versions[-1], fields={**versions[-1].fields, **fields})


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    store = Store.open(empty_store(tmp_path / "referee.db"))
    yield Ledger(store)
    store.close()


def test_what_was_pulled_whole_has_no_difference(store: Store) -> None:
    ledger = Ledger(store)
    for number in range(9):
        ledger.payment(f"{number}.50")
        ledger.wait(hours=9)
    ledger.pull()
    ledger.wait(hours=2)
    result = ledger.reconcile()
    assert result.equal and result.differences == ()
    assert [(day.theirs, day.ours) for day in result.days] == [(2, 2), (3, 3), (2, 2), (2, 2)]
    assert sum(day.sums["Amount"][0] for day in result.days) == Decimal("40.50")


def test_each_kind_of_difference_is_named_with_its_day_and_its_money(ledger: Ledger) -> None:
    ids = [ledger.payment(f"{10 * number}.00") for number in range(1, 6)]
    ledger.wait(hours=3)
    ledger.pull()
    ledger.wait(hours=3)
    kept, purged, edited, moved, _ = ids
    ledger.purge(purged)
    ledger.edit_untouched(edited, {"Amount": "31.00"})
    ledger.edit_untouched(moved, {"Kind": "test"})
    ledger.at, now = ledger.pulled_at - timedelta(hours=5), ledger.at
    missed = ledger.payment("7.00")
    ledger.at = now
    result = ledger.reconcile()
    assert {(one.id, one.what, one.fields) for one in result.differences} == {
        (purged, "vanished", ()),
        (edited, "differs", ("Amount",)),
        (moved, "left", ()),
        (missed, "missing", ()),
    }
    assert kept not in {one.id for one in result.differences}
    (day,) = [day for day in result.days if not day.equal]
    assert (day.day, day.theirs, day.ours) == ("2026-03-02", 4, 5)
    assert day.sums["Amount"] == (Decimal("98.00"), Decimal("150.00"))


def test_what_changed_since_the_last_pull_is_no_difference(ledger: Ledger) -> None:
    old = ledger.payment("1.00")
    ledger.wait(hours=3)
    ledger.pull()
    ledger.wait(minutes=5)
    ledger.payment("2.00")
    ledger.system.update("Payment", old, {"Amount": "3.00"})
    result = ledger.reconcile()
    assert result.equal and result.recent == 2


def test_a_list_that_is_not_read_to_its_end_says_nothing(ledger: Ledger) -> None:
    ledger.payment("1.00")
    ledger.wait(hours=3)
    ledger.pull()
    ledger.system.failures = [503]
    with pytest.raises(RetryLater):
        ledger.reconcile()


@given(st.lists(st.sampled_from(["create", "update", "delete", "pull", "purge", "sneak"]), max_size=25))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_exactly_what_the_pull_cannot_see_is_found(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    ledger = Ledger(Store.open(empty_store(tmp_path_factory.mktemp("ledger") / "referee.db")))
    ids: list[str] = []
    hidden: dict[str, str] = {}
    for number, step in enumerate(steps):
        ledger.wait(hours=2)
        live = [one for one in ids if one not in hidden]
        if step == "create":
            ids.append(ledger.payment(f"{number}.25"))
        elif step == "pull":
            ledger.pull()
        elif live and step in ("update", "delete"):
            if step == "update":
                ledger.system.update("Payment", live[0], {"Amount": f"{number}.75"})
            else:
                ledger.system.delete("Payment", live[0])
                ids.remove(live[0])
        elif live and step in ("purge", "sneak"):
            ledger.pull()
            if step == "purge":
                ledger.purge(live[-1])
                hidden[live[-1]] = "vanished"
            else:
                ledger.edit_untouched(live[-1], {"Amount": f"{number}.99"})
                hidden[live[-1]] = "differs"
    ledger.wait(hours=2)
    ledger.pull()
    result = ledger.reconcile()
    assert {one.id: one.what for one in result.differences} == hidden
    assert result.equal == (not hidden)
    ledger.store.close()


@pytest.mark.parametrize(
    ("fields", "path", "amount"),
    [
        ({"a": "1.10"}, "a", "1.10"),
        ({"a": None}, "a", "0"),
        ({"a": "much"}, "a", "0"),
        ({"a.b": 3}, "a.b", "3"),
        ({"a": {"b": "2"}}, "a.b", "2"),
        ({"a": [{"b": "2"}, {"b": "0.5"}, {}]}, "a.b", "2.5"),
        ({}, "a.b", "0"),
    ],
)
def test_money_is_summed_wherever_it_stands(fields: dict[str, Any], path: str, amount: str) -> None:
    assert amount_in(fields, path) == Decimal(amount)
