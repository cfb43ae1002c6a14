"""The reference connector passes the acceptance suite, and the suite notices what is wrong with others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from connectors.base import Description, Field, Page, Query
from connectors.conformance import ConnectorConformance
from connectors.errors import ConnectorError, CursorExpired
from connectors.memory import PLUGIN, MemoryConfig, MemoryConnector, MemorySystem

FIELDS = {
    "sync_key": Field("sync_key", "Sync key", "string", unique=True, external_id=True),
    "name": Field("name", "Name", "string", length=255),
    "amount": Field("amount", "Amount", "money"),
}
ACCOUNT = Description("account", "Account", FIELDS)


class MemoryDriver:
    """Edits a memory system as a person would."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 9, 0, 0, 250_000, tzinfo=UTC)
        self.system = MemorySystem({"account": ACCOUNT}, lambda: self.moment)

    def create(self, kind: str, fields: Mapping[str, Any]) -> str:
        return self.system.create(kind, fields)

    def create_late(self, kind: str, fields: Mapping[str, Any], seconds: float) -> str:
        return self.system.create(kind, fields, commit_seconds=seconds)

    def update(self, kind: str, external_id: str, fields: Mapping[str, Any]) -> None:
        self.system.update(kind, external_id, fields)

    def delete(self, kind: str, external_id: str) -> None:
        self.system.delete(kind, external_id)

    def merge(self, kind: str, loser: str, winner: str) -> None:
        self.system.merge(kind, loser, winner)

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    def count(self, kind: str, field: str, value: str) -> int:
        return sum(row.fields.get(field) == value for row in self.system.rows(kind) if not row.deleted)

    def calls(self) -> int:
        return self.system.calls

    def lose_next_answer(self) -> None:
        self.system.lost_answers = 1

    def fail_next(self, status: int) -> None:
        self.system.failures.append(status)


class TestMemory(ConnectorConformance):
    plugin = PLUGIN
    kind, key_field, text_field = "account", "sync_key", "name"

    @pytest.fixture
    def edit(self) -> MemoryDriver:
        return MemoryDriver()

    @pytest.fixture
    def connector(self, edit: MemoryDriver) -> Any:
        return MemoryConnector(MemoryConfig(page_size=10), edit.system)


class OnlyReads:
    """A connector with a single capability."""

    def __init__(self, inner: MemoryConnector) -> None:
        self.changes = inner.changes
        self.fetch = inner.fetch


class TestReaderOnly(TestMemory):
    """What a connector cannot do is skipped; what it can do is tested all the same."""

    @pytest.fixture
    def connector(self, edit: MemoryDriver) -> Any:
        return OnlyReads(MemoryConnector(MemoryConfig(page_size=10), edit.system))


SUITE = TestMemory()


class SkipsTies(MemoryConnector):
    """Resumes with `stamp > last`, the classic mistake."""

    def changes(self, query: Query, *, since: str | None) -> Iterator[Page]:
        last = None
        for page in super().changes(query, since=since):
            kept = tuple(record for record in page.records if last is None or record.modified_at != last)
            last = page.records[-1].modified_at if page.records else last
            yield Page(kept, page.cursor, page.watermark)


class ForgetsDeletes(MemoryConnector):
    def changes(self, query: Query, *, since: str | None) -> Iterator[Page]:
        for page in super().changes(query, since=since):
            yield Page(tuple(r for r in page.records if not r.deleted), page.cursor, page.watermark)


class CreatesAgain(MemoryConnector):
    """Inserts instead of upserting."""

    def write(self, changes: Any) -> Any:
        for change in changes:
            self.system.create(change.kind, {**change.fields, change.key_field: change.key})
        return super().write(changes)


class RejectsWhenBusy(MemoryConnector):
    """Takes a busy system for a refusal."""

    def write(self, changes: Any) -> Any:
        results = super().write(changes)
        return [replace(one, state="rejected", code="429") if one.state == "retry" else one for one in results]


