"""Drift: a field that goes, is hidden or changes its type pauses only what uses it, and nothing is missing afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Description, Field, Page, Query, Record
from connectors.memory.connector import MemoryConfig, MemoryConnector
from connectors.memory.system import MemorySystem
from sync.drift import Change, Drift, PausedMap, paused_fields, watch
from sync.mapping import load_mapping
from sync.pull import PullResult, pull, remap, take_over
from sync.reconcile import reconcile
from sync.store import Store
from tests.sync.empty_store import empty_store

TEXT = """
system: memory
objects:
  - object: Customer
    records:
      - record: account
        fields:
          name: {field: Name, required: true}
          website: Site
          country: {field: Land, values: {Deutschland: DE, Australien: AU}}
  - object: Person
    record: contact
    fields: {account: Customer, name: Name}
write:
  - object: Person
    rows: support
    id: account
    fields: {Status: {value: active}, Note: name}
"""
MAPPING = load_mapping("m.yaml", TEXT)


class World:
    """A memory system whose fields an administrator hides, shows and changes, and the store beside it."""

    def __init__(self, store: Store) -> None:
        self.store, self.at, self.mapping = store, datetime(2026, 3, 2, tzinfo=UTC), MAPPING
        fields = {
            "Customer": [Field("Name", "Name", "string"), Field("Site", "Site", "string"),
                         Field("Land", "Land", "picklist", values=("Deutschland", "Australien"))],
            "Person": [Field("Customer", "Customer", "string"), Field("Name", "Name", "string"),
                       Field("Status", "Status", "picklist", values=("active", "gone")), Field("Note", "Note", "string")],
        }  # fmt: skip
        self.whole = {kind: Description(kind, kind, {one.name: one for one in some}) for kind, some in fields.items()}
        self.system = MemorySystem(dict(self.whole), lambda: self.at)
        self.reader = MemoryConnector(MemoryConfig(page_size=3), self.system)
        self.drift = Drift()

    def hide(self, kind: str, name: str | None = None) -> None:
        objects: Any = self.system.objects
        if name is None:
            del objects[kind]
        else:
            fields = {key: one for key, one in objects[kind].fields.items() if key != name}
            objects[kind] = replace(objects[kind], fields=fields)

    def change(self, kind: str, name: str, **how: Any) -> None:
        objects: Any = self.system.objects
        fields = {**objects[kind].fields, name: replace(self.whole[kind].fields[name], **how)}
        objects[kind] = replace(objects[kind], fields=fields)

    def add(self, kind: str, name: str) -> None:
        fields = {**self.whole[kind].fields, name: Field(name, name, "string")}
        self.whole[kind] = self.system.objects[kind] = replace(self.whole[kind], fields=fields)  # type: ignore[index]

    def show(self, kind: str, name: str | None = None) -> None:
        if name is None:
            self.system.objects[kind] = self.whole[kind]  # type: ignore[index]
        else:
            self.change(kind, name)

    def sync(self) -> PullResult:
        self.at += timedelta(hours=1)
        self.drift = watch(self.store, "crm", self.reader, self.mapping.objects, self.mapping.writes, at=self.at)
        run = self.store.start_run("pull", "crm", at=self.at)
        return pull(
            self.store, "crm", self.reader, self.mapping, now=lambda: self.at, run_id=run, paused=self.drift.paused,
            hidden=self.drift.hidden,
        )  # fmt: skip

    def customer(self, name: str, **more: Any) -> str:
        return self.system.create("Customer", {"Name": name, "Site": "a.example", "Land": "Australien", **more})

    def edit(self, row_id: str, **fields: Any) -> None:
        """A person edits a record, also fields that we do not see."""
        self.system.update(row_id_kind(row_id), row_id, fields)

    def facts(self, kind: str = "account") -> dict[str, Any]:
        """The current facts, by id."""
        found: dict[str, Any] = {}
        for fact in self.store.facts(types=[kind]):
            found[fact["id"]] = None if fact.get("deleted") else fact
        return {key: fact for key, fact in found.items() if fact is not None}

    def kinds(self) -> set[tuple[str, str, str]]:
        return {(change.object, change.field, change.kind) for change in self.drift.changes}


def row_id_kind(row_id: str) -> str:
    return "Customer" if row_id.startswith("CUS") else "Person"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = Store.open(empty_store(tmp_path / "referee.db"))
    yield World(store)
    store.close()


def test_a_hidden_field_keeps_its_last_value_while_everything_else_goes_on(world: World) -> None:
    old = world.customer("Harbour")
    person = world.system.create("Person", {"Customer": old, "Name": "Ann"})
    assert world.sync().state == "ok" and world.drift.changes == ()
    world.hide("Customer", "Site")
    world.edit(old, Name="Harbour Lift", Site="b.example")
    world.edit(person, Name="Anna")
    new = world.customer("Northline", Site="c.example")
    result = world.sync()
    assert world.kinds() == {("Customer", "Site", "vanished")}
    assert [stream.state for stream in result.streams] == ["ok", "ok"]
    assert (world.facts()[old]["name"], world.facts()[old]["website"]) == ("Harbour Lift", "a.example")
    assert world.facts("contact")[person]["name"] == "Anna"
    assert new not in world.facts()
    (held,) = world.store.quarantine("crm")
    assert (held.external_id, held.field) == (new, "website") and "Site" in held.allowed
    assert paused_fields(world.store, "crm")["Customer"].keys() == {"Site"}


def test_api_28_when_it_is_back_every_record_is_read_again_and_those_that_waited_are_taken(world: World) -> None:
    old = world.customer("Harbour")
    world.sync()
    world.hide("Customer", "Site")
    world.edit(old, Site="b.example")
    new = world.customer("Northline", Site="c.example")
    world.sync()
    world.show("Customer", "Site")
    assert world.sync().state == "ok"
    assert ("Customer", "Site", "back") in world.kinds()
    sites = {key: fact["website"] for key, fact in world.facts().items()}
    assert sites == {old: "b.example", new: "c.example"}
    assert world.store.quarantine("crm") == [] and paused_fields(world.store, "crm") == {}
    world.sync()
    assert world.drift.changes == ()


def test_an_object_with_a_hidden_field_is_reconciled_by_its_other_fields(world: World) -> None:
    old, other, gone = (world.customer(name) for name in ("Harbour", "Tasman", "Delta"))
    world.sync()
    world.hide("Customer", "Site")
    world.edit(other, Site="b.example")
    world.sync()
    new = world.customer("Northline", Site="c.example")  # seen by no read so far
    world.edit(old, Name="Harbour Lift")
    del world.system._rows["Customer"][gone]  # purged
    (plan, paused) = (MAPPING.objects[0], world.drift.paused["Customer"])
    by_the_rest = PausedMap(plan, paused)
    found = reconcile(
        world.store, "crm", world.reader, plan, settled_before=datetime.max.replace(tzinfo=UTC), paused=by_the_rest
    )
    assert [(one.id, one.what, one.fields) for one in found.differences] == [
        (old, "differs", ("Name",)), (gone, "vanished", ()), (new, "missing", ()),
    ]  # fmt: skip
    there = [one for one in found.found.values() if one is not None]
    run = world.store.start_run("reconcile", "crm", at=world.at)
    take_over(world.store, "crm", by_the_rest, there, now=lambda: world.at, run_id=run)
    assert (world.facts()[old]["name"], world.facts()[old]["website"]) == ("Harbour Lift", "a.example")
    assert new not in world.facts(), "it waits for the field, as it would after a pull"


def test_another_type_pauses_only_when_nothing_fitting_can_be_made_of_it(world: World) -> None:
    old = world.customer("Harbour")
    world.sync()
    world.change("Customer", "Site", type="picklist")
    assert world.sync().state == "ok" and world.drift.changes == ()
    world.change("Customer", "Site", type="boolean")
    world.edit(old, Name="Harbour Lift", Site=True)
    world.sync()
    assert world.kinds() == {("Customer", "Site", "retyped")}
    assert (world.facts()[old]["name"], world.facts()[old]["website"]) == ("Harbour Lift", "a.example")


def test_picklist_values_are_told_in_both_directions_and_pause_nothing(world: World) -> None:
    world.customer("Harbour")
    world.sync()
    world.change("Customer", "Land", values=("Australien", "Neuseeland"))
    world.change("Person", "Status", values=("gone",))
    assert world.sync().state == "ok"
    told = {(change.field, change.kind): change.found for change in world.drift.changes}
    assert told == {
        ("Land", "new value"): "Neuseeland", ("Land", "lost value"): "Deutschland", ("Status", "lost value"): "active",
    }  # fmt: skip
    assert world.drift.paused == {}
    world.sync()
    assert len(world.drift.changes) == 3, "it is told until the mapping or the system is mended"


def test_what_the_mapping_does_not_care_about_is_not_told(world: World) -> None:
    """A word that may come untranslated, and money that is called a decimal."""
    easy = TEXT.replace("values: {Deutschland: DE, Australien: AU}}", "values: {Deutschland: DE}, otherwise: keep}")
    world.mapping = load_mapping("m.yaml", easy.replace("Note: name}", "Note: name, Sum: {value: 5}}"))
    person = world.whole["Person"]
    world.whole["Person"] = replace(person, fields={**person.fields, "Sum": Field("Sum", "Sum", "money")})
    world.show("Person")
    world.sync()
    world.change("Customer", "Land", values=("Deutschland", "Australien", "Neuseeland"))
    world.change("Person", "Sum", type="decimal")
    world.sync()
    assert world.drift.changes == ()


def test_a_field_that_is_described_and_may_not_be_read_is_paused(world: World) -> None:
    """As systems show sensitive fields."""
    old = world.customer("Harbour")
    world.change("Customer", "Site", readable=False)
    for _ in range(2):
        world.sync()
        assert world.drift.changes == (), "what was never there has not gone"
    world.show("Customer", "Site")
    assert world.sync().state == "ok" and world.drift.changes == ()
    world.change("Customer", "Site", readable=False)
    world.edit(old, Name="Harbour Lift")
    assert world.sync().state == "ok"
    assert world.kinds() == {("Customer", "Site", "vanished")}
    assert (world.facts()[old]["name"], world.facts()[old]["website"]) == ("Harbour Lift", "a.example")


def test_of_thousands_of_new_picklist_values_the_first_are_named(world: World) -> None:
    world.customer("Harbour")
    world.sync()
    world.change(
        "Customer", "Land", values=("Australien", "Deutschland", *(f"Land {number}" for number in range(20_000)))
    )
    assert world.sync().state == "ok"
    (told,) = (change.found for change in world.drift.changes if change.field == "Land")
    assert told.startswith("Land 0, Land 1, ") and told.endswith(", Land 11 and 19988 more")


def test_a_field_that_we_write_and_that_goes_is_told(world: World) -> None:
    world.sync()
    world.hide("Person", "Note")
    world.sync()
    assert world.drift.changes == (
        Change("Person", "Note", "vanished", "the connection does not see it any more", "its writes are blocked", True),
    )


ELSEWHERE = load_mapping(
    "m.yaml",
    """
