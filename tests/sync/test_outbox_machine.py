"""Whatever is wanted, edited by hand, lost, refused or killed: at rest the system holds what is wanted, once."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connectors.base import Change
from connectors.errors import ConnectorError, NeedsOperator, QuotaSpent, RetryLater
from sync.brakes import Limits
from sync.outbox import Outbox
from sync.plan import Plan, make_plan
from sync.sameness import same
from sync.store import Store
from sync.write_maps import Desired
from tests.sync.empty_store import empty_store
from tests.sync.filed_system import Fault, FiledSystem

NO_BRAKES = Limits(None, None, None, 0, None)
STEPS = ("after_enqueue", "before_send", "after_send", "before_ack_commit", "after_ack_commit")
KEYS = st.sampled_from(["K0", "K1", "K2", "K3"])
VALUES = st.none() | st.sampled_from(["1", "2.50", "2.5", "paid", "  ", "held"]) | st.booleans()
FIELDS = st.dictionaries(st.sampled_from(["Amount__c", "State__c", "Note__c"]), VALUES, min_size=1)
FAULTS = st.sampled_from(["lost", "dropped", "retry", "rejected", "login", "quota", "later", None, None])


class Killed(BaseException):
    """The process is gone."""


class WriteBack(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        self.system = FiledSystem(Path(self.place.name) / "journal", self.next_fault)
        self.store = Store.open(empty_store(Path(self.place.name) / "referee.db"))
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.wanted: dict[str, Desired] = {}
        self.faults: list[Fault] = []
        self.deleted: set[str] = set()
        self.dies_at, self.steps_to_live = "", 0
        self.system.by_hand("Account", "A1", {"Support__c": "nobody"})

    def next_fault(self, change: Change) -> Fault:
        fault = self.faults.pop(0) if self.faults else None
        errors: dict[Fault, ConnectorError] = {
            "login": NeedsOperator("log in again"),
            "quota": QuotaSpent("no calls left", retry_after_seconds=3600),
            "later": RetryLater("busy", retry_after_seconds=60),
        }
        return errors.get(fault, fault)

    @rule(rows=st.dictionaries(KEYS, FIELDS, min_size=1), parent=st.sampled_from([None, "P1", "P2"]))
    def want(self, rows: dict[str, dict[str, Any]], parent: str | None) -> None:
        for key, fields in rows.items():
            self.wanted[key] = Desired("Commission__c", "Key__c", key, fields, parent, "a row of the ledger")

    @rule(value=VALUES)
    def want_support(self, value: Any) -> None:
        self.wanted["A1"] = Desired("Account", None, "A1", {"Support__c": value}, None, "a support row")

    @rule(key=KEYS)
    def want_no_more(self, key: str) -> None:
        self.wanted.pop(key, None)

    @rule(fields=FIELDS, data=st.data())
    def edited_by_hand(self, fields: dict[str, Any], data: st.DataObject) -> None:
        kind, number = data.draw(st.sampled_from(sorted(self.system.records)))
        self.system.by_hand(kind, number, fields)

    @rule(data=st.data())
    def deleted_by_hand(self, data: st.DataObject) -> None:
        ours = sorted(at for at in self.system.records if at[0] == "Commission__c")
        if ours:
            at = data.draw(st.sampled_from(ours))
            self.deleted.add(self.system.records[at]["Key__c"])
            self.system.by_hand(*at, None)

    @rule(faults=st.lists(FAULTS, max_size=6))
    def trouble_ahead(self, faults: list[Fault]) -> None:
        self.faults += faults

    @rule(minutes=st.integers(0, 90), calls=st.none() | st.integers(0, 2), plans=st.booleans())
    def lives(self, minutes: int, calls: int | None, plans: bool) -> None:
        self.now += timedelta(minutes=minutes)
        spent = self.system.calls
        self.work(plans, calls)
        assert calls is None or self.system.calls - spent <= calls

    @rule(step=st.sampled_from(STEPS), nth=st.integers(1, 2), faults=st.lists(FAULTS, max_size=4))
    def is_killed(self, step: str, nth: int, faults: list[Fault]) -> None:
        self.faults += faults
        self.dies_at, self.steps_to_live = step, nth
        with suppress(Killed):
            self.work(True, None)
        self.steps_to_live = 0

    def step(self, name: str) -> None:
        assert name in STEPS
        if name == self.dies_at and self.steps_to_live:
            self.steps_to_live -= 1
            if not self.steps_to_live:
                raise Killed

    def work(self, plans: bool, calls: int | None) -> None:
        outbox = Outbox(self.store, crashpoint=self.step)
        if plans:
            outbox.enqueue(self.plan(outbox), at=self.now)
        self.apply(outbox, calls)

    def plan(self, outbox: Outbox) -> Plan:
        return make_plan(
            list(self.wanted.values()), self.system, outbox.agreed("crm"), connection="crm", writer=self.system,
            parked=outbox.parked("crm"), default_limits=NO_BRAKES, whole=True,
        )  # fmt: skip

    def apply(self, outbox: Outbox, calls: int | None = None) -> None:
        start = self.system.calls
        left = None if calls is None else lambda: calls - (self.system.calls - start)
        outbox.apply("crm", self.system, self.system, clock=lambda: self.now, calls_left=left or (lambda: None))

    @invariant()
    def nothing_is_written_twice(self) -> None:
        assert self.system.repeated == []
        made = self.system.created()
        assert all(made.count(one) == 1 for one in made if one[1] not in self.deleted)

    def teardown(self) -> None:
        self.faults.clear()
        outbox = Outbox(self.store)
        for _ in range(3):
            self.now += timedelta(days=1)
            outbox.retry([letter.id for letter in outbox.dead_letters("crm")], at=self.now)
            self.apply(outbox)
            outbox.enqueue(self.plan(outbox), at=self.now)
            self.apply(outbox)
        for one in self.wanted.values():
            (record,) = self.system.fetch(one.object, tuple(one.fields), [one.key], key_field=one.key_field)
            assert all(same(record.fields[name], value) for name, value in one.fields.items())
            if one.fields:
                assert outbox.is_echo("crm", one.object, record.fields, external_id=record.external_id, key=one.key)
        rest = self.plan(outbox)
        assert rest.empty and not any(item.action == "blocked" for item in rest.items)
        assert outbox.counts("crm").keys() <= {"done", "superseded"}
        self.nothing_is_written_twice()
        self.store.close()
        self.place.cleanup()


TestWriteBack = WriteBack.TestCase
TestWriteBack.settings = settings(max_examples=50, stateful_step_count=25)
