"""A large read is mapped by a process beside ours: the store ends as if it had not been, whatever comes and whoever dies."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from connectors.base import Cursor, Page, Query, Record, UnreadRecords
from connectors.errors import ConnectorError
from sync import mapping_process
from sync.mapping import load_mapping
from sync.mapping_process import MappingProcess
from sync.pull import Progress, PullResult, pull
from sync.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
MAPPING = load_mapping(
    "mapping.yaml",
    """
system: memory
objects:
  - object: Lead
    record: referral
    fields:
      program: {field: Program, required: true}
      partner: Partner
      submitted_at: $created_at
      channel: {field: Channel, default: crm}
      company: {field: Company, required: true}
      details: {value: {field: Value, transform: decimal}}
""",
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process")


def read(texts: Sequence[bytes]) -> tuple[Record, ...]:
    """Records of texts, as a connector makes them. Raises: ``ConnectorError`` for one that says so."""
    made = []
    for each in texts:
        row = json.loads(each, parse_float=Decimal)
        if row.get("broken"):
            raise ConnectorError("memory: a row of the answer about Lead is not JSON")
        stamp = NOW + timedelta(minutes=row["at"])
        gone = bool(row.get("gone"))
        winner = row.get("into") if gone else None
        made.append(Record("Lead", row["id"], str(row["at"]), row["fields"], gone, winner, NOW, stamp))
    return tuple(made)


def read_turned(texts: Sequence[bytes]) -> tuple[Record, ...]:
    """Records of texts that came in another form: from their ends."""
    return read([text[::-1] for text in texts])


class Served:
    """Hands out pages of texts, each read where it is looked at, then fails if it is told to.

    ``turned``: pages that come in another form.
    """

    def __init__(
        self,
        pages: Sequence[Sequence[dict[str, Any]]],
        error: ConnectorError | None = None,
        *,
        turned: Collection[int] = (),
    ) -> None:
        self._pages, self._error = [[json.dumps(row).encode() for row in page] for page in pages], error
        self._turned = turned

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        start = 0 if since is None else int(since)
        for number, page in list(enumerate(self._pages, 1))[start:]:
            last = number == len(self._pages) and self._error is None
            records = UnreadRecords(page, read)
            if number in self._turned:
                records = UnreadRecords([text[::-1] for text in page], read_turned)
            yield Page(records, str(number), str(number) if last else None)
        if self._error is not None:
            raise self._error

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        return iter(())


def row(number: int, *, at: int = 0, **more: Any) -> dict[str, Any]:
    fields = {
        "Program": "next-technik",
        "Partner": "P1",
        "Company": f"Company {number}",
        "Channel": None,
        "Value": 12.10,
    }
    return {"id": f"L{number}", "at": at, "fields": fields, **more}


def run(store: Store, reader: Served, *, beside: bool, **options: Any) -> PullResult:
    """A pull; ``beside``: with a second process from the first page on, else with none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapping_process, "RECORDS_BEFORE", 0 if beside else sys.maxsize)
        patch.setattr(mapping_process, "is_possible", lambda: True)
        number = store.start_run("pull", "crm", at=NOW)
        result = pull(store, "crm", reader, MAPPING, now=lambda: NOW + timedelta(days=1), run_id=number, **options)
        store.finish_run(number, result.state, result.counts(), at=NOW)
        return result


def dump(store: Store) -> dict[str, list[tuple[object, ...]]]:
    names = ("stream", "record", "record_version", "fact", "fact_head", "redirect", "quarantine")
    with store.reading() as connection:
        return {name: [tuple(each) for each in connection.execute(text(f"SELECT * FROM {name}"))] for name in names}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store to copy: a thousand stores are made of it."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    store = Store.open(f"sqlite:///{path}")
    store.migrate()
    store.close()
    return path


@pytest.fixture
def fresh(migrated: Path, tmp_path: Path) -> Callable[[], Store]:
    """Makes empty stores."""
    numbers = count(1)

    def make() -> Store:
        return Store.open(f"sqlite:///{shutil.copy(migrated, tmp_path / f'{next(numbers)}.db')}")

    return make


values = st.one_of(
    st.text(max_size=8),
    st.just("\ud800"),
    st.none(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False).map(float),
)
odd = st.fixed_dictionaries(
    {},
    optional={
        "Program": values,
        "Partner": values,
        "Company": values,
        "Channel": values,
        "Value": values,
        "Other": values,
    },
)
rows = st.builds(
    lambda number, at, fields, gone, into: {
        "id": f"L{number}", "at": at, "fields": {**row(number)["fields"], **fields}, "gone": gone, "into": into,
    },
    st.integers(0, 12), st.integers(0, 5), odd, st.booleans(), st.sampled_from([None, "L1", "L2"]),
)  # fmt: skip
reads = st.lists(st.lists(st.lists(rows, max_size=8), min_size=1, max_size=4), min_size=1, max_size=3)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reads, st.sets(st.integers(1, 4)))
def test_the_store_ends_the_same_with_and_without_a_second_process(
    fresh: Callable[[], Store], story: list[list[list[dict[str, Any]]]], turned: set[int]
) -> None:
    alone, beside = fresh(), fresh()
    for pages in story:
        for store in (alone, beside):
            store.set_stream(store.stream("crm", "Lead"), cursor=None, watermark=None)
        with_one = run(beside, Served(pages, turned=turned), beside=True, allow="Mara Lind")
        without = run(alone, Served(pages, turned=turned), beside=False, allow="Mara Lind")
        assert with_one.counts() == without.counts()
    assert dump(beside) == dump(alone)
    alone.close()
    beside.close()


