"""Pulling a connection: what comes in, what waits, what is made anew, and what a failure leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connectors.base import Cursor, Description, Field, Page, Query, Record
from connectors.conformance import HOSTILE
from connectors.errors import CursorExpired, NeedsOperator, RetryLater
from connectors.memory.connector import MemoryConfig, MemoryConnector
from connectors.memory.system import MemorySystem
from sync.brakes import Limits
from sync.hints import Waiting
from sync.leases import LeaseLost
from sync.mapping import Mapping, load_mapping
from sync.pull import Progress, PullResult, StreamResult, pull, pull_hinted, remap, take_over, unread
from sync.store import Store

MAPPING = """
system: memory
objects:
  - object: Customer
    records:
      - record: account
        fields: {name: {field: Name, required: true}}
  - object: Person
    record: contact
    fields:
      account: {lookup: {field: Customer, object: Customer, get: Code}, required: true}
      name: Name
"""


class World:
    """A memory system with customers and people, its clock, and a connection to it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)
        objects = {
            "Customer": ("Name", "Code", "Size"),
            "Person": ("Customer", "Name"),
        }
        described = {
            kind: Description(kind, kind, {name: Field(name, name, "string") for name in names})
            for kind, names in objects.items()
        }
        self.system = MemorySystem(described, lambda: self.at)
        self.reader = MemoryConnector(MemoryConfig(page_size=3), self.system)

    def wait(self, **time: float) -> None:
        self.at += timedelta(**time)

    def customer(self, name: str | None, code: str = "C1") -> str:
        return self.system.create("Customer", {"Name": name, "Code": code, "Size": "1"})

    def person(self, customer: str) -> str:
        return self.system.create("Person", {"Customer": customer, "Name": "somebody"})

    def pull(
        self,
        store: Store,
        mapping: Mapping | None = None,
        reader: Any = None,
        **options: Any,
    ) -> PullResult:
        run_id = store.start_run("pull", "erp", at=self.at)
        mapping = mapping or load_mapping("mapping.yaml", MAPPING)
        result = pull(
            store,
            "erp",
            reader or self.reader,
            mapping,
            now=lambda: self.at,
            run_id=run_id,
            **options,
        )
        store.finish_run(run_id, result.state, result.counts(), at=self.at)
        return result


@pytest.fixture
def world() -> World:
    return World()


def names(store: Store) -> list[Any]:
    return [fact.get("name", "gone") for fact in store.facts(types=["account"])]


class Failing:
    """A reader that hands out the pages of another, and fails before page ``at`` of one object."""

    def __init__(self, reader: MemoryConnector, kind: str, at: int, error: Exception) -> None:
        self._reader, self._kind, self._at, self._error = reader, kind, at, error
        self.asked: list[tuple[str, Cursor | None]] = []

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        self.asked.append((query.kind, since))
        for number, page in enumerate(self._reader.changes(query, since=since)):
            if query.kind == self._kind and number == self._at:
                raise self._error
            yield page

    def fetch(
        self,
        kind: str,
        fields: Sequence[str],
        keys: Sequence[str],
        *,
        key_field: str | None = None,
    ) -> Iterator[Record]:
        return self._reader.fetch(kind, fields, keys, key_field=key_field)


def test_everything_comes_once_and_then_only_changes(world: World, store: Store) -> None:
    ids = [world.customer(f"c{n}") for n in range(8)]
    world.person(ids[0])
    first = world.pull(store)
    assert (first.state, first.records.new, first.records.facts) == ("ok", 9, 9)
    assert [stream.complete for stream in store.streams("erp")] == [True, True]
    world.wait(hours=1)
    world.system.update("Customer", ids[3], {"Name": "renamed"})
    world.system.delete("Customer", ids[4])
    world.wait(hours=1)
    second = world.pull(store)
    assert (second.records.new, second.records.changed, second.records.deleted) == (
        0,
        1,
        1,
    )
    assert names(store)[-2:] == ["renamed", "gone"]
    world.wait(hours=1)
    assert world.pull(store).records.facts == 0


def test_progress_is_told_page_by_page(world: World, store: Store) -> None:
    for n in range(7):
        world.customer(f"c{n}")
    told: list[Progress] = []
    world.pull(store, progress=told.append)
    assert [(step.kind, step.records.new) for step in told] == [
        ("Customer", 3),
        ("Customer", 6),
        ("Customer", 7),
        ("Person", 0),
    ]


