"""Facts that stand beside accounts are found without reading the others, all of their versions, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rules.facts import Facts
from rules.records import RECORDS
from sync.book import Book
from sync.record_shapes import shapes_of
from sync.store import Store

AT = datetime(2026, 3, 2, tzinfo=UTC)
BESIDE = ("application", "shared_lead", "enrollment", "partner", "decision")


@pytest.mark.parametrize("kind", BESIDE)
def test_these_types_lead_to_no_account(kind: str) -> None:
    assert kind in RECORDS and not {"account", "invoice", "referral"} & set(shapes_of(kind))


def test_every_version_of_them_is_found_and_nothing_else(store: Store) -> None:
    enrollment: dict[str, Any] = {
        "type": "enrollment", "id": "E1", "partner": "P1", "program": "next-technik", "starts_on": "2026-01-01",
    }  # fmt: skip
    decision = {"type": "decision", "id": "D1", "about": "A1", "at": "2026-03-01T00:00:00Z", "by": "Mara Lind", "choice": "award",
                "reason": "first", "partner": "P1"}  # fmt: skip
    store.put_facts(
        [
            {"type": "partner", "id": "P1", "name": "p"},
            {"type": "account", "id": "A1", "name": "a"},
            enrollment,
            decision,
        ],
        known_at=AT,
        run_id=1,
    )
    later = AT + timedelta(days=1)
    store.put_facts([{**enrollment, "tier": "gold"}], known_at=later, run_id=2)
    with store.reading() as db:
        book = Book(db, "next-technik")
        found, enrollments = versions(book.program_facts()), versions(book.enrollment_facts())
    assert found == {
        ("partner", "P1", AT), ("enrollment", "E1", AT), ("enrollment", "E1", later), ("decision", "D1", AT),
    }  # fmt: skip
    assert enrollments == {("enrollment", "E1", AT), ("enrollment", "E1", later)}


def versions(facts: Facts) -> set[tuple[str, str, datetime]]:
    return {
        (kind, name, version.known_at) for kind in RECORDS for name, some in facts.of(kind).items() for version in some
    }
