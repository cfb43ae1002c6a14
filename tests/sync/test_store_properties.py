"""However the pages of a history arrive (again, in pieces, out of order), the store ends up knowing the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Page, Record
from sync.mapping import Mapped, Reject
from sync.raw_rows import Lookups
from sync.store import Store
from tests.sync.empty_store import empty_store

JAN = datetime(2026, 1, 1, tzinfo=UTC)

states = st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", "bad"]), st.booleans())


def history(steps: list[tuple[int, str, bool]]) -> list[Record]:
    """Versions of four records in the order in which they came about, each later than the one before."""
    return [
        Record(
            "Deal", f"D{number}", str(step), {"Name": name}, deleted=gone, created_at=JAN,
            modified_at=JAN + timedelta(hours=step),
        )
        for step, (number, name, gone) in enumerate(steps)
    ]  # fmt: skip


def mapped(records: Sequence[Record], _lookups: Lookups) -> list[Mapped]:
    return [
        Mapped(r.external_id, (), Reject("type", "Name", "bad", "another"))
        if r.fields["Name"] == "bad"
        else Mapped(r.external_id, ({"type": "account", "id": r.external_id, "name": r.fields["Name"]},))
        for r in records
    ]


def land(store: Store, pages: list[list[Record]]) -> None:
    stream = store.stream("crm", "Deal")
    for page in pages:
        store.put_page(stream, Page(tuple(page), "c"), mapped, seen_at=JAN + timedelta(days=9), run_id=1)


def current(store: Store) -> dict[str, Any]:
    """The last version of each record, and whether it is refused."""
    refused = {held.external_id for held in store.quarantine()}
    found = {}
    for number in range(4):
        versions = store.trace("crm", "Deal", f"D{number}").versions
        if versions:
            last = versions[-1]
            found[f"D{number}"] = (last.version, dict(last.fields), last.deleted, f"D{number}" in refused)
    return found


@settings(max_examples=25)
@given(st.lists(states, min_size=1, max_size=10), st.randoms(use_true_random=False))
def test_order_and_repetition_of_pages_do_not_matter(steps: list[tuple[int, str, bool]], chance: Any) -> None:
    records = history(steps)
    shuffled = [record for record in records for _ in range(chance.randint(1, 2))]
    chance.shuffle(shuffled)
    pieces = [shuffled[start : start + 3] for start in range(0, len(shuffled), 3)]
    with TemporaryDirectory() as folder:
        stores = [Store.open(empty_store(Path(folder) / name)) for name in ("straight.db", "shuffled.db")]
        land(stores[0], [records])
        land(stores[1], pieces)
        straight, mixed = (current(store) for store in stores)
        facts = list(stores[1].fact_lines())
        land(stores[1], pieces)
        assert list(stores[1].fact_lines()) == facts, "the same pages once more change nothing"
        for store in stores:
            store.close()
    for key, state in straight.items():
        same_content = [r for r in records if r.external_id == key and (dict(r.fields), r.deleted) == state[1:3]]
        assert mixed[key][1:] == state[1:]
        assert mixed[key][0] in {r.version for r in same_content}
