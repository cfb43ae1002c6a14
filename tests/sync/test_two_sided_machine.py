"""Two systems, people on both sides, merges, deletions, failures and lost answers: at rest both agree where they should.

Contacts of an ERP become cards of a CRM. Each field of a card has another policy; whatever happens in whatever order,
in the end every field holds what its policy says, a second run finds nothing to do, and no card was made twice.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connectors.base import Description, Field
from connectors.errors import RetryLater
from connectors.memory.connector import MemoryConfig, MemoryConnector
from connectors.memory.system import MemorySystem
from connectors.salesforce.simulator.schema import text
from connectors.simulation import Faults
from sync import conflicts
from sync.brakes import Limits
from sync.delivery import Delivered
from sync.drift import watch
from sync.mapping import Mapping, load_mapping
from sync.outbox import Outbox
from sync.plan import Plan, make_plan
from sync.plan_items import Cell, Ref
from sync.pull import pull
from sync.sameness import same
from sync.store import Store
from sync.write_maps import policies_of
from tests.connectors.salesforce_org import Org
from tests.sync.empty_store import empty_store

ERP = load_mapping(
    "erp.yaml",
    """
system: memory
objects:
  - object: Person
    record: contact
    fields: {account: Firm, name: Name, email: Mail, phone: Phone, title: Title}
""",
)
CRM = """
system: memory
objects:
  - object: Card
    record: account
    fields: {name: Name, website: Web}
write:
  - object: Card
    rows: support
    key: Key
    changed_by: By
    fields:
      Name: name                                          # ours: set right again
      Mail: {row: email, conflict: theirs}                # a person's edit stays until ours changes
      Phone: {row: phone, direction: both, conflict: ask} # both sides may change it
      Title: {row: reason, conflict: ask}