class AsksAtOnce(MemoryConnector):
    """Logs in before anybody has asked for anything."""

    def __init__(self, config: MemoryConfig, system: MemorySystem) -> None:
        super().__init__(config, system)
        system.call()


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (SkipsTies, SUITE.test_many_changes_at_one_stamp_are_all_read),
        (ForgetsDeletes, SUITE.test_deleted_records_come_as_deleted),
        (ForgetsDeletes, SUITE.test_merged_records_say_into_which),
        (CreatesAgain, SUITE.test_an_upsert_repeated_makes_one_record),
        (RejectsWhenBusy, SUITE.test_a_busy_system_rejects_no_write),
        (AsksAtOnce, SUITE.test_connecting_makes_no_call),
        (CreatesAgain, SUITE.test_a_lost_answer_makes_no_second_record),
    ],
)
def test_the_suite_notices_a_broken_connector(broken: type[MemoryConnector], test: Any) -> None:
    driver = MemoryDriver()
    with pytest.raises((AssertionError, KeyError)):
        test(broken(MemoryConfig(page_size=10), driver.system), driver)


def test_text_that_is_changed_on_its_way_is_noticed() -> None:
    class Strips(MemoryConnector):
        def changes(self, query: Query, *, since: str | None) -> Iterator[Page]:
            for page in super().changes(query, since=since):
                plain = [
                    msgspec.structs.replace(
                        r, fields={**r.fields, "name": r.fields["name"].encode("ascii", "ignore").decode()}
                    )
                    for r in page.records
                ]
                yield Page(tuple(plain), page.cursor, page.watermark)

    driver = MemoryDriver()
    with pytest.raises(AssertionError):
        SUITE.test_hostile_text_of_a_person_is_read_as_it_is(Strips(MemoryConfig(), driver.system), driver, "unicode")


def test_settings_that_show_a_secret_or_take_a_misspelled_key_are_noticed() -> None:
    class Shows(MemoryConfig):
        api_token: str = ""

    class Takes(BaseModel):
        name: str = ""

    for config in (Shows, Takes):
        suite = TestMemory()
        suite.plugin = replace(PLUGIN, config=config)  # type: ignore[misc]
        with pytest.raises(AssertionError):
            suite.test_the_settings_refuse_what_they_do_not_know_and_hide_secrets()


def test_an_overlap_shorter_than_commits_take_is_noticed() -> None:
    driver = MemoryDriver()
    with pytest.raises(AssertionError):
        SUITE.test_a_late_commit_is_not_lost(MemoryConnector(MemoryConfig(overlap_seconds=5), driver.system), driver)


def test_a_filter_reads_only_what_it_lets_through() -> None:
    driver = MemoryDriver()
    for name in ("kept", "left", "kept"):
        driver.create("account", {"name": name})
    connector = MemoryConnector(MemoryConfig(), driver.system)
    [page] = connector.changes(Query("account", ("name",), where="name=kept"), since=None)
    assert [record.fields for record in page.records] == [{"name": "kept"}, {"name": "kept"}]


def test_wrong_names_are_named() -> None:
    connector = MemoryConnector(MemoryConfig(), MemoryDriver().system)
    with pytest.raises(ConnectorError, match="account has no field nmae"):
        list(connector.changes(Query("account", ("nmae",)), since=None))
    with pytest.raises(ConnectorError, match="there is no object acount; there are account"):
        list(connector.changes(Query("acount", ()), since=None))
    with pytest.raises(CursorExpired):
        list(connector.changes(Query("account", ()), since='{"at": 3}'))


def test_an_empty_system_can_be_made_from_settings() -> None:
    config = MemoryConfig(objects={"deal": {"name": "string", "amount": "money"}})
    connector = PLUGIN.connect(
        config, budget=None, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), sleep=lambda seconds: None
    )
    assert connector.kinds() == ["deal"]
    description = connector.describe("deal")
    assert description is not None and description.fields["amount"].type == "money"