system: memory
objects:
  - object: Customer
  - object: Person
    record: contact
    id: "P-{Code}"
    when: {field: Status, not: gone}
    fields:
      account: Customer
      name: {template: "{First} {Name}"}
      email: {lookup: {field: Customer, object: Customer, get: Mail}}
      title: {cel: "Note == null ? 'none' : upper(Note)"}
""",
)


@pytest.mark.parametrize("name", ["Code", "Status", "First", "Note", "Customer"])
def test_a_new_record_waits_for_a_hidden_field_wherever_the_mapping_uses_it(world: World, name: str) -> None:
    """In a condition, an id, a template, an expression, a look-up: without it, something else would be made of the record."""
    for more in ("Code", "First"):
        world.add("Person", more)
    world.add("Customer", "Mail")
    world.mapping = ELSEWHERE
    firm = world.customer("Harbour", Mail="office@harbour.example")
    person = {"Customer": firm, "Name": "Lee", "First": "Ann", "Status": "active", "Note": "boss"}
    world.system.create("Person", {**person, "Code": "1"})
    assert world.sync().state == "ok" and world.drift.changes == ()
    world.hide("Person", name)
    new = world.system.create("Person", {**person, "Code": "2"})
    world.system.create("Person", {**person, "Code": "3", "Status": "gone"})
    world.sync()
    assert {"P-1"} == world.facts("contact").keys()
    held = {one.external_id: one for one in world.store.quarantine("crm")}
    assert new in held and held[new].code == "missing" and f"{name}, as it was" in held[new].allowed
    world.show("Person", name)
    assert world.sync().state == "ok"
    assert {"P-1", "P-2"} == world.facts("contact").keys() and world.store.quarantine("crm") == []


def test_a_record_that_waits_for_a_hidden_field_waits_on_when_the_mapping_changes(world: World) -> None:
    """The mapping is replayed over what is stored, and the record is stored: without the field."""
    world.customer("Harbour")
    world.sync()
    world.hide("Customer", "Site")
    new = world.customer("Northline", Site="c.example")
    world.sync()
    for text, replayed in (("Australien: AU, Schweiz: CH", False), ("Australien: AU, Österreich: AT", True)):
        world.mapping = load_mapping("m.yaml", TEXT.replace("Australien: AU", text))
        if replayed:
            run = world.store.start_run("remap", "crm", at=world.at)
            remap(world.store, "crm", world.mapping, now=lambda: world.at, run_id=run)
        else:
            world.sync()
        assert new not in world.facts() and [held.external_id for held in world.store.quarantine("crm")] == [new]


def test_a_hidden_field_that_others_look_up_stops_neither_its_object_nor_what_was_looked_up_before(
    world: World,
) -> None:
    for more in ("Code", "First"):
        world.add("Person", more)
    world.add("Customer", "Mail")
    world.mapping = ELSEWHERE
    old = world.customer("Harbour", Mail="office@harbour.example")
    person = {"Name": "Lee", "First": "Ann", "Status": "active", "Note": "boss"}
    known = world.system.create("Person", {**person, "Customer": old, "Code": "1"})
    world.sync()
    world.hide("Customer", "Mail")
    new = world.customer("Northline", Mail="office@northline.example")
    world.edit(known, Note="chief")
    waiting = world.system.create("Person", {**person, "Customer": new, "Code": "2"})
    result = world.sync()
    assert world.kinds() == {("Customer", "Mail", "vanished")}
    assert [stream.state for stream in result.streams if stream.kind == "Customer"] == ["ok"]
    found = world.facts("contact")
    assert (found["P-1"]["title"], found["P-1"]["email"]) == ("CHIEF", "office@harbour.example")
    (held,) = world.store.quarantine("crm")
    assert (held.external_id, held.code) == (waiting, "waiting") and "Customer with its Mail" in held.allowed
    world.show("Customer", "Mail")
    assert world.sync().state == "ok"
    assert world.facts("contact")["P-2"]["email"] == "office@northline.example"


def test_a_picklist_value_that_came_later_and_is_translated_is_told_when_it_goes(world: World) -> None:
    world.customer("Harbour")
    world.sync()
    world.change("Customer", "Land", values=("Deutschland", "Australien", "Neuseeland"))
    world.sync()
    assert world.kinds() == {("Customer", "Land", "new value")}
    before = MAPPING.objects[0].place.file
    world.mapping = load_mapping(before, TEXT.replace("Australien: AU", "Australien: AU, Neuseeland: NZ"))
    world.sync()
    assert world.drift.changes == ()
    world.show("Customer", "Land")
    world.sync()
    assert [(change.kind, change.found) for change in world.drift.changes] == [("lost value", "Neuseeland")]


def test_a_field_that_we_write_and_that_becomes_read_only_or_another_type_is_told(world: World) -> None:
    world.sync()
    world.change("Person", "Note", creatable=False, updatable=False)
    world.change("Person", "Status", type="boolean", values=())
    world.sync()
    assert {(change.field, change.kind, change.means) for change in world.drift.changes} == {
        ("Note", "read only", "its writes are blocked"),
        ("Status", "retyped", "we write it, and what we write may be refused"),
        ("Status", "lost value", "we write it, and it is not active any more"),
    }
    assert world.drift.paused == {}, "nothing that is read stops for it"
    world.show("Person", "Note")
    world.change("Person", "Status", type="string", values=())
    world.sync()
    assert {change.kind for change in world.drift.changes} <= {"lost value"}, "text takes whatever we write"


def test_a_hidden_object_is_left_out_and_read_whole_when_it_is_back(world: World) -> None:
    customer = world.customer("Harbour")
    world.sync()
    world.hide("Customer")
    person = world.system.create("Person", {"Customer": customer, "Name": "Ann"})
    result = world.sync()
    assert [stream.state for stream in result.streams] == ["skipped", "ok"]
    assert "give it access" in (result.streams[0].why or "")
    assert person in world.facts("contact") and customer in world.facts()
    world.show("Customer")
    other = world.customer("Northline")
    assert world.sync().state == "ok"
    assert world.facts().keys() == {customer, other}


def test_what_was_never_described_is_no_drift(world: World) -> None:
    world.hide("Customer", "Site")
    result = world.sync()
    assert world.drift == Drift()
    assert result.streams[0].state == "failed" and "no field Site" in (result.streams[0].why or "")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["create", "site", "name", "delete", "hide", "retype", "show", "sync"]), st.integers(0, 9)
    ),
    max_size=30,
)


@given(STEPS)
@settings(max_examples=40)
def test_whatever_is_hidden_and_shown_in_the_end_everything_is_here(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    file = empty_store(tmp_path_factory.mktemp("drift") / "referee.db")
    world, ids = World(Store.open(file)), list[str]()
    world.sync()
    for what, number in steps:
        live = [one for one in ids if one]
        if what == "create":
            ids.append(world.customer(f"Company {number}", Site=f"s{number}.example"))
        elif what in ("site", "name") and live:
            world.edit(live[number % len(live)], **{what.capitalize(): f"{what}{number}.example"})
        elif what == "delete" and live:
            world.system.delete("Customer", live[number % len(live)])
            ids.remove(live[number % len(live)])
        elif what == "hide":
            world.hide("Customer", "Site")
        elif what == "retype":
            world.change("Customer", "Site", type="boolean")
        elif what == "show":
            world.show("Customer", "Site")
        elif what == "sync":
            before = set(world.facts())
            world.sync()
            assert before & set(ids) <= set(world.facts()), "what was known is never withdrawn by a hidden field"
        world.at += timedelta(minutes=10)
    world.show("Customer", "Site")
    world.sync()
    assert world.sync().state == "ok"
    held = {key: (fact["name"], fact["website"]) for key, fact in world.facts().items()}
    there = {
        row.id: (row.fields["Name"], row.fields["Site"]) for row in world.system.rows("Customer") if not row.deleted
    }
    assert held == there
    assert world.store.quarantine("crm") == []
    world.store.close()


LINES = load_mapping(
    "l.yaml",
    """
