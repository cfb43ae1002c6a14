"""The acceptance suite of connectors: subclass :class:`ConnectorConformance` in pytest and give it a system to edit.

    pytest.register_assert_rewrite("connectors.conformance")  # in conftest.py, for readable failures

    class TestAcme(ConnectorConformance):
        plugin = PLUGIN
        kind, key_field, text_field = "deal", "sync_key", "name"

        @pytest.fixture
        def edit(self) -> Iterator[SystemDriver]: ...       # a fresh system, or its simulator, as a person edits it

        @pytest.fixture
        def connector(self, edit) -> Connector: ...         # the connector to it; small pages, so that paging shows

A capability that the connector does not have is skipped, with the reason; so is what the driver cannot bring about
(:class:`Calls`, :class:`Logins`, :class:`Merges`, :class:`LateCommits`). ``docs/connectors.md`` walks through a whole one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NoReturn, Protocol, get_args, runtime_checkable

import pytest
from pydantic import SecretStr

from connectors.base import Change, Cursor, Describer, FieldType, Page, Query, Reader, Record, Writer, Written
from connectors.errors import ConnectorError, NeedsOperator, RecordRejected, RetryLater
from connectors.faults import Faults
from connectors.registry import Plugin


class SystemDriver(Protocol):
    """A person's hands in the system: edits that do not go through the connector, and a look inside."""

    def create(self, kind: str, fields: Mapping[str, Any]) -> str:
        """A new record; returns its id."""
        ...

    def update(self, kind: str, external_id: str, fields: Mapping[str, Any]) -> None:
        """Change fields."""
        ...

    def delete(self, kind: str, external_id: str) -> None:
        """Delete the record."""
        ...

    def advance(self, seconds: float) -> None:
        """Move the system's clock; backwards too."""
        ...

    def count(self, kind: str, field: str, value: str) -> int:
        """How many undeleted records hold this value: the system's own truth."""
        ...


@runtime_checkable
class Calls(Protocol):
    """A driver of a system that is reached by calls, which can be counted and can fail."""

    def calls(self) -> int:
        """API calls that the system has counted."""
        ...

    def lose_next_answer(self) -> None:
        """The next call is carried out, but its answer does not arrive."""
        ...

    def fail_next(self, status: int) -> None:
        """The next call is answered with this status and not carried out."""
        ...


@runtime_checkable
class Logins(Protocol):
    """A driver of a system with logins."""

    def refuse_logins(self) -> None:
        """From now on no login is accepted, nor any session that there is."""
        ...


@runtime_checkable
class Merges(Protocol):
    """A driver of a system that merges records."""

    def merge(self, kind: str, loser: str, winner: str) -> None:
        """Merge one record into another."""
        ...


@runtime_checkable
class LateCommits(Protocol):
    """A driver of a system where a record may become visible later than its stamp says."""

    def create_late(self, kind: str, fields: Mapping[str, Any], seconds: float) -> str:
        """A new record, stamped now and visible after ``seconds``."""
        ...


class Hands:
    """Mixed into a :class:`connectors.simulation.Simulator`, makes most of a driver of it: calls, faults, logins, time.

    Time is left alone: right for a system whose reading does not depend on it; others override :meth:`advance`.
    """

    faults: Faults
    total_requests: int

    def advance(self, seconds: float) -> None:
        """Nothing here depends on time."""

    def calls(self) -> int:
        """Requests that arrived."""
        return self.total_requests

    def lose_next_answer(self) -> None:
        """Carry the next request out without answering."""
        self.faults.add(Faults.lose_answer())

    def fail_next(self, status: int) -> None:
        """Answer the next request with this status."""
        self.faults.add(Faults.status(status))

    def refuse_logins(self) -> None:
        """Answer every request with 401."""
        self.faults.add(Faults.status(401, times=None))


