"""Versions of a mapping, and what another one would make of stored records, on both databases; nothing is written by looking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import DatabaseError

from connectors.base import FAULT, Page, Record
from sync import mapping_versions
from sync.mapping import Mapping, load_mapping
from sync.mapping_tables import mapping_version
from sync.replay import Replayed, lacking, replay
from sync.runs import named
from sync.store import Store

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
TEXT = """
system: acme
objects:
  - object: company
    record: account
    fields: {name: Name, country: Country}
"""


def mapping(text: str = TEXT) -> Mapping:
    return load_mapping("mapping.yaml", text)


def company(number: int, **fields: Any) -> Record:
    return Record("company", f"C{number}", "1", {"Name": f"Company {number}", "Country": "AU", **fields})


def pulled(store: Store, records: list[Record], by: Mapping, at: datetime) -> int:
    """A run that reads these records."""
    run = store.start_run("pull", "crm", at=at)
    with store.transaction() as db:
        mapping_versions.use(db, "crm", by, run, at)
    page = Page(tuple(records), "1", "1")
    store.put_page(store.stream("crm", "company"), page, by.objects[0].facts, seen_at=at, run_id=run)
    store.finish_run(run, "ok", {}, at=at)
    return run


def replayed(store: Store, by: Mapping, run: int | None = None) -> Replayed:
    stream = store.stream("crm", "company")
    with store.reading() as db:
        return replay(db, stream, by.objects[0], run)


def test_each_version_is_kept_once_with_the_runs_that_used_it(store: Store) -> None:
    first, second = mapping(), mapping(TEXT.replace("Country}", "Nation}"))
    same = mapping("# with a comment\n" + TEXT)
    runs = [pulled(store, [], one, NOW + timedelta(hours=hour)) for hour, one in enumerate((first, second, same))]
    with store.reading() as db:
        found = mapping_versions.versions(db, "crm")
        assert [(one.hash, one.runs, one.text) for one in found] == [
            (first.hash, 2, TEXT), (second.hash, 1, second.text),
        ]  # fmt: skip
        assert (found[0].first_used_at, found[0].last_used_at) == (NOW, NOW + timedelta(hours=2))
        assert mapping_versions.hashes_of(db, "crm") == dict(
            zip(runs, (first.hash, second.hash, first.hash), strict=True)
        )
        assert mapping_versions.versions(db, "erp") == []
        assert list(named(db, [*runs, 99])) == runs
    with pytest.raises(DatabaseError, match="append-only"), store.transaction() as db:
        db.execute(mapping_version.update().values(text="another"))


def test_differences_are_told_by_what_becomes_of_each_record(store: Store) -> None:
    broken = company(3, **{FAULT: {"field": "Name (list:3)", "found": "nothing", "allowed": "a name"}})
    pulled(
        store,
        [company(1), company(2, Country=None), broken, company(4), replace(company(5), deleted=True)],
        mapping(),
        NOW,
    )
    before = list(store.fact_lines())
    assert replayed(store, mapping()).counts == {}

    changed = replayed(store, mapping(TEXT.replace("country: Country", "country: {field: Country, transform: lower}")))
    assert [(one.external_id, one.fields) for one in changed.differences] == [
        ("C1", (("country", "AU", "au"),)), ("C4", (("country", "AU", "au"),)),
    ]  # fmt: skip
    refused = replayed(store, mapping(TEXT.replace("country: Country", "country: {field: Country, required: true}")))
    assert [(one.external_id, one.became, one.reject and one.reject.field) for one in refused.differences] == [
        ("C2", "refused", "country")
    ]
    withdrawn = replayed(store, mapping(TEXT + "    when: {field: Country, is: AU}\n"))
    assert [(one.external_id, one.became, one.fact) for one in withdrawn.differences] == [
        ("C2", "withdrawn", ("account", "C2"))
    ]
    renamed = replayed(store, mapping(TEXT + '    id: "x-{Name}"\n'))
    assert renamed.counts == {"new": 3, "withdrawn": 3}
    assert (renamed.records, renamed.same) == (4, 1)
    assert list(store.fact_lines()) == before


def test_a_record_that_was_refused_and_would_be_taken_is_told(store: Store) -> None:
    strict = mapping(TEXT.replace("country: Country", "country: {field: Country, required: true}"))
    pulled(store, [company(1, Country=None)], strict, NOW)
    assert replayed(store, strict).counts == {}
    assert replayed(store, mapping()).counts == {"new": 1, "taken": 1}


def test_a_run_is_compared_with_what_it_made_whatever_came_later(store: Store) -> None:
    first = pulled(store, [company(1)], mapping(), NOW)
    second = pulled(store, [company(1, Name="Another")], mapping(), NOW + timedelta(days=1))
    upper = mapping(TEXT.replace("name: Name", "name: {field: Name, transform: upper}"))
    for run, name in ((first, "Company 1"), (second, "Another")):
        assert replayed(store, mapping(), run).counts == {}
        (one,) = replayed(store, upper, run).differences
        assert one.fields == (("name", name, name.upper()),)


def test_fields_of_related_objects_are_held_flat_or_inside() -> None:
    assert lacking(["Owner.Name", "Name", "X"], {"owner.name", "NAME"}) == ("X",)
    assert lacking(["Owner.Name"], {"Owner"}) == ()