"""
WRITTEN = ("Name", "Mail", "Phone", "Title")
NO_BRAKES = Limits(None, None, None, 0, None)
WORDS = st.sampled_from(["Ann", "Bo", "Cleo", "Dag", None])
FIELDS = st.sampled_from(WRITTEN)


def described(kind: str, *names: str) -> dict[str, Description]:
    return {kind: Description(kind, kind, {name: Field(name, name, "string") for name in names})}


class TwoSides(RuleBasedStateMachine):
    """The CRM is a memory system; a subclass puts another one in its place."""

    card, key, end = "Card", "Key", ""
    """The object of the cards, its key field, and how names of fields end there."""

    def open_crm(self) -> tuple[Any, Any]:
        """The CRM as people use it, and a connection to it."""
        crm = MemorySystem(described("Card", "Key", "Web", "By", *WRITTEN), lambda: self.now)
        return crm, MemoryConnector(MemoryConfig(page_size=3), crm)

    def mapping(self) -> Mapping:
        return load_mapping("crm.yaml", CRM)

    @initialize()
    def start(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        self.store = Store.open(empty_store(Path(self.place.name) / "referee.db"))
        self.now = datetime(2026, 3, 2, tzinfo=UTC)
        self.erp = MemorySystem(described("Person", "Firm", "Name", "Mail", "Phone", "Title"), lambda: self.now)
        self.crm, connection = self.open_crm()
        self.sides: dict[str, tuple[Any, Mapping]] = {
            "erp": (MemoryConnector(MemoryConfig(page_size=3), self.erp), ERP),
            "crm": (connection, self.mapping()),
        }
        self.gone: Counter[str] = Counter()

    # -- people

    @rule(name=WORDS, phone=WORDS)
    def hire(self, name: str | None, phone: str | None) -> None:
        self.erp.create("Person", {"Firm": "F", "Name": name or "Eve", "Mail": None, "Phone": phone, "Title": None})

    @rule(field=FIELDS, value=WORDS, data=st.data())
    def edit_in_the_erp(self, field: str, value: str | None, data: st.DataObject) -> None:
        if people := self.live(self.erp, "Person"):
            one = data.draw(st.sampled_from(people))
            if field == "Name":
                value = value or "Eve"  # a contact without a name is refused, and would keep its last one
            self.erp.update("Person", one.id, {field: f"{value}@a.example" if field == "Mail" and value else value})

    @rule(field=FIELDS, value=WORDS, data=st.data())
    def edit_in_the_crm(self, field: str, value: str | None, data: st.DataObject) -> None:
        if cards := self.live(self.crm, self.card):
            one = data.draw(st.sampled_from(cards))
            self.crm.update(self.card, one.id, {field + self.end: value})

    @rule(merges=st.booleans(), data=st.data())
    def delete_in_the_erp(self, merges: bool, data: st.DataObject) -> None:
        people = self.live(self.erp, "Person")
        if len(people) > 1:
            one = data.draw(st.sampled_from(people[1:]))
            self.erp.delete("Person", one.id, merged_into=people[0].id if merges else None)

    @rule(merges=st.booleans(), data=st.data())
    def delete_in_the_crm(self, merges: bool, data: st.DataObject) -> None:
        cards = self.live(self.crm, self.card)
        if len(cards) > 1:
            one = data.draw(st.sampled_from(cards[1:]))
            self.gone[one.fields[self.key]] += 1
            self.crm.delete(self.card, one.id, merged_into=cards[0].id if merges else None)

    @rule(side=st.sampled_from(["theirs", "ours"]))
    def decide(self, side: Any) -> None:
        with self.store.transaction() as db:
            for one in conflicts.listed(db, "crm")[:1]:
                conflicts.take(db, one.id, side, by="Mara Lind", at=self.now)

    @rule(field=FIELDS, number=st.integers(1, 99), data=st.data())
    def is_heard(self, field: str, number: int, data: st.DataObject) -> None:
        """While nothing else happens, an edit there stays, is asked about or is set right again, as its policy says."""
        self.rest()
        known = self.contacts()
        cards = [row for row in self.live(self.crm, self.card) if row.fields[self.key] in known]
        if not cards:
            return
        one, word = data.draw(st.sampled_from(cards)), f"edit {number}"
        self.crm.update(self.card, one.id, {field + self.end: word})
        self.one_sync()
        self.one_sync()
        (there,) = [row for row in self.live(self.crm, self.card) if row.id == one.id]
        ours = known[one.fields[self.key]].get("name")
        assert there.fields[field + self.end] == (word if field != "Name" else ours)
        with self.store.reading() as db:
            stands = conflicts.standing(db, "crm").get(
                Cell(Ref(self.card, self.key, one.fields[self.key]), field + self.end)
            )
        states = {"Name": (None,), "Mail": ("theirs",), "Phone": ("theirs", "open"), "Title": ("open",)}
        assert (stands.state if stands else None) in states[field]

    # -- trouble

    @rule(side=st.sampled_from(["erp", "crm"]), times=st.integers(1, 3))
    def busy(self, side: str, times: int) -> None:
        (self.erp if side == "erp" else self.crm).failures += [503] * times

    @rule()
    def answer_lost(self) -> None:
        self.crm.lost_answers += 1

    @rule(minutes=st.integers(1, 600))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    # -- the engine

    @rule()
    def sync(self) -> None:
        self.one_sync()

    def one_sync(self) -> tuple[Plan | None, Delivered | None]:
        """As ``jobs.sync`` does it: describe, pull both, plan, keep, send. What fails is for the next run."""
        self.now += timedelta(minutes=15)
        for name, (connector, mapping) in self.sides.items():
            with suppress(RetryLater):
                watch(self.store, name, connector, mapping.objects, mapping.writes, at=self.now)
            run = self.store.start_run("pull", name, at=self.now)
            limits = {plan.kind: Limits(max_deleted_share=None) for plan in mapping.objects}
            pull(self.store, name, connector, mapping, now=lambda: self.now, run_id=run, limits=limits)
        outbox = Outbox(self.store)
        connector, mapping = self.sides["crm"]
        try:
            plan = self.plan(outbox, mapping)
        except RetryLater:
            return None, None
        outbox.enqueue(plan, at=self.now)
        return plan, outbox.apply("crm", connector, connector, clock=lambda: self.now)

    def plan(self, outbox: Outbox, mapping: Mapping) -> Plan:
        rows = [
            {"account": fact["id"], **{name: fact.get(name) for name in ("name", "email", "phone")},
             "reason": fact.get("title")}
            for fact in self.contacts().values()
        ]  # fmt: skip
        connector, _ = self.sides["crm"]
        return make_plan(
            [one for part in mapping.writes for one in part.desired({"support": rows})], connector,
            outbox.agreed("crm"), connection="crm", writer=connector, parked=outbox.parked("crm"), whole=True,
            default_limits=NO_BRAKES, history=outbox.history("crm", policies_of(mapping.writes), now=self.now),
            descriptions={self.card: connector.describe(self.card)},
        )  # fmt: skip

    def contacts(self) -> dict[str, dict[str, Any]]:
        """The contacts that we know of now."""
        found: dict[str, dict[str, Any]] = {}
        for fact in self.store.facts(types=["contact"]):
            found[fact["id"]] = fact
        return {key: fact for key, fact in found.items() if not fact.get("deleted")}

    def live(self, system: Any, kind: str) -> list[Any]:
        return sorted((row for row in system.rows(kind) if not row.deleted), key=lambda row: row.id)

    def rest(self) -> None:
        """All trouble ends, and syncs run until there is nothing to do."""
        self.erp.failures.clear()
        self.crm.failures.clear()
        self.crm.lost_answers = 0
        for _ in range(8):
            self.now += timedelta(hours=3)
            plan, delivered = self.one_sync()
            assert plan is not None and delivered is not None
            if plan.empty and not delivered.waiting:
                break

    # -- what must hold

    @invariant()
    def no_card_is_made_twice(self) -> None:
        if hasattr(self, "crm"):
            made = Counter(row.fields[self.key] for row in self.crm.rows(self.card))
            assert all(count <= 1 + self.gone[key] for key, count in made.items())

    def teardown(self) -> None:
        if not hasattr(self, "crm"):
            return
        self.rest()
        with self.store.reading() as db:
            kept = conflicts.listed(db, "crm", None)
            standing = conflicts.standing(db, "crm")
        self.now += timedelta(hours=3)
        plan, delivered = self.one_sync()
        assert plan is not None and plan.empty and delivered is not None and delivered.calls == 0
        with self.store.reading() as db:
            assert conflicts.listed(db, "crm", None) == kept, "a run without news keeps nothing new"
        for one in kept:
            name = one.field.removesuffix(self.end)
            if name in ("Phone", "Title") and one.settled_by == conflicts.BY_POLICY:
                assert name == "Phone" and one.reason == "only they changed it", "a person was to be asked"
        people = {row.id: row.fields for row in self.live(self.erp, "Person")}
        assert self.contacts().keys() == people.keys()
        cards = {row.fields[self.key]: row.fields for row in self.live(self.crm, self.card)}
        for key, person in people.items():
            for name in WRITTEN:
                stands = standing.get(Cell(Ref(self.card, self.key, key), name + self.end))
                if same(cards[key].get(name + self.end), person[name]):
                    assert stands is None or stands.state != "open"
                    continue
                assert stands is not None, (name, cards[key], person)
                assert stands.state in ("open", "theirs")
                assert same(stands.theirs, cards[key].get(name + self.end)) and same(stands.ours, person[name])
                if name == "Name":
                    assert stands.state == "open" or stands.by_person, "only a loop or a person leaves ours aside"
        self.store.close()
        self.place.cleanup()


class Cards:
    """Commission records of a simulated Salesforce org, with the hands of people as a memory system has them."""

    def __init__(self, org: Org, clock: Any) -> None:
        self._org, self._clock = org, clock
        self.failures = Failures(org)

    @property
    def lost_answers(self) -> int:
        return 0

    @lost_answers.setter
    def lost_answers(self, number: int) -> None:
        self._org.faults.clear()
        if number:
            self._org.faults.add(Faults.lose_answer(number, lambda request: "/composite/" in request.path))

    def update(self, kind: str, row_id: str, fields: dict[str, Any]) -> None:
        self._org.moment = self._clock()
        self._org.update(kind, row_id, fields)

    def delete(self, kind: str, row_id: str, *, merged_into: str | None = None) -> None:
        self._org.moment = self._clock()
        self._org.delete(kind, row_id)

    def rows(self, kind: str) -> list[Any]:
        return [
            SimpleNamespace(id=row["Id"], fields=row, deleted=row["IsDeleted"])
            for row in self._org.all_rows(kind, deleted=True)
        ]


class Failures:
    """Statuses that the org answers next, as a memory system keeps them."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def __iadd__(self, statuses: list[int]) -> Failures:
        for status in statuses:
            self._org.faults.add(Faults.status(status, times=6))
        return self

    def clear(self) -> None:
        self._org.faults.clear()