def test_a_refused_record_makes_the_run_partial_and_blocks_nobody(world: World, store: Store) -> None:
    world.customer("a")
    bad = world.customer(None)
    world.customer("b")
    assert world.pull(store).state == "partial"
    assert sorted(names(store)) == ["a", "b"]
    world.wait(hours=1)
    world.system.update("Customer", bad, {"Name": "mended"})
    world.wait(hours=1)
    assert world.pull(store).state == "ok"
    assert store.quarantine() == []


def test_any_value_of_a_system_lands_or_is_held_with_its_reason(world: World, store: Store) -> None:
    """On both databases, and a second look changes nothing."""
    texts = [
        *(text for name, text in HOSTILE.items() if name != "surrogate"),
        "\x00",
        "x" * 200_000,
        "None",
        True,
        10**30,
        datetime(1, 1, 1),
    ]
    broken = [
        HOSTILE["surrogate"], "\ud83d", {"\x00\ud800": 1}, 1e21, 0.1, float("nan"), float("inf"), Decimal("1E+400"), None, "", " ",
        [], {}, ["a"], {"a": "\x00"}, b"bytes",
    ]  # fmt: skip
    mapping = load_mapping("mapping.yaml", MAPPING)
    for value in (*texts, *broken):
        world.system.create("Customer", {"Name": value, "Code": "C1", "Size": "1"})
    assert world.pull(store, mapping).state == "partial"
    held = store.quarantine()
    assert len(names(store)) == len(texts) and len(held) == len(broken)
    assert all(one.found and one.allowed and len(one.found) <= 40 for one in held)
    assert world.pull(store, mapping).state == "ok" and store.quarantine() == held


def test_a_child_waits_for_its_parent_and_is_taken_when_it_arrives(world: World, store: Store) -> None:
    parent = world.customer("late")
    world.person(parent)
    blocked = Failing(world.reader, "Customer", 0, RetryLater("busy", retry_after_seconds=1))
    result = world.pull(store, reader=blocked)
    assert [stream.state for stream in result.streams] == ["failed", "ok"]
    assert [held.waits_for for held in store.quarantine()] == [("Customer", parent)]
    world.wait(hours=1)
    assert world.pull(store).state == "ok"
    assert store.quarantine() == []
    assert [fact["type"] for fact in store.facts()] == ["account", "contact"]


def test_a_failed_stream_keeps_its_place_while_others_go_on(world: World, store: Store) -> None:
    for n in range(8):
        world.customer(f"c{n}")
    world.person("nobody")
    reader = Failing(world.reader, "Customer", 2, RetryLater("busy", retry_after_seconds=1))
    result = world.pull(store, reader=reader)
    assert (result.state, result.streams[0].why) == ("partial", "busy")
    customers, people = store.streams("erp")
    assert (customers.watermark, customers.complete, len(names(store))) == (
        None,
        False,
        6,
    )
    assert people.watermark is not None
    again = world.pull(store)
    assert (again.streams[0].state, again.records.new) == ("ok", 2), "it went on where it stopped"


def test_what_only_a_person_can_mend_pauses_the_connection(world: World, store: Store) -> None:
    result = world.pull(
        store,
        reader=Failing(world.reader, "Customer", 0, NeedsOperator("the login was refused")),
    )
    assert [stream.state for stream in result.streams] == ["failed", "skipped"]
    assert (result.state, result.needs_operator) == ("failed", "the login was refused")


def test_after_an_expired_cursor_the_next_run_reads_from_the_start(world: World, store: Store) -> None:
    world.customer("a")
    world.pull(store)
    reader = Failing(world.reader, "Customer", 0, CursorExpired("too old"))
    assert world.pull(store, reader=reader).state == "partial"
    reader = Failing(world.reader, "", 0, CursorExpired("never"))
    assert world.pull(store, reader=reader).records.facts == 0
    assert reader.asked[0] == ("Customer", None)


def test_a_reader_that_stops_without_a_last_page_is_no_success(world: World, store: Store) -> None:
    class Short(Failing):
        def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
            for page in super().changes(query, since=since):
                yield replace(page, watermark=None)

    result = world.pull(store, reader=Short(world.reader, "", 0, RetryLater("", retry_after_seconds=0)))
    assert result.state == "failed"
    assert "without a watermark" in str(result.streams[0].why)


