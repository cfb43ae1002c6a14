"""Old operational history goes; what a write, a replay, a trace or the ledger still needs stays, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from sync import mapping_versions, tables
from sync.conflict_tables import conflict
from sync.decisions import FieldPolicy
from sync.link_tables import link
from sync.mapping import load_mapping
from sync.outbox_tables import enqueued_plan, intent, write_event
from sync.plan_items import Ref
from sync.replay import read_by
from sync.retention import Keep, prunable, prune
from sync.store import Store
from sync.tracing import writes
from tests.sync.test_conflicts import Desk
from tests.sync.test_pull import MAPPING, World


def left(store: Store, *columns: Any) -> list[Any]:
    with store.reading() as db:
        return sorted(db.execute(select(*columns)).scalars())


def like_the_first(store: Store, state: str, key: str) -> int:
    """Another write, as old and in this state, with one event."""
    with store.transaction() as db:
        row = db.execute(select(intent).order_by(intent.c.id).limit(1)).one()._asdict()
        values = {**row, "id": row["id"] + 1000 + len(key), "state": state, "key": key}
        db.execute(insert(intent), values)
        event = {"intent_id": values["id"], "at": row["updated_at"], "event": "sent", "attempt": 1}
        db.execute(insert(write_event), event)
        return int(values["id"])


def test_a_write_goes_with_its_events_once_a_later_one_replaced_it(store: Store, tmp_path: Path) -> None:
    desk = Desk(store, tmp_path, FieldPolicy())
    for value in ("one", "two", "three"):
        desk.ours = value
        desk.sync()
        desk.now += timedelta(days=1)
    waits = [like_the_first(store, state, state) for state in ("pending", "attempted", "dead")]
    like_the_first(store, "superseded", "superseded one")
    young = desk.now + timedelta(days=399)
    assert set(prunable(store, Keep(), young - timedelta(days=3)).counts().values()) == {0}

    now = desk.now + timedelta(days=401)
    assert prunable(store, Keep(None, None, None, None), now).counts() == {}
    before = left(store, intent.c.id)
    found = prunable(store, Keep(), now)
    assert found.counts() | {"run": 0} == {
        "intent": 3, "write_event": 5, "enqueued_plan": 3, "run": 0, "mapping_use": 0, "read_page": 0, "notice": 0,
    }  # fmt: skip
    assert found.stays == {
        "writes that wait, or whose outcome is not known": 2, "dead letters": 1, "the last write of a record": 1,
    }  # fmt: skip
    assert left(store, intent.c.id) == before, "looking deletes nothing"

    for _ in range(2):
        prune(store, found)
        assert left(store, intent.c.state) == ["attempted", "dead", "done", "pending"]
        assert set(waits) < set(left(store, intent.c.id))
    with store.reading() as db:
        (last,) = [one for one in writes(db, "crm", {Ref("Account", "Key__c", "a")}) if one.state == "done"]
    assert {name: after for name, _, after in last.changes} == {"Phone": "three"}
    assert [event.event for event in last.events] == ["sent", "answered"]
    assert not any(prunable(store, Keep(), now).counts().values())
    desk.now = now
    assert desk.plan().empty, "what both sides last held is still known"


def test_a_plan_that_a_person_let_through_stays(store: Store, tmp_path: Path) -> None:
    desk = Desk(store, tmp_path, FieldPolicy())
    desk.outbox.enqueue(desk.plan().allow("Mara Lind"), at=desk.now)
    found = prunable(store, Keep(), desk.now + timedelta(days=500))
    assert found.counts()["enqueued_plan"] == 0 and found.stays["plans that a person let past a brake"] == 1
    prune(store, found)
    assert left(store, enqueued_plan.c.allowed_by) == ["Mara Lind"]


def test_a_run_goes_unless_something_names_it(store: Store) -> None:
    world, mapping = World(), load_mapping("mapping.yaml", MAPPING)
    first = world.customer("a")
    brought = []
    for day in range(6):
        if day in (1, 3):
            world.system.update("Customer", first, {"Name": f"on day {day}"})
        result = world.pull(store, mapping)
        number = store.runs(limit=1)[0].id
        with store.transaction() as db:
            mapping_versions.use(db, "erp", mapping, number, world.at)
        brought += [number] if result.records.facts else []
        world.wait(days=1)
    with store.transaction() as db:
        killed = int(
            db.execute(
                insert(tables.run).values(job="pull", state="running", started_at=world.at)
            ).inserted_primary_key[0]
        )  # type: ignore[index]
    last = store.runs(limit=2)[-1].id
    now = world.at + timedelta(days=401)
    found = prunable(store, Keep(), now)
    prune(store, found)
    assert left(store, tables.run.c.id) == sorted({*brought, last, killed})
    assert found.counts()["run"] == 2 and found.stays == {"runs that records, facts or writes name": 3}
    with store.reading() as db:
        assert all(read_by(db, number) for number in brought), "what a run read can still be replayed"
        (version,) = mapping_versions.versions(db, "erp")
    assert version.last_used_at == world.at - timedelta(days=1)
    assert len(list(store.facts(types=["account"]))) == 3


def test_the_calls_of_old_pages_go_and_their_records_stay(store: Store) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with store.transaction() as db:
        for number in range(3):
            page = {"first_version": 10 * number, "last_version": 10 * number + 9, "calls": "[]"}
            db.execute(insert(tables.read_page).values(**page, read_at=at + timedelta(days=100 * number)))
    found = prunable(store, Keep(calls=35), at + timedelta(days=220))
    assert found.ids["read_page"] == [0, 10]
    prune(store, found)
    with store.reading() as db:
        assert db.execute(select(func.count()).select_from(tables.read_page)).scalar_one() == 1


def test_merges_links_conflicts_and_what_systems_said_are_kept_for_ever(store: Store, tmp_path: Path) -> None:
    desk = Desk(store, tmp_path, FieldPolicy())
    desk.sync()
    desk.edit("by hand")
    desk.sync()
    world, mapping = World(), load_mapping("mapping.yaml", MAPPING)
    world.customer("a")
    world.pull(store, mapping)
    at, stream = world.at, store.streams("erp")[0]
    with store.transaction() as db:
        db.execute(insert(tables.redirect).values(stream_id=stream.id, loser="a1", winner="a2", seen_at=at))
        named = {"connection": "erp", "type": "account", "id": "c1", "other": "a1"}
        db.execute(insert(link).values(**named, rule="domain", evidence="", linked_by="Mara Lind", linked_at=at))
    kept = (tables.redirect, link, conflict, tables.record_version, tables.fact)

    def counted() -> list[int]:
        with store.reading() as db:
            return [db.execute(select(func.count()).select_from(each)).scalar_one() for each in kept]

    before = counted()
    assert min(before) > 0
    found = prunable(store, Keep(35, 35, 35, 35), at + timedelta(days=9000))
    prune(store, found)
    assert sum(found.counts().values()) > 0 and counted() == before


def test_too_short_a_time_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="35 or more"):
        prunable(store, Keep(writes=34), datetime(2026, 1, 1, tzinfo=UTC))