HOSTILE = {
    "quotes": 'O\'Brien "&" \\Sons\\ 100 %_ -- ;/* */',
    "injection": "x' OR Name LIKE '%",
    "markup": "<b onload=alert(1)>{{7*7}}</b> ${x} =1+1",
    "unicode": "Ünïcödé Łódź 株式会社 😀 e\u0301",
    "right to left": "\u202eabc שלום \u200f",
    "lines": "first\r\nsecond\tthird",
    "nul": "be\x00fore",
    "surrogate": "lone \ud800 half",
    "long": "x" * 10_000,
    "number like": "000123.10",
    "null like": "null",
}


_SECRET = re.compile(r"(?:^|_)(?:secret|password|token|private_key)$")
_MOST_LOST = 20
"""Answers lost in a row, more than any connector tries again by itself."""
_MOST_LOGIN_CALLS = 6
"""Calls after which a refused login must be a person's business: it is never tried in a loop."""


class ConnectorConformance:
    """What every connector must do. Subclasses set the class attributes and the two fixtures.

    ``plugin``: what the registry is given. ``secrets``: those of the connection, which no message may repeat. ``kind``: an object that can be created, changed and deleted. ``key_field``: its unique external key.
    ``text_field``: a text field of at least 40 characters. ``many``: enough records for three pages.
    ``settle_seconds``: longer than the connector's lag and overlap together. ``broken``: fields of a change that
    the system rejects. ``clearable_field``: a text field that may be empty, when ``text_field`` may not.
    """

    plugin: ClassVar[Plugin]
    secrets: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[str]
    key_field: ClassVar[str]
    text_field: ClassVar[str]
    many: ClassVar[int] = 25
    settle_seconds: ClassVar[float] = 86_400
    clearable_field: ClassVar[str | None] = None
    broken: ClassVar[Mapping[str, Any]] = {"no_such_field": "x"}

    @pytest.fixture
    def edit(self) -> SystemDriver:
        """The system under the connector."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture 'edit' that returns a SystemDriver")

    @pytest.fixture
    def connector(self, edit: SystemDriver) -> Any:
        """The connector, with at least one capability of connectors.base."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture 'connector'")

    def new_fields(self, number: int) -> dict[str, Any]:
        """Fields of the numbered record, for creating it; override it when the system requires more."""
        return {self.key_field: f"key-{number:04d}", self.text_field: f"Record {number}"}

    # -- the plugin

    def test_the_settings_refuse_what_they_do_not_know_and_hide_secrets(self) -> None:
        config = self.plugin.config
        assert config.model_config.get("extra") == "forbid", "a misspelled setting must be refused"
        assert config.model_config.get("frozen"), "settings must not change while they are used"
        for name, field in config.model_fields.items():
            if _SECRET.search(name):
                types = (field.annotation, *get_args(field.annotation))
                assert SecretStr in types, f"{name} must be a SecretStr, so that no log shows it"

    def test_the_plugin_is_whole(self, connector: Any) -> None:
        taken = inspect.signature(self.plugin.connect).parameters
        by_name = {"budget", "clock", "sleep"} <= set(taken) or any(
            one.kind is one.VAR_KEYWORD for one in taken.values()
        )
        assert by_name, "connect takes budget, clock and sleep by name"
        assert isinstance(connector, (Reader, Writer, Describer)), "no capability of connectors.base"
        assert self.plugin.sources, "which documents of the vendor does it follow?"
        if self.plugin.mapping is not None:
            lines = self.plugin.mapping.read_text("utf-8").splitlines()
            assert f"system: {self.plugin.name}" in lines, "the mapping must say the plugin's name"

    # -- logging in

    def test_connecting_makes_no_call(self, connector: Any, edit: SystemDriver) -> None:
        assert _calls(edit).calls() == 0, "connect() must wait for the first use"

    def test_a_refused_login_is_for_a_person_and_is_not_tried_in_a_loop(
        self, connector: Any, edit: SystemDriver
    ) -> None:
        if not isinstance(edit, Logins):
            pytest.skip("the driver says that this system has no logins")
        edit.create(self.kind, self.new_fields(1))
        edit.advance(self.settle_seconds)
        edit.refuse_logins()
        before = _calls(edit).calls()
        with pytest.raises(NeedsOperator) as refused:
            self._read(connector)
        assert _calls(edit).calls() - before <= _MOST_LOGIN_CALLS, "the login was tried again and again"
        assert not [secret for secret in self.secrets if secret in str(refused.value)], "the message holds a secret"

    # -- describing

    def test_describes_its_objects(self, connector: Any) -> None:
        describer = _describer(connector)
        assert self.kind in describer.kinds(), f"kinds() does not list {self.kind}"
        description = describer.describe(self.kind)
        assert description is not None and description.kind == self.kind
        assert {self.key_field, self.text_field} <= set(description.fields), "the fields of the suite are missing"
        for name, found in description.fields.items():
            assert found.name == name and found.label, f"{name} has no name or label"
            assert found.type in get_args(FieldType), (
                f"{name} has the type {found.type!r}, which is none of the contract"
            )

    def test_an_object_that_is_not_there_has_no_description(self, connector: Any) -> None:
        assert _describer(connector).describe("no_such_object") is None

    def test_usage_is_told(self, connector: Any) -> None:
        usage = _describer(connector).usage()
        assert usage.used is None or usage.used >= 0
        assert usage.allowed is None or usage.allowed >= (usage.used or 0)

    # -- reading

    def test_a_full_read_returns_everything(self, connector: Any, edit: SystemDriver) -> None:
        ids = self._create_many(edit, seconds_apart=1)
        edit.advance(self.settle_seconds)
        records, _ = self._read(connector)
        assert {record.external_id for record in records} == set(ids)
        for record in records:
            number = ids.index(record.external_id)
            assert record.fields[self.text_field] == self.new_fields(number)[self.text_field]
            assert record.version and not record.deleted
            for instant in (record.created_at, record.modified_at):
                assert instant is None or instant.utcoffset() is not None, "instants must say their zone"

    def test_reading_twice_reads_the_same(self, connector: Any, edit: SystemDriver) -> None:
        self._create_many(edit, seconds_apart=1)
        edit.advance(self.settle_seconds)
        assert _latest(self._read(connector)[0]) == _latest(self._read(connector)[0])

    def test_an_empty_object_still_gives_a_watermark(self, connector: Any, edit: SystemDriver) -> None:
        _, watermark = self._read(connector)
        created = edit.create(self.kind, self.new_fields(1))
        edit.advance(self.settle_seconds)
        assert {record.external_id for record in self._read(connector, watermark)[0]} == {created}

    def test_the_next_read_returns_only_what_changed(self, connector: Any, edit: SystemDriver) -> None:
        ids = self._create_many(edit, seconds_apart=1)
        edit.advance(self.settle_seconds)
        before, watermark = self._read(connector)
        edit.update(self.kind, ids[3], {self.text_field: "changed"})
        edit.advance(self.settle_seconds)
        records, watermark = self._read(connector, watermark)
        assert {record.external_id for record in records} == {ids[3]}
        assert records[-1].fields[self.text_field] == "changed"
        assert records[-1].version != _latest(before)[ids[3]].version, "a changed record needs another version"
        edit.advance(self.settle_seconds)
        assert self._read(connector, watermark)[0] == [], "nothing changed, and still records came"

    def test_many_changes_at_one_stamp_are_all_read(self, connector: Any, edit: SystemDriver) -> None:
        ids = self._create_many(edit, seconds_apart=0)
        edit.advance(self.settle_seconds)
        assert {record.external_id for record in self._read(connector)[0]} == set(ids)

    def test_a_change_at_the_watermarks_own_stamp_is_not_lost(self, connector: Any, edit: SystemDriver) -> None:
        first = edit.create(self.kind, self.new_fields(1))
        early, watermark = self._read(connector)
        second = edit.create(self.kind, self.new_fields(2))
        edit.advance(self.settle_seconds)
        late, _ = self._read(connector, watermark)
        assert {record.external_id for record in [*early, *late]} == {first, second}

    def test_changes_during_a_read_are_in_it_or_in_the_next(self, connector: Any, edit: SystemDriver) -> None:
        ids = self._create_many(edit, seconds_apart=1)
        edit.advance(self.settle_seconds)
        records: list[Record] = []
        watermark: Cursor | None = None
        for place, page in enumerate(_reader(connector).changes(self._query(), since=None)):
            records += page.records
            watermark = page.watermark
            if place == 0:
                edit.update(self.kind, ids[0], {self.text_field: "changed early"})
                edit.update(self.kind, ids[-1], {self.text_field: "changed late"})
                edit.advance(1)
        edit.advance(self.settle_seconds)
        records += self._read(connector, watermark)[0]
        found = {key: record.fields[self.text_field] for key, record in _latest(records).items()}
        assert set(found) == set(ids)
        assert (found[ids[0]], found[ids[-1]]) == ("changed early", "changed late")

    def test_a_late_commit_is_not_lost(self, connector: Any, edit: SystemDriver) -> None:
        if not isinstance(edit, LateCommits):
            pytest.skip("the driver says that this system has no late commits")
        first = edit.create(self.kind, self.new_fields(1))
        late = edit.create_late(self.kind, self.new_fields(2), 30)
        edit.advance(20)
        early_read, watermark = self._read(connector)
        edit.advance(self.settle_seconds)
        assert {record.external_id for record in [*early_read, *self._read(connector, watermark)[0]]} == {first, late}

    def test_reading_resumes_from_every_cursor(self, connector: Any, edit: SystemDriver) -> None:
        self._create_many(edit, seconds_apart=0)
        edit.advance(self.settle_seconds)
        pages = list(_reader(connector).changes(self._query(), since=None))
        assert len(pages) > 2, f"{self.many} records came in {len(pages)} pages; use smaller pages in this suite"
        whole = _latest(record for page in pages for record in page.records)
        for stop in range(1, len(pages)):
            before = [record for page in pages[:stop] for record in page.records]
            rest, _ = self._read(connector, pages[stop - 1].cursor)
            assert _latest([*before, *rest]) == whole, f"resuming after page {stop} lost or changed records"

    def test_a_cursor_of_the_future_reads_nothing(self, connector: Any, edit: SystemDriver) -> None:
        edit.create(self.kind, self.new_fields(1))
        month = 30 * 86_400
        edit.advance(month)
        _, watermark = self._read(connector)
        edit.advance(-month)
        assert self._read(connector, watermark)[0] == []

    def test_a_foreign_cursor_is_refused_by_name(self, connector: Any) -> None:
        with pytest.raises(ConnectorError):
            self._read(connector, "no cursor of ours")

    def test_deleted_records_come_as_deleted(self, connector: Any, edit: SystemDriver) -> None:
        kept, gone = (edit.create(self.kind, self.new_fields(number)) for number in (1, 2))
        _, watermark = self._read(connector)
        edit.delete(self.kind, gone)
        edit.advance(self.settle_seconds)
        found = _latest(self._read(connector, watermark)[0])
        assert found[gone].deleted and (kept not in found or not found[kept].deleted)

    def test_merged_records_say_into_which(self, connector: Any, edit: SystemDriver) -> None:
        if not isinstance(edit, Merges):
            pytest.skip("the driver says that this system does not merge records")
        loser, winner = (edit.create(self.kind, self.new_fields(number)) for number in (1, 2))
        _, watermark = self._read(connector)
        edit.merge(self.kind, loser, winner)
        edit.advance(self.settle_seconds)
        found = _latest(self._read(connector, watermark)[0])
        assert found[loser].deleted and found[loser].merged_into == winner

    @pytest.mark.parametrize("at_call", [1, 2, 3])
    def test_a_failing_call_loses_nothing(self, connector: Any, edit: SystemDriver, at_call: int) -> None:
        ids = self._create_many(edit, seconds_apart=1)
        edit.advance(self.settle_seconds)
        system = _calls(edit)
        cursor: Cursor | None = None
        records: list[Record] = []
        failed = finished = False
        for _ in range(10):
            try:
                for place, page in enumerate(_reader(connector).changes(self._query(), since=cursor), 1):
                    records += page.records
                    cursor, finished = page.cursor, page.watermark is not None
                    if place == at_call and not failed:
                        failed = True
                        system.fail_next(503)
            except RetryLater:
                continue
            if finished:
                break
        assert finished, "the read did not recover from one failed call"
        assert set(_latest(records)) == set(ids)

    @pytest.mark.parametrize("name", [name for name in HOSTILE if name not in ("nul", "surrogate", "long")])
    def test_hostile_text_of_a_person_is_read_as_it_is(self, connector: Any, edit: SystemDriver, name: str) -> None:
        text = HOSTILE[name]
        try:
            created = edit.create(self.kind, {**self.new_fields(1), self.text_field: text})
        except RecordRejected:
            pytest.skip("the system itself takes no such text from a person")
        edit.create(self.kind, self.new_fields(2))
        edit.advance(self.settle_seconds)
        found = _latest(self._read(connector)[0])
        assert len(found) == 2 and found[created].fields[self.text_field] == text

    def test_a_busy_system_is_waited_for(self, connector: Any, edit: SystemDriver) -> None:
        ids = self._create_many(edit, seconds_apart=1)
        edit.advance(self.settle_seconds)
        for _ in range(3):
            _calls(edit).fail_next(429)
        for _ in range(10):
            try:
                records, _ = self._read(connector)
            except RetryLater as busy:
                assert busy.retry_after_seconds >= 0
                continue
            assert {record.external_id for record in records} == set(ids)
            return
        pytest.fail("a system that was busy for three calls was never read")

    # -- fetching

    def test_fetch_by_id_and_by_key(self, connector: Any, edit: SystemDriver) -> None:
        reader = _reader(connector)
        ids = self._create_many(edit, seconds_apart=0)
        edit.advance(self.settle_seconds)
        fields = (self.key_field, self.text_field)
        by_id = {record.external_id for record in reader.fetch(self.kind, fields, ids)}
        assert by_id == set(ids)
        keys = ["key-0001", "key-0003", "no-such-key", HOSTILE["injection"]]
        by_key = list(reader.fetch(self.kind, fields, keys, key_field=self.key_field))
        assert {record.external_id: record.fields[self.key_field] for record in by_key} == {
            ids[1]: "key-0001",
            ids[3]: "key-0003",
        }
        assert list(reader.fetch(self.kind, fields, [])) == []

    # -- writing

    def test_an_upsert_repeated_makes_one_record(self, connector: Any, edit: SystemDriver) -> None:
        writer = _writer(connector)
        change = self._change(1)
        [first], [second] = writer.write([change]), writer.write([change])
        assert (first.state, second.state) == ("done", "done")
        assert first.external_id and first.external_id == second.external_id
        assert first.created is not False and second.created is not True
        assert edit.count(self.kind, self.key_field, change.key) == 1

    def test_results_come_in_the_order_of_the_changes(self, connector: Any, edit: SystemDriver) -> None:
        changes = [self._change(number) for number in reversed(range(self.many))]
        results = _writer(connector).write(changes)
        assert [result.key for result in results] == [change.key for change in changes]
        assert {result.state for result in results} == {"done"}
        assert _writer(connector).write([]) == []

    def test_a_lost_answer_makes_no_second_record(self, connector: Any, edit: SystemDriver) -> None:
        writer = _writer(connector)
        writer.write([self._change(0)])  # logged in, so that the next call is the write
        change = self._change(1)
        _calls(edit).lose_next_answer()
        [first] = writer.write([change])
        assert first.state in ("done", "unknown"), f"an answer was lost, and the write says {first.state}"
        [second] = writer.write([change])
        assert second.state == "done"
        assert edit.count(self.kind, self.key_field, change.key) == 1

    def test_an_answer_that_stays_lost_is_unknown_until_the_record_is_seen(
        self, connector: Any, edit: SystemDriver
    ) -> None:
        writer = _writer(connector)
        writer.write([self._change(0)])
        change = self._change(1)
        for _ in range(_MOST_LOST):
            _calls(edit).lose_next_answer()
        states: list[str] = []
        while "done" not in states and len(states) <= _MOST_LOST:
            try:
                [result] = writer.write([change])
            except RetryLater:
                states.append("retry")
                continue
            states.append(result.state)
            assert result.state in ("done", "unknown"), f"its answer was lost, and the write says {states}"
        assert states[-1] == "done", f"the write never came through: {states}"
        edit.advance(self.settle_seconds)
        key = (self.kind, (self.key_field,), [change.key])
        [record] = _reader(connector).fetch(*key, key_field=self.key_field)
        assert result.external_id == record.external_id, "it was called done without an answer"
        assert edit.count(self.kind, self.key_field, change.key) == 1

    def test_a_refused_call_is_not_called_done(self, connector: Any, edit: SystemDriver) -> None:
        writer = _writer(connector)
        writer.write([self._change(0)])
        _calls(edit).fail_next(503)
        try:
            [result] = writer.write([self._change(1)])
        except RetryLater:
            result = Written(self._change(1).key, "retry")
        done = edit.count(self.kind, self.key_field, result.key)
        assert (result.state == "done") == (done == 1), f"{result.state}, but {done} records are there"

    def test_a_busy_system_rejects_no_write(self, connector: Any, edit: SystemDriver) -> None:
        writer = _writer(connector)
        writer.write([self._change(0)])
        _calls(edit).fail_next(429)
        change = self._change(1)
        for _ in range(10):
            try:
                [result] = writer.write([change])
            except RetryLater:
                continue
            assert result.state in ("done", "retry", "unknown"), "a busy system was taken for a rejection"
            if result.state == "done":
                break
        assert edit.count(self.kind, self.key_field, change.key) == 1

    def test_a_broken_row_leaves_its_neighbours_alone(self, connector: Any, edit: SystemDriver) -> None:
        changes = [self._change(number) for number in range(5)]
        bad = changes[2]
        changes[2] = Change(bad.kind, bad.key_field, bad.key, {**bad.fields, **self.broken})
        results = _writer(connector).write(changes)
        assert [result.state for result in results] == ["done", "done", "rejected", "done", "done"]
        assert results[2].code and results[2].message, "a rejection needs the system's code and a message"
        assert edit.count(self.kind, self.key_field, bad.key) == 0

    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile_text_arrives_whole_or_is_rejected(self, connector: Any, edit: SystemDriver, name: str) -> None:
        text = HOSTILE[name]
        change = self._change(1, {self.text_field: text})
        before, result, after = _writer(connector).write([self._change(0), change, self._change(2)])
        assert (before.state, after.state) == ("done", "done"), "a hostile value stopped its neighbours"
        if result.state == "rejected":
            assert result.code and result.message
            assert len(text) < 10 or text not in result.message, "the message repeats the value"
            return
        assert result.state == "done"
        edit.advance(self.settle_seconds)
        reader = _reader(connector)
        [record] = reader.fetch(self.kind, (self.text_field,), [change.key], key_field=self.key_field)
        assert record.fields[self.text_field] in (text, text.replace("\x00", "")), "the value was changed on its way"

    @pytest.mark.parametrize("key", ["a/b.c?d=e&f#g", "it's", "50%20 off", "ключ ✓", "back\\slash"])
    def test_a_key_may_hold_any_sign(self, connector: Any, edit: SystemDriver, key: str) -> None:
        change = Change(self.kind, self.key_field, key, {self.text_field: "any sign"})
        writer = _writer(connector)
        results = [*writer.write([change]), *writer.write([change])]
        if any(result.state == "rejected" for result in results):
            assert all(result.code and result.message for result in results)
            assert edit.count(self.kind, self.key_field, key) == 0
            return
        assert [result.state for result in results] == ["done", "done"]
        assert edit.count(self.kind, self.key_field, key) == 1

    def test_none_clears_a_field(self, connector: Any, edit: SystemDriver) -> None:
        writer, reader = _writer(connector), _reader(connector)
        clearable = self.clearable_field or self.text_field
        writer.write([self._change(1, {clearable: "something"})])
        [result] = writer.write([Change(self.kind, self.key_field, self._change(1).key, {clearable: None})])
        if result.state == "rejected":
            assert result.code and result.message
            return
        edit.advance(self.settle_seconds)
        [record] = reader.fetch(self.kind, (clearable,), [self._change(1).key], key_field=self.key_field)
        assert record.fields[clearable] is None, "an empty field is there as None; one that is missing was not read"

    def test_an_update_by_id_never_creates(self, connector: Any, edit: SystemDriver) -> None:
        writer = _writer(connector)
        [made] = writer.write([self._change(1)])
        assert made.external_id is not None
        edit.delete(self.kind, made.external_id)
        [result] = writer.write([Change(self.kind, None, made.external_id, {self.text_field: "ghost"})])
        assert result.state == "rejected" and result.code
        assert edit.count(self.kind, self.text_field, "ghost") == 0

    def test_write_calls_tells_the_truth(self, connector: Any, edit: SystemDriver) -> None:
        writer = _writer(connector)
        writer.write([self._change(self.many + 1)])  # logged in
        for count in (1, 3, self.many):
            changes = [self._change(number) for number in range(count)]
            foretold, before = writer.write_calls(changes), _calls(edit).calls()
            writer.write(changes)
            assert _calls(edit).calls() - before == foretold, f"{count} changes"
        assert writer.write_calls([]) == 0

    # -- steps

    def _create_many(self, edit: SystemDriver, *, seconds_apart: float) -> list[str]:
        ids = []
        for number in range(self.many):
            ids.append(edit.create(self.kind, self.new_fields(number)))
            edit.advance(seconds_apart)
        return ids

    def _query(self) -> Query:
        return Query(self.kind, (self.key_field, self.text_field))

    def _change(self, number: int, fields: Mapping[str, Any] | None = None) -> Change:
        values = {**self.new_fields(number), **(fields or {})}
        return Change(self.kind, self.key_field, values.pop(self.key_field), values)

    def _read(self, connector: Any, since: Cursor | None = None) -> tuple[list[Record], Cursor]:
        """All records of one read, and the watermark, which only its last page has."""
        pages: list[Page] = list(_reader(connector).changes(self._query(), since=since))
        assert pages, "a read needs a last page, if only for its watermark"
        assert all(page.watermark is None for page in pages[:-1]), "a watermark came before the last page"
        assert pages[-1].watermark is not None, "the last page has no watermark"
        assert all(record.kind == self.kind for page in pages for record in page.records)
        return [record for page in pages for record in page.records], pages[-1].watermark


def _reader(connector: Any) -> Reader:
    return connector if isinstance(connector, Reader) else _skip(connector, "Reader")


def _writer(connector: Any) -> Writer:
    return connector if isinstance(connector, Writer) else _skip(connector, "Writer")


def _describer(connector: Any) -> Describer:
    return connector if isinstance(connector, Describer) else _skip(connector, "Describer")


def _calls(edit: SystemDriver) -> Calls:
    if not isinstance(edit, Calls):
        pytest.skip("the driver says that this system is not reached by calls")
    return edit


def _skip(connector: Any, capability: str) -> NoReturn:
    pytest.skip(f"{type(connector).__name__} is no {capability}")


def _latest(records: Iterable[Record]) -> dict[str, Record]:
    """What a caller holds after applying the records in order."""
    return {record.external_id: record for record in records}