def test_a_page_that_cannot_be_read_is_told_and_the_pages_before_it_are_kept(fresh: Callable[[], Store]) -> None:
    store = fresh()
    pages = [[row(1)], [row(2)], [{"id": "L3", "broken": True}], [row(4)]]
    result = run(store, Served(pages), beside=True)
    assert result.streams[0].why == "memory: a row of the answer about Lead is not JSON"
    assert [each[1] for each in dump(store)["record"]] == ["L1", "L2"]
    assert store.stream("crm", "Lead").cursor == "2"
    store.close()


def test_what_was_read_before_the_system_failed_is_kept(fresh: Callable[[], Store]) -> None:
    store = fresh()
    result = run(store, Served([[row(1)], [row(2)]], ConnectorError("memory: gone")), beside=True)
    assert result.streams[0].why == "memory: gone"
    assert store.stream("crm", "Lead").cursor == "2"
    store.close()


def test_where_no_process_can_be_had_a_read_goes_on_alone(
    fresh: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> int:
        raise BlockingIOError("no more processes")

    store = fresh()
    monkeypatch.setattr(os, "fork", full)
    assert run(store, Served([[row(1)], [row(2)]]), beside=True).state == "ok"
    assert len(dump(store)["record"]) == 2
    store.close()


def test_pages_that_come_in_another_form_are_read_by_a_process_begun_for_them(
    fresh: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: list[object] = []
    begin = MappingProcess.__init__

    def begun(self: MappingProcess, *given: Any) -> None:
        begin(self, *given)
        readers.append(given[0])

    monkeypatch.setattr(MappingProcess, "__init__", begun)
    store, places = fresh(), list[str | None]()
    reader = Served([[row(number)] for number in range(9)], turned={3, 4, 5, 6})
    at = partial(store.stream, "crm", "Lead")
    assert run(store, reader, beside=True, progress=lambda page: places.append(at().cursor)).state == "ok"
    assert readers == [read, read_turned, read]
    assert places == [*map(str, range(1, 9)), None] and len(dump(store)["record"]) == 9
    store.close()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_second_process_that_dies_or_hangs_is_done_without(
    fresh: Callable[[], Store], monkeypatch: pytest.MonkeyPatch, sign: int
) -> None:
    pages = [[row(3 * page + number) for number in range(3)] for page in range(16)]
    for each in pages:
        each[0]["fields"]["Notes"] = "x" * 450_000  # so that no pipe holds them all
    whole, hurt = fresh(), fresh()
    run(whole, Served(pages), beside=False)
    monkeypatch.setattr(mapping_process, "PATIENCE_SECONDS", 0.1)
    started: list[int] = []
    begin = MappingProcess.__init__

    def begun(self: MappingProcess, *given: Any) -> None:
        begin(self, *given)
        started.append(self.pid)

    places: list[str | None] = []

    def stored(page: Progress) -> None:
        places.append(hurt.stream("crm", "Lead").cursor)
        if page.pages == 2:
            os.kill(started[0], sign)

    monkeypatch.setattr(MappingProcess, "__init__", begun)
    assert run(hurt, Served(pages), beside=True, progress=stored).state == "ok"
    assert len(started) == 1
    assert places == [*map(str, range(1, 16)), None], (
        "each page is stored behind the one before: a cursor never leaves one out"
    )
    assert dump(hurt) == dump(whole)
    whole.close()
    hurt.close()


@pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="needs a way to wait for the end of a process that is not ours"
)
def test_a_pull_that_is_killed_leaves_no_process_behind(migrated: Path, tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", DYING, f"sqlite:///{shutil.copy(migrated, tmp_path / 'store.db')}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(Path(__file__).parent)))},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    beside = os.pidfd_open(int(child.stdout.readline()))
    child.kill()
    child.wait()
    ended, _, _ = select.select([beside], [], [], 60)
    os.close(beside)
    assert ended, "the second process outlived the pull"
    child.stdout.close()


DYING = """
import sys
from test_mapping_process import MappingProcess, Served, Store, row, run
begin = MappingProcess.__init__
def begun(self, *given):
    begin(self, *given)
    print(self.pid, flush=True)
    sys.stdin.read()
MappingProcess.__init__ = begun
store = Store.open(sys.argv[1])
run(store, Served([[row(1)], [row(2)]]), beside=True)
"""
