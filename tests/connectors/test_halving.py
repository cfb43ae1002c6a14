"""What a system does not answer in time is asked for in smaller parts: nothing missed, nothing doubled, an end to it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Query
from connectors.errors import RetryLater, WindowTooLarge
from connectors.halving import in_halves, middle
from connectors.http import Http, RetryPolicy
from connectors.simulation import Faults, SimRequest, SimResponse, Simulator
from tests.connectors import hubspot_portal, netsuite_account

CUSTOMERS = Query("customer", ("companyname",))
DEALS = Query("deals", ("dealname",))

Span = tuple[int, int]
Part = tuple[Span, int]


def reading(numbers: Sequence[int], most: int) -> Callable[[Span, bool], Iterator[tuple[list[int], Span]]]:
    """Reads a range of numbers in pages of two; a range that holds more than ``most`` is too large, whatever the page."""

    def read(span: Span, _last: bool, _size: Callable[[], int]) -> Iterator[tuple[list[int], Span]]:
        low, high = span
        while True:
            found = [number for number in numbers if low <= number < high]
            if len(found) > most:
                raise WindowTooLarge("too large")
            page = found[:2]
            if not page:
                return
            low = page[-1] + 1
            yield page, (low, high)

    return read


def halves(span: Span) -> tuple[Span, Span] | None:
    low, high = span
    cut = (low + high) // 2
    return ((low, cut), (cut, high)) if low < cut < high else None


@given(numbers=st.sets(st.integers(0, 500), max_size=60), most=st.integers(1, 40))
def test_any_span_is_read_whole_and_in_order_in_whatever_parts_it_takes(numbers: set[int], most: int) -> None:
    asked: list[str] = []
    found = list(
        in_halves((0, 501), reading(sorted(numbers), most), halves, told=str, alive=lambda: asked.append("alive"))
    )
    assert [number for page, _, _ in found for number in page] == sorted(numbers)
    assert bool(asked) == (len(numbers) > most), "before anything is halved"


@given(numbers=st.sets(st.integers(0, 500), max_size=60), most=st.integers(1, 70), tied=st.integers(0, 80))
def test_records_at_a_time_are_fewer_where_a_span_cannot_be_halved(numbers: set[int], most: int, tied: int) -> None:
    """Rows of one number cannot be parted by halving; a page of more than ``most`` rows is too large."""
    rows = sorted([(number, 0) for number in numbers] + [(250, copy) for copy in range(1, tied)])
    asked = 0

    def read(part: Part, _last: bool, size: Callable[[], int]) -> Iterator[tuple[list[Span], Part]]:
        nonlocal asked
        at, high = part
        while True:
            asked += 1
            assert asked < 2000, "there is an end to it"
            page = [row for row in rows if at < row and row[0] < high][: size()]
            if len(page) > most:
                raise WindowTooLarge("too large")
            if not page:
                return
            at = page[-1]
            yield page, (at, high)

    def in_two(part: Part) -> tuple[Part, Part] | None:
        (low, _), high = part
        cut = (low + high) // 2
        return ((part[0], cut), ((cut, -1), high)) if low < cut < high else None

    parts = in_halves(((0, -1), 501), read, in_two, size=64, told=str, alive=lambda: None)
    assert [row for page, _, _ in parts for row in page] == rows


def test_the_smallest_part_that_is_too_large_is_told_and_what_was_read_before_stays() -> None:
    def read(span: Span, _last: bool, _size: Callable[[], int]) -> Iterator[tuple[list[int], Span]]:
        if span[0] <= 37 < span[1]:
            raise WindowTooLarge("no answer", code="HTTP 504")
        yield list(range(*span)), (span[1], span[1])

    found: list[int] = []
    with pytest.raises(WindowTooLarge, match=r"alone: \(37, 38\)") as error:
        for page, _, _ in in_halves((0, 64), read, halves, told=lambda span: f"alone: {span}", alive=lambda: None):
            found += page
    assert found == list(range(37)) and error.value.code == "HTTP 504"


def test_a_system_that_answers_nothing_is_not_asked_for_less_and_less() -> None:
    def dead() -> None:
        raise RetryLater("down", retry_after_seconds=60)

    with pytest.raises(RetryLater):
        list(in_halves((0, 64), reading(range(64), 1), halves, told=str, alive=dead))


def test_there_is_a_whole_second_in_the_middle_or_none() -> None:
    start = datetime(2026, 1, 1)
    for seconds in (0, 0.5, 1):
        assert middle(start, start + timedelta(seconds=seconds)) is None
    assert middle(start, start + timedelta(seconds=3)) == start + timedelta(seconds=1)
    assert middle(start + timedelta(milliseconds=900), start + timedelta(seconds=2)) == start + timedelta(seconds=1)


def test_only_where_less_can_be_asked_for_a_slow_answer_is_not_waited_for_to_the_end() -> None:
    class Slow(Simulator):
        def handle(self, request: SimRequest) -> SimResponse:
            return SimResponse.text("slow", 504)

    with Slow() as system:
        http = Http(
            system.url, system="slow", policy=RetryPolicy(attempts=4), sleep=lambda _: None, allow_loopback=True
        )
        with pytest.raises(RetryLater):
            http.call("GET", "/")
        assert system.total_requests == 4

        def read(_span: int, _last: bool, _size: Callable[[], int]) -> Iterator[tuple[None, int]]:
            fresh = Http(system.url, system="slow", sleep=lambda _: None, allow_loopback=True)
            fresh.call("GET", "/")
            yield None, 0

        with pytest.raises(WindowTooLarge, match="alone"):
            list(in_halves(1, read, lambda _: None, told=lambda _: "alone", alive=lambda: None))
        assert system.total_requests == 6, "tried once more, since it may have been chance"


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1))
def test_netsuite_windows_and_pages_shrink_until_they_are_answered(seed: int) -> None:
    chance = random.Random(seed)
    with netsuite_account.running() as account:
        made = set()
        for number in range(40):
            made.add(account.insert("customer", {"companyname": f"Company {number}"}))
            account.wait(chance.choice((0, 0, 1, 40, 90_000)))
        account.wait(600)
        if chance.random() < 0.5:
            account.matches_in_time = chance.randrange(20, 39)
        account.rows_in_time = chance.randrange(1, 20)
        account.insert("customer", {"companyname": "too young"})
        connector = account.connect(page_size=chance.choice((7, 50, 1000)))
        pages = list(connector.changes(CUSTOMERS, since=None))
        found = [record.external_id for page in pages for record in page.records]
        assert sorted(found) == sorted(made), "each once"
        stamps = [record.modified_at for page in pages for record in page.records]
        assert stamps == sorted(stamps)  # type: ignore[type-var]
        stopped = chance.randrange(len(pages))
        rest = connector.changes(CUSTOMERS, since=pages[stopped].cursor if stopped < len(pages) - 1 else None)
        before = {record.external_id for page in pages[: stopped + 1] for record in page.records}
        assert before | {record.external_id for page in rest for record in page.records} == made


def test_a_netsuite_record_that_alone_is_too_slow_is_named_and_those_before_it_are_read() -> None:
    with netsuite_account.running() as account:
        made = []
        for number in range(40):
            made.append(account.insert("customer", {"companyname": f"Company {number}"}))
            account.wait(60)
        account.wait(600)
        account.slow_ids = {made[25]}
        connector, found = account.connect(), []
        with pytest.raises(WindowTooLarge, match=r"customer: one record alone .* timeout_seconds: 120") as error:
            for page in connector.changes(CUSTOMERS, since=None):
                found += [record.external_id for record in page.records]
                cursor = page.cursor
        assert found == made[:25] and "mapping" in str(error.value)
        assert account.total_requests < 150
        account.slow_ids = set()
        found += [record.external_id for page in connector.changes(CUSTOMERS, since=cursor) for record in page.records]
        assert found == made


def test_an_outage_of_netsuite_is_no_reason_to_halve() -> None:
    with netsuite_account.running() as account:
        account.insert("customer", {"companyname": "Company"})
        connector = account.connect()
        list(connector.changes(CUSTOMERS, since=None))
        before = account.total_requests
        account.faults.add(Faults.status(504, times=None))
        with pytest.raises(RetryLater):
            list(connector.changes(CUSTOMERS, since=None))
        assert account.total_requests - before < 20


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_hubspot_pages_shrink_and_grow_again(seed: int) -> None:
    chance = random.Random(seed)
    with hubspot_portal.running() as portal:
        made = {portal.insert("deals", {"dealname": f"Deal {number}"}) for number in range(150)}
        portal.wait(7200)
        connector = portal.connect(sweep_hours=0)
        portal.records_in_time = chance.randrange(1, 100)
        records, watermark = hubspot_portal.read(connector, DEALS)
        assert sorted(record.external_id for record in records) == sorted(made)
        changed = set(chance.sample(sorted(made), 70))
        for key in changed:
            portal.update("deals", key, {"amount": "5"})
        gone = set(chance.sample(sorted(made - changed), 30))
        for key in gone:
            portal.archive("deals", key)
        portal.wait(120)
        records, _ = hubspot_portal.read(portal.connect(archived_minutes=0), DEALS, watermark)
        assert {record.external_id for record in records if not record.deleted} == changed
        assert {record.external_id for record in records if record.deleted} == gone


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_hubspot_searches_shrink_to_windows_that_are_answered(seed: int) -> None:
    """What finds too much is searched in halves of its time; where the records of ids are too many, there are fewer."""
    chance = random.Random(seed)
    with hubspot_portal.running() as portal:
        connector = portal.connect(sweep_hours=0, page_size=chance.choice((3, 20, 100)))
        _, watermark = hubspot_portal.read(connector, DEALS)
        made, most = set(), 0
        while len(made) < 60:
            together = chance.choice((1, 1, 3, 8))
            most = max(most, together)
            made |= {portal.insert("deals", {"dealname": f"Deal {len(made)}"}) for _ in range(together)}
            portal.wait(chance.choice((0.001, 1, 30, 600)))
        portal.wait(2 * 3600)
        portal.matches_in_time = chance.randrange(most, 50)
        if chance.random() < 0.5:
            portal.records_in_time = chance.randrange(1, 20)
        pages = list(connector.changes(DEALS, since=watermark))
        found = [record.external_id for page in pages for record in page.records]
        assert set(found) == made
        stopped = chance.randrange(len(pages))
        before = {record.external_id for page in pages[: stopped + 1] for record in page.records}
        rest = portal.connect(sweep_hours=0).changes(DEALS, since=pages[stopped].cursor)
        assert before | {record.external_id for page in rest for record in page.records} == made


def test_a_hubspot_search_that_finds_too_much_in_a_millisecond_is_told() -> None:
    with hubspot_portal.running() as portal:
        connector = portal.connect()
        _, watermark = hubspot_portal.read(connector, DEALS)
        for number in range(40):
            portal.insert("deals", {"dealname": f"Deal {number}"})
        portal.wait(2 * 3600)
        portal.matches_in_time = 30
        with pytest.raises(WindowTooLarge, match="deals: one millisecond alone .* of the part settled"):
            list(connector.changes(DEALS, since=watermark))
        assert portal.total_requests < 150


def test_one_slow_hubspot_record_costs_its_neighbours_a_few_calls_and_then_says_what_it_is() -> None:
    with hubspot_portal.running() as portal:
        made = [portal.insert("deals", {"dealname": f"Deal {number}"}) for number in range(300)]
        portal.slow_ids = {made[150]}
        found: list[str] = []
        with pytest.raises(
            WindowTooLarge, match=rf"deals: one record alone \(the next of the part whole behind {made[149]}\)"
        ):
            for page in portal.connect().changes(DEALS, since=None):
                found += [record.external_id for record in page.records]
        assert found == made[:150]
        assert portal.total_requests < 40