class TwoSidesOverHttp(TwoSides):
    """The same with a simulated Salesforce org as the CRM, over real HTTP."""

    card, key, end = "Commission__c", "Sync_Key__c", "__c"

    def open_crm(self) -> tuple[Any, Any]:
        self.org = Org().start()
        for name in WRITTEN:
            self.org.add_field("Commission__c", text(f"{name}__c"))
        return Cards(self.org, lambda: self.now), self.org.connect()

    def mapping(self) -> Mapping:
        named = (
            CRM.replace("memory", "salesforce").replace("Card", "Commission__c").replace("key: Key", "key: Sync_Key__c")
        )
        named = named.replace("By", "LastModifiedById").replace("{name: Name, website: Web}", "{name: Name}")
        for name in WRITTEN:
            named = named.replace(f"      {name}:", f"      {name}__c:")
        return load_mapping("crm.yaml", named)

    def one_sync(self) -> tuple[Plan | None, Delivered | None]:
        self.org.moment = self.now + timedelta(minutes=15)
        return super().one_sync()

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "org"):
            self.org.stop()
            assert self.org.crashes == []


TestTwoSidesOverHttp = TwoSidesOverHttp.TestCase
TestTwoSidesOverHttp.settings = settings(max_examples=8, stateful_step_count=15)
TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(max_examples=25, stateful_step_count=30)