system: memory
objects:
  - object: Bill
    record: invoice
    fields:
      account: Customer
      issued_on: {value: "2026-03-01"}
      currency: {value: AUD}
      lines:
        list: Lines
        as: line
        fields: {kind: {field: line.Kind, default: services}, amount: line.Amount}
""",
)


def line(number: int, amount: str, kind: str | None = "saas") -> dict[str, Any]:
    return {"id": str(number), "Amount": amount, **({"Kind": kind} if kind else {})}


def test_elements_of_a_list_keep_the_last_value_of_a_hidden_field_and_a_new_one_waits(tmp_path: Path) -> None:
    """By their ids, whatever their order; an element that had nothing there still has nothing."""
    at = [datetime(2026, 3, 2, tzinfo=UTC)]
    whole = Description("Bill", "Bill", {name: Field(name, name, kind) for name, kind in
                        (("Customer", "string"), ("Lines", "json"), ("Lines.Kind", "string"))})  # fmt: skip
    system = MemorySystem({"Bill": whole}, lambda: at[0])
    reader = MemoryConnector(MemoryConfig(), system)
    store = Store.open(f"sqlite:///{tmp_path / 'referee.db'}")
    store.migrate()

    def sync() -> Drift:
        at[0] += timedelta(hours=1)
        drift = watch(store, "erp", reader, LINES.objects, (), at=at[0])
        run = store.start_run("pull", "erp", at=at[0])
        pull(store, "erp", Listed(reader, drift.paused), LINES, now=lambda: at[0], run_id=run, paused=drift.paused)
        return drift

    def kinds() -> dict[str, list[tuple[str, str]]]:
        found = {fact["id"]: fact for fact in store.facts(types=["invoice"])}
        return {name: [(one["kind"], one["amount"]) for one in fact["lines"]] for name, fact in found.items()}

    kept = system.create("Bill", {"Customer": "c1", "Lines": [line(1, "5.00"), line(2, "7.00", None)]})
    grown = system.create("Bill", {"Customer": "c2", "Lines": [line(1, "5.00")]})
    sync()
    before = kinds()
    assert before == {kept: [("saas", "5.00"), ("services", "7.00")], grown: [("saas", "5.00")]}
    fields = {name: one for name, one in whole.fields.items() if name != "Lines.Kind"}
    system.objects["Bill"] = replace(whole, fields=fields)  # type: ignore[index]
    system.update("Bill", kept, {"Lines": [line(2, "8.00", None), line(1, "6.00")]})
    system.update("Bill", grown, {"Lines": [line(1, "5.00"), line(3, "9.00")]})
    drift = sync()
    assert [(one.field, one.kind) for one in drift.changes] == [("Lines.Kind", "vanished")]
    assert kinds() == {kept: [("services", "8.00"), ("saas", "6.00")], grown: [("saas", "5.00")]}
    [held] = store.quarantine("erp")
    assert (held.external_id, held.found) == (grown, "nothing") and "Lines.Kind, as it was" in held.allowed

    system.objects["Bill"] = whole  # type: ignore[index]
    sync()
    assert kinds() == {kept: [("services", "8.00"), ("saas", "6.00")], grown: [("saas", "5.00"), ("saas", "9.00")]}
    assert store.quarantine("erp") == []


class Listed:
    """A reader of lists whose elements come without what was not asked for."""

    def __init__(self, reader: MemoryConnector, paused: Any) -> None:
        self._reader, self._without = reader, {name.partition(".")[2] for name in paused.get("Bill", ())}

    def changes(self, query: Query, *, since: str | None) -> Iterator[Page]:
        heads = tuple(dict.fromkeys(name.partition(".")[0] for name in query.fields))
        for page in self._reader.changes(Query(query.kind, heads), since=since):
            records = tuple(msgspec.structs.replace(one, fields=self._bare(one.fields)) for one in page.records)
            yield replace(page, records=records)

    def fetch(self, *asked: Any, **more: Any) -> Iterator[Record]:
        return self._reader.fetch(*asked, **more)

    def _bare(self, fields: Any) -> dict[str, Any]:
        lines = [{key: one[key] for key in one if key not in self._without} for one in fields["Lines"]]
        return {**fields, "Lines": lines}
