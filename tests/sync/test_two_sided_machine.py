"""Two systems, people on both sides, merges, deletions, failures and lost answers: at rest both agree where they should.

Contacts of an ERP become cards of a CRM. Each field of a card has another policy; whatever happens in whatever order,
in the end every field holds what its policy says, a second run finds nothing to do, and no card was made twice.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connectors.base import Description, Field
from connectors.memory.connector import MemoryConfig, MemoryConnector
from connectors.memory.system import MemorySystem, Version
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
from tests.sync.test_outbox_machine import migrated

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
CRM = load_mapping(
    "crm.yaml",
    """
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
""",
)
WRITTEN = {"Name": "name", "Mail": "email", "Phone": "phone", "Title": "title"}
NO_BRAKES = Limits(None, None, None, 0, None)
WORDS = st.sampled_from(["Ann", "Bo", "Cleo", "Dag", None])
FIELDS = st.sampled_from(sorted(WRITTEN))


def described(kind: str, *names: str) -> dict[str, Description]:
    return {kind: Description(kind, kind, {name: Field(name, name, "string") for name in names})}


class TwoSides(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        file = Path(self.place.name) / "referee.db"
        file.write_bytes(migrated())
        self.store = Store.open(f"sqlite:///{file}")
        self.now = datetime(2026, 3, 2, tzinfo=UTC)
        self.erp = MemorySystem(described("Person", "Firm", "Name", "Mail", "Phone", "Title"), lambda: self.now)
        self.crm = MemorySystem(described("Card", "Key", "Web", "By", *WRITTEN), lambda: self.now)
        self.sides = {
            "erp": (MemoryConnector(MemoryConfig(page_size=3), self.erp), ERP),
            "crm": (MemoryConnector(MemoryConfig(page_size=3), self.crm), CRM),
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
            self.erp.update("Person", one.id, {field: f"{value}@a.example" if field == "Mail" and value else value})

    @rule(field=FIELDS, value=WORDS, data=st.data())
    def edit_in_the_crm(self, field: str, value: str | None, data: st.DataObject) -> None:
        if cards := self.live(self.crm, "Card"):
            one = data.draw(st.sampled_from(cards))
            self.crm.update("Card", one.id, {field: value, "By": "Dana"})

    @rule(merges=st.booleans(), data=st.data())
    def delete_in_the_erp(self, merges: bool, data: st.DataObject) -> None:
        people = self.live(self.erp, "Person")
        if len(people) > 1:
            one = data.draw(st.sampled_from(people[1:]))
            self.erp.delete("Person", one.id, merged_into=people[0].id if merges else None)

    @rule(merges=st.booleans(), data=st.data())
    def delete_in_the_crm(self, merges: bool, data: st.DataObject) -> None:
        cards = self.live(self.crm, "Card")
        if len(cards) > 1:
            one = data.draw(st.sampled_from(cards[1:]))
            self.gone[one.fields["Key"]] += 1
            self.crm.delete("Card", one.id, merged_into=cards[0].id if merges else None)

    @rule(side=st.sampled_from(["theirs", "ours"]))
    def decide(self, side: Any) -> None:
        with self.store.transaction() as db:
            for one in conflicts.listed(db, "crm")[:1]:
                conflicts.take(db, one.id, side, by="Mara Lind", at=self.now)

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
            watch(self.store, name, connector, mapping.objects, mapping.writes, at=self.now)
            run = self.store.start_run("pull", name, at=self.now)
            limits = {plan.kind: Limits(max_deleted_share=None) for plan in mapping.objects}
            pull(self.store, name, connector, mapping, now=lambda: self.now, run_id=run, limits=limits)
        outbox = Outbox(self.store)
        connector, mapping = self.sides["crm"]
        try:
            plan = self.plan(outbox, mapping)
        except Exception as error:
            assert "answered 503" in str(error)
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
            descriptions={"Card": connector.describe("Card")},
        )  # fmt: skip

    def contacts(self) -> dict[str, dict[str, Any]]:
        """The contacts that we know of now."""
        found: dict[str, dict[str, Any]] = {}
        for fact in self.store.facts(types=["contact"]):
            found[fact["id"]] = fact
        return {key: fact for key, fact in found.items() if not fact.get("deleted")}

    def live(self, system: MemorySystem, kind: str) -> list[Version]:
        return sorted((row for row in system.rows(kind) if not row.deleted), key=lambda row: row.id)

    # -- what must hold

    @invariant()
    def no_card_is_made_twice(self) -> None:
        if hasattr(self, "crm"):
            made = Counter(row.fields["Key"] for row in self.crm.rows("Card"))
            assert all(count <= 1 + self.gone[key] for key, count in made.items())

    def teardown(self) -> None:
        if not hasattr(self, "crm"):
            return
        self.erp.failures.clear()
        self.crm.failures.clear()
        self.crm.lost_answers = 0
        for _ in range(8):
            self.now += timedelta(hours=3)
            plan, delivered = self.one_sync()
            assert plan is not None and delivered is not None
            if plan.empty and not delivered.waiting:
                break
        with self.store.reading() as db:
            kept = conflicts.listed(db, "crm", None)
            standing = conflicts.standing(db, "crm")
        self.now += timedelta(hours=3)
        plan, delivered = self.one_sync()
        assert plan is not None and plan.empty and delivered is not None and delivered.calls == 0
        with self.store.reading() as db:
            assert conflicts.listed(db, "crm", None) == kept, "a run without news keeps nothing new"
        for one in kept:
            if one.field in ("Phone", "Title") and one.settled_by == conflicts.BY_POLICY:
                assert one.field == "Phone" and one.reason == "only they changed it", "a person was to be asked"
        people = {row.id: row.fields for row in self.live(self.erp, "Person")}
        assert self.contacts().keys() == people.keys()
        cards = {row.fields["Key"]: row.fields for row in self.live(self.crm, "Card")}
        for key, person in people.items():
            for name in WRITTEN:
                stands = standing.get(Cell(Ref("Card", "Key", key), name))
                if same(cards[key].get(name), person[name]):
                    assert stands is None or stands.state != "open"
                    continue
                assert stands is not None, (name, cards[key], person)
                assert stands.state in ("open", "theirs")
                assert same(stands.theirs, cards[key].get(name)) and same(stands.ours, person[name])
                if name == "Name":
                    assert stands.state == "open" or stands.by_person, "only a loop or a person leaves ours aside"
        self.store.close()
        self.place.cleanup()


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
