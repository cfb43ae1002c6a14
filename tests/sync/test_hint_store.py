"""Hints in the store, on both databases: each record once, with its latest time, until it was followed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from connectors.base import Hint
from sync import hints
from sync.hint_tables import hint
from sync.store import Store

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def waiting(store: Store, connection: str = "crm") -> list[tuple[str, str, int]]:
    return [(one.kind, one.external_id, one.times) for one in hints.waiting(store, connection)]


def test_a_record_waits_once_with_the_latest_time_in_whatever_order_hints_come(store: Store) -> None:
    minutes = [5, 1, None, 9, 3]
    for later in minutes:
        at = None if later is None else NOW + timedelta(minutes=later)
        hints.keep(store, "crm", [Hint("deals", "1", at), Hint("deals", "1", at)], at=NOW)
    assert waiting(store) == [("deals", "1", 10)]
    with store.reading() as db:
        assert db.execute(select(hint.c.occurred_at)).scalar() == NOW + timedelta(minutes=9)


def test_what_arrives_again_while_it_is_followed_stays(store: Store) -> None:
    hints.keep(store, "crm", [Hint("deals", "1"), Hint("deals", "2")], at=NOW)
    taken = hints.waiting(store, "crm")
    hints.keep(store, "crm", [Hint("deals", "2")], at=NOW)
    hints.done(store, "crm", taken)
    assert waiting(store) == [("deals", "2", 2)]


def test_too_many_become_one_for_the_connection_and_leave_others_alone(store: Store) -> None:
    hints.keep(store, "erp", [Hint("invoice", "7")], at=NOW)
    hints.keep(store, "crm", [Hint("deals", str(number)) for number in range(11)], at=NOW, most=10)
    assert waiting(store) == [("", "", 1)] and waiting(store, "erp") == [("invoice", "7", 1)]


def test_a_hint_that_nobody_could_follow_is_let_go_after_a_day(store: Store) -> None:
    hints.keep(store, "crm", [Hint("deals", "1")], at=NOW)
    hints.keep(store, "crm", [Hint("deals", "2")], at=NOW + timedelta(hours=25))
    assert waiting(store) == [("deals", "2", 1)]
    assert hints.standing(store, "crm") == (1, NOW + timedelta(hours=25))


def test_the_place_in_a_stream_moves_with_its_hints(store: Store) -> None:
    assert hints.heard_until(store, "crm") is None
    hints.keep(store, "crm", [Hint("deals", "1")], at=NOW, cursor="17")
    hints.keep(store, "crm", [], at=NOW, cursor="18")
    assert hints.heard_until(store, "crm") == "18" and len(waiting(store)) == 1