def test_changed_mapping_is_replayed_without_asking_the_system(world: World, store: Store) -> None:
    world.customer("a", code="Z9")
    world.pull(store)
    calls = world.system.calls
    world.wait(days=9)
    changed = load_mapping(
        "mapping.yaml",
        MAPPING.replace("name: {field: Name,", "name: {template: '{Name}/{Name}',"),
    )
    if changed.objects[0].query_hash != load_mapping("mapping.yaml", MAPPING).objects[0].query_hash:
        pytest.fail("the mapping of this test must read the same fields")
    done = remap(store, "erp", changed, now=lambda: world.at, run_id=9)
    assert (done["Customer"].replayed.facts, world.system.calls) == (1, calls)
    assert [(fact["name"], fact["known_at"][:10]) for fact in store.facts()] == [
        ("a", "2026-01-01"),
        ("a/a", "2026-01-10"),
    ]
    assert remap(store, "erp", changed, now=lambda: world.at, run_id=9) == {}


def test_changed_fields_are_read_once_more_and_deletions_meanwhile_are_not_missed(world: World, store: Store) -> None:
    keeps, goes = world.customer("keeps", code="Z1"), world.customer("goes", code="Z2")
    world.pull(store)
    world.wait(hours=1)
    world.system.delete("Customer", goes)
    world.wait(hours=1)
    wider = load_mapping(
        "mapping.yaml",
        MAPPING.replace(
            "name: {field: Name, required: true}",
            "name: {field: Name, required: true}, owner: Size",
        ),
    )
    reader = Failing(world.reader, "", 0, CursorExpired("never"))
    world.pull(store, wider, reader=reader)
    asked = [since for kind, since in reader.asked if kind == "Customer"]
    assert asked[0] is None and asked[1] is not None, "everything once more, then the changes since the old watermark"
    facts = {fact["id"]: fact for fact in store.facts(types=["account"])}
    assert facts[keeps]["owner"] == "1"
    assert facts[goes]["deleted"] is True


@pytest.mark.parametrize("page", [0, 1])
def test_a_field_that_cannot_be_read_changes_no_fact(world: World, store: Store, page: int) -> None:
    for number in range(5):  # two pages
        world.customer(f"{number}", code=f"Z{number}")
    world.pull(store)
    before = list(store.facts())
    other = load_mapping(
        "mapping.yaml", MAPPING.replace("{name: {field: Name,", "{owner: Size, name: {template: '{Name}/{Size}',")
    )
    refused = Failing(world.reader, "Customer", page, RetryLater("no such field", retry_after_seconds=1))
    world.wait(hours=1)
    assert remap(store, "erp", other, now=lambda: world.at, run_id=9) == {}
    assert unread(store, "erp", other) == {"Customer": ("Size",)}
    for _ in range(2):
        assert world.pull(store, other, reader=refused).state == "partial"
        assert remap(store, "erp", other, now=lambda: world.at, run_id=9) == {}
        assert [fact for fact in store.facts() if "owner" not in fact] == before
    world.pull(store, other)
    latest = {fact["id"]: fact for fact in store.facts(types=["account"])}
    assert {fact["name"] for fact in latest.values()} == {f"{number}/1" for number in range(5)}
    assert unread(store, "erp", other) == {}


def test_a_pull_under_a_lost_lease_writes_nothing_more(world: World, store: Store) -> None:
    world.customer("a")
    lease = store.acquire("pull:erp", "old", now=world.at, for_seconds=1)
    assert lease is not None
    world.wait(seconds=2)
    store.acquire("pull:erp", "new", now=world.at, for_seconds=60)
    run_id = store.start_run("pull", "erp", at=world.at)
    mapping = load_mapping("mapping.yaml", MAPPING)
    with pytest.raises(LeaseLost):
        pull(
            store.under(lease),
            "erp",
            world.reader,
            mapping,
            now=lambda: world.at,
            run_id=run_id,
        )
    assert list(store.facts()) == []


