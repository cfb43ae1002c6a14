"""The plan: what it compares, what it blocks, what it counts, and when it waits for a person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import (
    Change,
    Description,
    Field,
    Page,
    Query,
    Record,
    Usage,
    Written,
)
from sync.brakes import Limits
from sync.plan import Parked, Plan, make_plan
from sync.plan_items import Ref
from sync.sameness import hash_of, read_as, same, written_as
from sync.write_maps import Desired, Frozen, WriteReject


@dataclass
class Shelf:
    """A system to look at: it hands out its records and counts calls by threes."""

    records: list[Record]
    asked: list[tuple[str, tuple[str, ...], str | None]] = field(default_factory=list)

    def changes(self, query: Query, *, since: str | None) -> Iterator[Page]:
        yield Page(tuple(self.records), "", "")

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        self.asked.append((kind, tuple(fields), key_field))
        asked = {key if key_field is None else key.casefold() for key in keys}
        for record in self.records:
            shown = {"id": record.external_id, **{name: str(value).casefold() for name, value in record.fields.items()}}
            if record.kind == kind and shown[key_field or "id"] in asked:
                yield record

    def write(self, changes: Sequence[Change]) -> list[Written]:
        raise AssertionError("a plan writes nothing")

    def write_calls(self, changes: Sequence[Change]) -> int:
        return -(-len(changes) // 3)


def commission(key: str, number: str = "r1", **fields: Any) -> Record:
    return Record("Commission__c", number, "v1", {"Key__c": key, **fields})


def wanted(key: str, parent: str | None = None, **fields: Any) -> Desired:
    return Desired("Commission__c", "Key__c", key, fields, parent, "3 % of 100.00 AUD")


def support(key: str, **fields: Any) -> Desired:
    return Desired("Account", None, key, fields, None, "partner supports the customer")


def plan_of(desired: list[Desired], records: list[Record], agreed: Any = None, **options: Any) -> Plan:
    shelf = Shelf(records)
    return make_plan(desired, shelf, agreed or {}, connection="crm", writer=shelf, **options)


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("10", 10.0, None),
        ("10.00", Decimal(10), None),
        ("10.00", "10", None),
        ("1e3", 1000, "decimal"),
        ("-0.00", 0, "money"),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.1", "money"),
        (None, "", None),
        (None, "  ", "string"),
        (True, "true", None),
        (True, "T", "boolean"),
        (None, False, "boolean"),
        ("2026-03-01", date(2026, 3, 1), None),
        ("2026-03-01", "2026-03-01T00:00:00.000Z", "date"),
        ("2026-03-01T10:00:00.000+0000", "2026-03-01T12:00:00+02:00", None),
        (datetime(2026, 3, 1, 10, 0, 0, 999, tzinfo=UTC), "2026-03-01T10:00:00Z", "datetime"),
        ("line\r\nline ", "line\nline", "string"),
        ("b;a", ["a", "b"], "picklist"),
        ({"id": "7", "refName": "Seven"}, "7", "reference"),
        ({"b": 1, "a": 2}, '{"a":2,"b":1}', "json"),
    ],
)
def test_two_spellings_of_one_value_are_the_same(one: Any, other: Any, kind: Any) -> None:
    assert same(one, other, kind)
    assert plan_of([wanted("k", F=one)], [commission("k", F=other)], descriptions=described(kind)).empty


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("007", "7", None),
        ("1.10", "1.1", "string"),
        ("10.01", 10.02, "money"),
        (False, None, None),
        ("a", "A", None),
        ("2026-03-01", "2026-03-02T00:00:00Z", "date"),
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:01Z", None),
        ("nan", 0, "decimal"),
    ],
)
def test_different_values_stay_different(one: Any, other: Any, kind: Any) -> None:
    assert not same(one, other, kind)


def described(kind: Any, **more: Any) -> dict[str, Description | None]:
    if kind is None:
        return {}
    fields = {"F": Field("F", "F", kind, **more), "Key__c": Field("Key__c", "Key", "string")}
    return {"Commission__c": Description("Commission__c", "Commission", fields)}


_VALUES = (
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.text() | st.dates() | st.datetimes()
)


@given(
    st.dictionaries(st.text(), _VALUES | st.lists(_VALUES)),
    _VALUES,
    st.sampled_from([None, "money", "date", "datetime"]),
)
def test_values_wait_unharmed_and_compare_without_falling_over(fields: dict[str, Any], value: Any, kind: Any) -> None:
    assert read_as(written_as(fields)) == fields
    assert same(value, value, kind)


def test_only_what_differs_is_written_with_before_and_after() -> None:
    plan = plan_of(
        [
            wanted("a", Amount="10.00", State="Paid", Note=None),
            wanted("b", Amount="1", Note=None),
            wanted("c", Amount="2.0"),
        ],
        [commission("a", "r1", Amount=10.0, State="Held", Note="old"), commission("c", "r3", Amount="2")],
    )
    by_key = {item.ref.key: item for item in plan.items}
    assert by_key["a"].payload == {"State": "Paid", "Note": None}
    assert [(c.before, c.after) for c in by_key["a"].changes] == [("Held", "Paid"), ("old", None)]
    assert (by_key["b"].action, by_key["b"].payload) == ("create", {"Amount": "1"})
    assert by_key["c"].action == "unchanged"
    assert plan.summary()["objects"]["Commission__c"] == {
        "create": 1, "update": 1, "unchanged": 1, "blocked": 0, "overwrites": 0, "conflicts": 0,
    }  # fmt: skip


def test_a_value_changed_by_hand_is_written_again_and_reported_with_both_values() -> None:
    ref = Ref("Commission__c", "Key__c", "a")
    plan = plan_of([wanted("a", State="Held")], [commission("a", State="Paid")], {ref: {"State": "Held"}})
    (change,) = plan.items[0].changes
    assert (change.before, change.after, change.overwrites) == ("Paid", "Held", True)
    assert plan.summary()["objects"]["Commission__c"]["overwrites"] == 1


def test_reading_is_in_bulk() -> None:
    shelf = Shelf([])
    make_plan(
        [wanted("a", Amount=1), support("A1", Name="n"), wanted("b", State="x")],
        shelf, {}, connection="crm", writer=shelf,
    )  # fmt: skip
    assert shelf.asked == [("Commission__c", ("Amount", "State", "Key__c"), "Key__c"), ("Account", ("Name",), None)]


def test_an_update_by_id_never_creates() -> None:
    gone = Record("Account", "A2", "v1", {}, deleted=True)
    merged = Record("Account", "A3", "v1", {}, deleted=True, merged_into="A9")
    plan = plan_of([support("A1", Name="n"), support("A2", Name="n"), support("A3", Name="n")], [gone, merged])
    assert [item.action for item in plan.items] == ["blocked"] * 3
    reasons = [item.reason for item in plan.items]
    assert "never creates" in reasons[0] and "deleted" in reasons[1] and "A9" in reasons[2]
    assert plan.calls == 0 and plan.empty


def test_records_that_nobody_may_change_are_blocked_only_when_they_would_change() -> None:
    frozen = {"Lead": Frozen("IsConverted", True, "a converted lead is read-only")}
    lead = Record("Lead", "L1", "v1", {"State": "open", "IsConverted": "true"})
    for state, action in (("won", "blocked"), ("open", "unchanged")):
        item = plan_of([Desired("Lead", None, "L1", {"State": state}, None, "")], [lead], frozen=frozen).items[0]
        assert item.action == action
    assert plan_of([Desired("Lead", None, "L1", {"State": "won"}, None, "")], [lead], frozen=frozen).items[
        0
    ].reason == ("a converted lead is read-only")


def test_a_key_that_is_not_unique_or_differs_by_case_is_blocked() -> None:
    twice = plan_of([wanted("a", F=1)], [commission("a", "r1", F=2), commission("a", "r2", F=2)])
    assert twice.items[0].action == "blocked" and "2 records have this Key__c" in twice.items[0].reason
    near = plan_of([wanted("ab", F=1)], [commission("AB", "r1", F=2)])
    assert near.items[0].action == "blocked" and "upper and lower case" in near.items[0].reason


def test_a_plan_in_many_parts_is_the_plan_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["a", "AB", "ab", "b", "x", *(f"k{n:02}" for n in range(40))]
    rows = [wanted(key, f"P{n % 3}", F=Decimal(n), At=date(2026, 1, 1 + n % 28)) for n, key in enumerate(names)]
    there = [commission("AB", "r1", F=1), commission("ab", "r2", F=9), commission("X", "r3"), commission("k07", "r4")]
    whole = plan_of([*rows, wanted("b", "P9", F=-1), wanted("b", "P9", F=-2), wanted("k01", G="more")], there)
    for name, size in (("plan.TOGETHER", 3), ("wanted._TOGETHER", 2), ("long_lists.PART", 2), ("long_lists.SHORT", 4)):
        monkeypatch.setattr(f"sync.{name}", size)
    parts = plan_of([*rows, wanted("b", "P9", F=-1), wanted("b", "P9", F=-2), wanted("k01", G="more")], there)
    assert parts.to_json() == whole.to_json()
    assert list(parts.items) == list(whole.items)
    assert (len(parts.items), parts.items[-1], parts.items[7]) == (len(names), whole.items[-1], whole.items[7])
    assert {item.ref.key for item in parts.items if item.action == "blocked"} == {"b", "x"}


def test_two_rows_for_one_record_are_put_together_unless_they_disagree() -> None:
    plan = plan_of([wanted("a", F=1), wanted("a", G=2), wanted("b", F=1), wanted("b", F=2)], [])
    by_key = {item.ref.key: item for item in plan.items}
    assert by_key["a"].payload == {"F": 1, "G": 2}
    assert by_key["b"].action == "blocked" and "different values of F" in by_key["b"].reason


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ({"Commission__c": None}, "cannot see Commission__c"),
        (described("string", updatable=False), "F is read-only"),
        ({"Commission__c": Description("Commission__c", "", {})}, "cannot see the field Commission__c.F"),
        ({"Commission__c": Description("Commission__c", "", {}, updatable=False)}, "may not change"),
    ],
)
def test_what_the_connection_may_not_write_stops_that_object_only(shape: Any, reason: str) -> None:
    records = [] if shape["Commission__c"] is None else [commission("a", F="old")]
    account = Record("Account", "A1", "v1", {"Name": "old"})
    plan = plan_of([wanted("a", F="new"), support("A1", Name="new")], [*records, account], descriptions=shape)
    assert plan.items[0].action == "blocked" and reason in plan.items[0].reason
    assert plan.items[1].action == "update"


def test_a_field_that_cannot_be_read_is_compared_with_what_was_agreed() -> None:
    shapes, ref = described("string", readable=False), Ref("Commission__c", "Key__c", "a")
    assert plan_of([wanted("a", F="x")], [commission("a")], {ref: {"F": "x"}}, descriptions=shapes).empty
    assert not plan_of([wanted("a", F="y")], [commission("a")], {ref: {"F": "x"}}, descriptions=shapes).empty


def test_a_rejected_write_is_not_planned_again_as_it_was() -> None:
    parked = {Ref("Commission__c", "Key__c", "a"): Parked(hash_of({"F": 1}), "rejected before (TOO_LONG)")}
    assert plan_of([wanted("a", F=1)], [], parked=parked).items[0].reason == "rejected before (TOO_LONG)"
    assert plan_of([wanted("a", F=2)], [], parked=parked).items[0].action == "create"


def test_rows_that_cannot_be_written_are_shown() -> None:
    plan = plan_of([], [], rejects=[WriteReject("Commission__c", "k", "State__c", "odd", "Held, Paid")])
    assert plan.items[0].action == "blocked" and "State__c" in plan.items[0].reason


def test_the_plan_says_what_it_costs() -> None:
    plan = plan_of([wanted(f"k{n}", F=n) for n in range(7)], [], usage=Usage(50, 100))
    assert plan.calls == 3 and plan.share == 0.03
    assert plan.summary()["used"] == 50


class JobShelf(Shelf):
    """A shelf whose writer makes a job of four changes or more, at eight calls."""

    most_at_once = 100

    def jobs_for(self, changes: Sequence[Change]) -> int:
        return int(len(changes) > 3)

    def write_calls(self, changes: Sequence[Change]) -> int:
        return 8 if self.jobs_for(changes) else super().write_calls(changes)

    def job_results(self, job: str, changes: Sequence[Change]) -> list[Written]:
        raise AssertionError("a plan asks no job")


def test_the_plan_says_what_would_go_by_a_job_of_the_system() -> None:
    shelf = JobShelf([Record("Account", "1", "v1", {"Tier": None})])
    desired = [*(wanted(f"k{n}", F=n) for n in range(7)), support("1", Tier="gold")]
    plan = make_plan(desired, shelf, {}, connection="crm", writer=shelf)
    told = [
        (cost["object"], cost["rows"], cost["jobs"], cost["calls"], cost["way"]) for cost in plan.summary()["costs"]
    ]
    assert told == [("Commission__c", 7, 1, 8, "1 bulk job"), ("Account", 1, 0, 1, "calls")]
    assert plan.calls == 9


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(max_creates=2), "3 records to create; allowed without being asked: 2"),
        (Limits(max_updates=1), "2 records to change"),
        (Limits(max_changed_share=0.5, share_from=3), "2 of 3 existing records would change"),
        (Limits(max_clears=0), "1 fields to empty"),
        (Limits(max_cleared_share=0.3, cleared_from=1), "Commission__c.F: would be emptied in 1 of the 3 records"),
    ],
)
def test_an_unusual_plan_waits_for_a_named_person(limits: Limits, words: str) -> None:
    desired = [wanted(f"new{n}", F=n) for n in range(3)]
    desired += [wanted("a", F=9), wanted("b", F=None), wanted("c", F=3)]
    records = [commission(key, key, F=value) for key, value in (("a", 1), ("b", 2), ("c", 3))]
    plan = plan_of(desired, records, limits={"Commission__c": limits})
    assert not plan.may_run and words in plan.refused[0]
    assert plan.allow("Mara Lind").may_run and plan.allow("Mara Lind").hash == plan.hash
    assert plan_of(desired, records).may_run
    with pytest.raises(ValueError, match="named person"):
        plan.allow(" ")


@given(st.permutations([wanted(f"k{n}", f"P{n % 2}", F=n) for n in range(6)]))
def test_the_same_wishes_give_the_same_plan(desired: list[Desired]) -> None:
    records = [commission("k1", F=1), commission("k2", "r2", F=Decimal("2.5"))]
    first = plan_of([wanted(f"k{n}", f"P{n % 2}", F=n) for n in range(6)], records)
    again = plan_of(desired, records)
    assert again.to_json() == first.to_json() and again.hash == first.hash
    assert [item.parent for item in again.items] == ["P0"] * 3 + ["P1"] * 3
    assert len(json.loads(again.to_json())["items"]) == 6


def test_the_hash_names_what_would_be_written() -> None:
    one = plan_of([wanted("a", F=1)], [commission("a", F=2)])
    assert plan_of([wanted("a", F=1)], [commission("a", F=3)]).hash != one.hash
    assert plan_of([wanted("a", F=3)], [commission("a", F=2)]).hash != one.hash
    assert (
        plan_of([wanted("a", F=1), wanted("b", F=1)], [commission("a", F=2), commission("b", "r2", F=1)]).hash
        == one.hash
    )
