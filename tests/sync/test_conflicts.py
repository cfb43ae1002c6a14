"""Conflicts: who may change what, whose value stands, what waits for a person, and fields that go back and forth."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Description, Field, Record
from sync import conflicts
from sync.conflicts import Conflict, NotOpen
from sync.decisions import FieldPolicy, ObjectPolicy
from sync.loops import LoopLimits
from sync.mapping import MappingError, load_mapping
from sync.outbox import Outbox
from sync.plan import Plan, make_plan
from sync.store import Store
from sync.write_maps import Desired, policies_of
from tests.sync.empty_store import empty_store
from tests.sync.filed_system import FiledSystem

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Edited(FiledSystem):
    """A system that says when and by whom a record was last changed."""

    at = START
    by = "Dana"

    def _record(self, kind: str, number: str, fields: Any = None) -> Record:
        found = super()._record(kind, number, fields)
        return Record(kind, number, found.version, {**found.fields, "ChangedBy": self.by}, modified_at=self.at)


class Desk:
    """A record that we write, and a person who edits it; the policy of its field is the test's."""

    def __init__(self, store: Store, folder: Path, policy: FieldPolicy, **more: Any) -> None:
        self.store, self.system, self.now = store, Edited(folder / "journal"), START
        self.outbox = Outbox(store)
        self.policies = {"Account": ObjectPolicy({"Phone": policy}, "ChangedBy", **more)}
        self.ours: Any = "one"
        self.loops = LoopLimits()
        self.ours_at: datetime | None = None
        self.key_field: str | None = "Key__c"

    def plan(self) -> Plan:
        wanted = Desired("Account", self.key_field, "a", {"Phone": self.ours}, None, "", self.ours_at)
        return make_plan(
            [wanted], self.system, self.outbox.agreed("crm"), connection="crm", writer=self.system, whole=True,
            history=self.outbox.history("crm", self.policies, now=self.now, loops=self.loops),
        )  # fmt: skip

    def sync(self) -> Plan:
        """Plan and write, an hour later."""
        self.now += timedelta(hours=1)
        plan = self.plan()
        self.outbox.enqueue(plan, at=self.now)
        self.outbox.apply("crm", self.system, self.system, clock=lambda: self.now)
        return plan

    def edit(self, phone: Any) -> None:
        """A person changes the field there."""
        (number,) = [number for _, number in self.system.records]
        self.system.at = self.now
        self.system.by_hand("Account", number, {"Phone": phone})

    @property
    def theirs(self) -> Any:
        (held,) = self.system.records.values()
        return held.get("Phone")

    def listed(self, state: str | None = "open") -> list[Conflict]:
        with self.store.reading() as db:
            return conflicts.listed(db, "crm", state)

    def take(self, side: Any) -> None:
        with self.store.transaction() as db:
            conflicts.take(db, self.listed()[0].id, side, by="Mara Lind", at=self.now)

    def quiet(self) -> bool:
        """Whether another run finds nothing to write and nothing new to keep."""
        before = self.listed(None)
        return self.sync().empty and self.listed(None) == before


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Any]:
    store = Store.open(empty_store(tmp_path / "referee.db"))

    def made(direction: Any = "push", conflict: Any = "ours", **more: Any) -> Desk:
        desk = Desk(store, tmp_path, FieldPolicy(direction, conflict), **more)
        desk.sync()
        assert desk.theirs == "one"
        return desk

    yield made
    store.close()


def test_conflicts_are_kept_in_both_databases(store: Store, tmp_path: Path) -> None:
    place = Desk(store, tmp_path, FieldPolicy(conflict="ask"))
    place.sync()
    place.edit("two")
    place.sync()
    place.take("ours")
    place.sync()
    assert place.theirs == "one" and place.quiet()
    assert [one.state for one in place.listed(None)] == ["past"]


def test_by_default_a_hand_edit_is_set_right_and_the_value_that_was_there_is_kept(desk: Any) -> None:
    place = desk()
    place.edit("two")
    place.sync()
    assert place.theirs == "one"
    (kept,) = place.listed(None)
    assert (kept.theirs, kept.ours, kept.last, kept.changed_by) == ("two", "one", "one", "Dana")
    assert (kept.state, kept.settled_by) == ("past", "policy")
    assert place.quiet()


def test_theirs_is_left_until_our_side_says_something_else(desk: Any) -> None:
    place = desk(conflict="theirs")
    place.edit("two")
    assert place.sync().empty and place.theirs == "two"
    assert place.quiet()
    place.ours = "three"
    place.sync()
    assert place.theirs == "three"
    assert place.quiet()


def test_both_ways_what_only_one_side_changed_goes_to_the_other(desk: Any) -> None:
    place = desk("both", "ask")
    place.edit("two")
    assert place.sync().empty and place.theirs == "two" and place.listed() == []
    place.ours = "three"
    place.sync()
    assert place.theirs == "three" and place.quiet()


def test_what_both_changed_waits_for_a_person_with_everything_that_is_known(desk: Any) -> None:
    place = desk("both", "ask")
    place.edit("two")
    place.ours = "three"
    plan = place.sync()
    assert plan.empty and plan.summary()["objects"]["Account"]["conflicts"] == 1
    (waits,) = place.listed()
    assert (waits.theirs, waits.ours, waits.last) == ("two", "three", "one")
    assert (waits.theirs_at, waits.changed_by, waits.name) == (
        START + timedelta(hours=1),
        "Dana",
        "crm:Account:a:Phone",
    )
    assert place.theirs == "two" and place.quiet()