@pytest.mark.parametrize("pages", [1, 40])
def test_an_unusual_share_of_deletions_is_not_believed_until_a_person_says_so(
    world: World, store: Store, pages: int
) -> None:
    # E44.
    """Neither small pages nor many runs get past the brake; the other objects go on."""
    ids = [world.customer(f"c{number}") for number in range(120)]
    person = world.person(ids[0])
    world.pull(store)
    world.wait(hours=1)
    world.reader = MemoryConnector(MemoryConfig(page_size=120 // pages), world.system)
    limits = {"Customer": Limits(max_deleted_share=0.25, deleted_from=10)}
    for number in range(60):
        world.system.delete("Customer", ids[number])
        if pages > 1 and number % 10 == 9:
            world.wait(minutes=10)
            result = world.pull(store, limits=limits)
    world.system.update("Person", person, {"Name": "somebody else"})
    for _ in range(2):
        world.wait(minutes=10)
        result = world.pull(store, limits=limits)
        customers, people = result.streams
        assert (customers.state, customers.refused, people.state) == ("failed", True, "ok")
        assert "reported deleted within a day" in result.refused[0] and "25%" in result.refused[0]
    (stream, _) = store.streams("erp")
    assert store.live(stream) >= 90
    world.wait(minutes=10)
    result = world.pull(store, limits=limits, allow="Mara Lind")
    assert (result.state, result.refused, store.live(stream)) == ("ok", [], 60)
    world.system.delete("Customer", ids[-1])
    world.wait(minutes=10)
    assert world.pull(store, limits=limits).state == "ok", "what was allowed counts no more"


def test_few_deletions_and_those_of_records_never_seen_are_believed(world: World, store: Store) -> None:
    ids = [world.customer(f"c{number}") for number in range(100)]
    for one in ids[:50]:
        world.system.delete("Customer", one)
    limits = {"Customer": Limits(max_deleted_share=0.1, deleted_from=5)}
    assert world.pull(store, limits=limits).state == "ok"
    world.wait(hours=1)
    for one in ids[50:54]:
        world.system.delete("Customer", one)
    world.wait(hours=1)
    assert world.pull(store, limits=limits).state == "ok"


SIZED = MAPPING.replace("{name: {field: Name, required: true}}", "{name: {field: Name, required: true}, owner: Size}")
EMPTIED = {"Customer": Limits(max_emptied_share=0.25, emptied_from=5)}


@pytest.mark.parametrize("pages", [1, 20])
def test_a_field_that_becomes_empty_everywhere_is_not_believed_until_a_person_says_so(
    world: World, store: Store, pages: int
) -> None:
    """Of the records that had it; neither small pages nor many runs get past the brake, and the other objects go on."""
    mapping = load_mapping("mapping.yaml", SIZED)
    ids = [world.customer(f"c{number}") for number in range(60)]
    for one in ids[40:]:
        world.system.update("Customer", one, {"Size": None})
    person = world.person(ids[0])
    world.pull(store, mapping)
    world.wait(hours=1)
    world.reader = MemoryConnector(MemoryConfig(page_size=60 // pages), world.system)
    for number in range(30):
        world.system.update("Customer", ids[number], {"Size": None})
        if pages > 1 and number % 10 == 9:
            world.wait(minutes=10)
            world.pull(store, mapping, limits=EMPTIED)
    world.system.update("Person", person, {"Name": "somebody else"})
    for _ in range(2):
        world.wait(minutes=10)
        result = world.pull(store, mapping, limits=EMPTIED)
        customers, people = result.streams
        assert (customers.state, customers.refused, people.state) == ("failed", True, "ok")
        assert (
            "Customer: account.owner became empty in" in result.refused[0] and "of the 40 records" in result.refused[0]
        )
        assert "25%" in result.refused[0] and "referee sync --allow YOUR-NAME" in result.refused[0]
    assert sum("owner" in fact for fact in newest(store)) >= 30
    world.wait(minutes=10)
    assert world.pull(store, mapping, limits=EMPTIED, allow="Mara Lind").state == "ok"
    assert sum("owner" in fact for fact in newest(store)) == 10
    world.system.update("Customer", ids[39], {"Size": None})
    world.wait(minutes=10)
    assert world.pull(store, mapping, limits=EMPTIED).state == "ok", "what was allowed counts no more"


class Rereading(MemoryConnector):
    """Reads single records anew, as a system of hints does."""

    def hinted_as(self, kind: str) -> Sequence[str]:
        return (kind,)

    def reread(self, query: Query, ids: Sequence[str]) -> Iterator[Record]:
        yield from self.fetch(query.kind, query.fields, ids)


def test_every_way_in_counts_for_the_brake_on_emptied_fields(world: World, store: Store) -> None:
    """Polls, hints and a repair, each with less than the limit: together they are held, and each says what lets it through."""
    mapping = load_mapping("mapping.yaml", SIZED)
    ids = [world.customer(f"c{number}") for number in range(40)]
    world.pull(store, mapping)
    rereader = Rereading(MemoryConfig(), world.system)

    def emptied(count: int) -> list[str]:
        world.wait(minutes=10)
        had = {fact["id"] for fact in newest(store) if "owner" in fact}
        some = [one for one in ids if one in had][:count]
        for one in some:
            world.system.update("Customer", one, {"Size": None})
        return some

    def hinted(some: list[str], **options: Any) -> PullResult:
        run_id = store.start_run("hints", "erp", at=world.at)
        waiting = [Waiting("Customer", one, 1) for one in some]
        result, settled = pull_hinted(
            store, "erp", rereader, mapping, waiting, now=lambda: world.at, run_id=run_id, limits=EMPTIED, **options
        )
        assert settled == ([] if result.refused else waiting)
        store.finish_run(run_id, result.state, result.counts(), at=world.at)
        return result

    def repaired(some: list[str], **options: Any) -> StreamResult:
        run_id = store.start_run("reconcile", "erp", at=world.at)
        plan = mapping.object("Customer")
        there = list(world.reader.fetch("Customer", plan.query.fields, some))
        result = take_over(store, "erp", plan, there, now=lambda: world.at, run_id=run_id, limits=EMPTIED, **options)
        store.finish_run(
            run_id, "ok", {"Customer": {"emptied": result.emptied, "allowed_by": result.allowed_by}}, at=world.at
        )
        return result

    assert hinted(emptied(4)).state == "ok"
    assert repaired(emptied(4)).state == "ok"
    held = hinted(few := emptied(4))
    assert "account.owner became empty in 12 of the 40 records" in held.refused[0]
    held = repaired(few)
    assert held.refused and "referee reconcile --repair --allow YOUR-NAME" in str(held.why)
    assert world.pull(store, mapping, limits=EMPTIED).streams[0].refused
    assert sum("owner" in fact for fact in newest(store)) == 32
    assert repaired(few, allow="Mara Lind").allowed_by == "Mara Lind"
    assert hinted(emptied(4)).state == "ok", "what was allowed counts no more"
    assert hinted(few := emptied(10)).refused
    assert hinted(few, allow="Mara Lind").state == "ok"
    assert sum("owner" in fact for fact in newest(store)) == 14


def test_records_that_waited_pass_the_brake_on_emptied_fields_too(world: World, store: Store) -> None:
    """Ten people get a customer that is not here yet, and lose their title meanwhile."""
    titled = MAPPING.replace("name: Name\n", "name: {value: somebody}\n      title: Name\n")
    mapping, limits = load_mapping("mapping.yaml", titled), {"Person": Limits(emptied_from=5)}
    first = world.customer("first")
    people = [world.person(first) for _ in range(10)]
    world.pull(store, mapping)
    world.wait(minutes=10)
    for one in people:
        world.system.update("Person", one, {"Customer": "CUS000099", "Name": None})
    assert world.pull(store, mapping, limits=limits).state == "partial", "they wait for their customer"
    world.wait(minutes=10)
    plan = mapping.object("Customer")
    late = Record("Customer", "CUS000099", "1", {"Name": "late", "Code": "C2"})
    take_over(store, "erp", plan, [late], now=lambda: world.at, run_id=9)
    result = world.pull(store, mapping, limits=limits)
    assert "contact.title became empty in 10 of the 10 records" in result.refused[0]
    assert all("title" in fact for fact in store.facts(types=["contact"]))
    assert world.pull(store, mapping, limits=limits, allow="Mara Lind").state == "ok"
    assert sum("title" not in fact for fact in store.facts(types=["contact"])) == 10


def test_a_mapping_that_empties_a_field_is_refused_and_one_that_drops_it_is_not(world: World, store: Store) -> None:
    mapping, limits = load_mapping("mapping.yaml", SIZED), {"Customer": Limits(emptied_from=5)}
    for number in range(12):
        world.customer(f"c{number}")
    world.pull(store, mapping)
    wrong = load_mapping(
        "mapping.yaml", SIZED.replace("owner: Size", "owner: {field: Size, values: {One: x}, otherwise: 'null'}")
    )
    done = remap(store, "erp", wrong, now=lambda: world.at, run_id=9, limits=limits)["Customer"]
    assert done.refused and "account.owner became empty in 12 of the 12 records" in str(done.why)
    assert all("owner" in fact for fact in newest(store))
    assert world.pull(store, wrong, limits=limits).streams[0].refused, "nor does the next sync carry it out"
    assert world.pull(store, mapping, limits=limits).state == "ok"
    dropped = load_mapping("mapping.yaml", MAPPING)
    assert not remap(store, "erp", dropped, now=lambda: world.at, run_id=9, limits=limits)["Customer"].refused
    assert not any("owner" in fact for fact in newest(store))


def newest(store: Store) -> list[dict[str, Any]]:
    """The latest version of each account."""
    return list({fact["id"]: fact for fact in store.facts(types=["account"])}.values())