def test_a_conflict_stays_open_while_the_record_cannot_be_written(desk: Any) -> None:
    """The rest of the record is blocked; nobody has said whose value stands."""
    it = desk(conflict="ask")
    it.edit("by hand")
    it.ours = "two"
    it.sync()
    (open_,) = it.listed()
    fields = {name: Field(name, name, "string", updatable=name != "Fax") for name in ("Phone", "Fax", "Key__c")}
    wanted = Desired("Account", "Key__c", "a", {"Phone": "two", "Fax": "3"}, None, "")
    plan = make_plan(
        [wanted], it.system, it.outbox.agreed("crm"), connection="crm", writer=it.system, whole=True,
        history=it.outbox.history("crm", it.policies, now=it.now), descriptions={"Account": Description("Account", "Account", fields)},
    )  # fmt: skip
    assert [item.action for item in plan.items] == ["blocked"]
    it.outbox.enqueue(plan, at=it.now)
    assert it.listed() == [open_]


@pytest.mark.parametrize("side", ["theirs", "ours"])
def test_what_a_person_took_stands(desk: Any, side: str) -> None:
    place = desk(conflict="ask")
    place.edit("two")
    place.sync()
    place.take(side)
    place.sync()
    assert place.theirs == ("two" if side == "theirs" else "one")
    assert place.listed() == [] and place.quiet()
    with pytest.raises(NotOpen, match="not open"), place.store.transaction() as db:
        conflicts.take(db, place.listed(None)[0].id, "ours", by="Mara Lind", at=place.now)
    place.edit("four")
    place.sync()
    assert [one.theirs for one in place.listed()] == ["four"], "a new edit is a new conflict"


def test_a_conflict_ends_when_both_sides_come_to_agree(desk: Any) -> None:
    place = desk(conflict="ask")
    place.edit("two")
    place.sync()
    assert len(place.listed()) == 1
    place.edit("one")
    place.sync()
    assert place.listed() == []
    place.edit("two")
    place.ours = "two"
    place.sync()
    assert place.listed() == [] and place.quiet()


@pytest.mark.parametrize(("ours_at", "stands"), [(1, "two"), (-1, "one"), (None, None)])
def test_the_newest_stands_and_without_both_times_a_person_is_asked(
    desk: Any, ours_at: int | None, stands: str | None
) -> None:
    place = desk(conflict="newest")
    place.edit("two")
    place.ours_at = None if ours_at is None else place.now - timedelta(days=ours_at)
    place.sync()
    assert place.theirs == (stands or "two")
    assert len(place.listed()) == (stands is None)


@pytest.mark.parametrize(
    ("limits", "stops_after"), [(LoopLimits(), 5), (LoopLimits(3, 1), 3), (LoopLimits(None), None)]
)
def test_a_field_that_goes_back_and_forth_is_left_to_a_person(
    desk: Any, limits: LoopLimits, stops_after: int | None
) -> None:
    place = desk()
    place.loops = limits
    held = []
    for _ in range(8):
        place.edit("two")
        place.sync()
        held.append(place.theirs)
    if stops_after is None:
        assert held == ["one"] * 8
        return
    # The first write, which made the record, counts too.
    assert held == ["one"] * (stops_after - 1) + ["two"] * (9 - stops_after)
    (waits,) = place.listed()
    assert "back and forth between two values" in waits.reason
    assert f"{stops_after} times in {limits.days} days" in waits.reason
    assert place.quiet()
    place.take("ours")
    place.sync()
    assert place.theirs == "one" and place.quiet()


def test_a_field_that_moves_on_is_no_loop(desk: Any) -> None:
    place = desk()
    for number in range(10):
        place.ours = f"value {number}"
        place.sync()
        assert place.theirs == place.ours
    for _ in range(10):
        place.edit("two")
        place.now += timedelta(days=LoopLimits().days / 2)
        place.sync()
        assert place.theirs == place.ours


@pytest.mark.parametrize(("if_deleted", "there"), [("recreate", 1), ("leave", 0)])
def test_a_record_deleted_by_hand_is_made_again_or_left(desk: Any, if_deleted: Any, there: int) -> None:
    place = desk(if_deleted=if_deleted)
    (number,) = [number for _, number in place.system.records]
    place.system.by_hand("Account", number, None)
    place.sync()
    assert len(place.system.records) == there


WRITE = """
system: salesforce
write:
  - object: Account
    rows: support
    id: account
    changed_by: LastModifiedById
    if_deleted: leave
    %s
    fields:
      Support_Contact_Name__c: name
      Support_Contact_Phone__c: {row: phone, direction: both, conflict: %s}
"""


def test_policies_stand_in_the_mapping() -> None:
    mapping = load_mapping("m.yaml", WRITE % ("changed_at: since", "newest"))
    assert policies_of(mapping.writes) == {
        "Account": ObjectPolicy(
            {"Support_Contact_Name__c": FieldPolicy(), "Support_Contact_Phone__c": FieldPolicy("both", "newest")},
            "LastModifiedById",
            "leave",
        )
    }
    row = {"account": "A1", "name": "Sam", "phone": "one", "since": "2026-03-01"}
    (wanted,) = mapping.writes[0].desired({"support": [row]})
    assert wanted.at == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed_at", "policy", "says"), [("", "newest", "changed_at"), ("", "latest", "ours, theirs, newest, ask")]
)
def test_a_policy_that_cannot_work_is_refused_by_name(changed_at: str, policy: str, says: str) -> None:
    with pytest.raises(MappingError, match=says):
        load_mapping("m.yaml", WRITE % (changed_at, policy))
