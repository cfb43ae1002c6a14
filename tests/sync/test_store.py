"""What a page leaves behind in the store, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from connectors.base import Page, Record
from sync.landing import Mapper, PageResult
from sync.mapping import Mapped, Reject
from sync.raw_rows import Lookups
from sync.schema import APPEND_ONLY
from sync.store import Store
from sync.tables import Instant, Minor, metadata, run

JAN = datetime(2026, 1, 1, tzinfo=UTC)
SEEN = datetime(2026, 6, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return JAN + timedelta(days=number)


def deal(
    number: int | str,
    *,
    modified: int = 0,
    version: str = "1",
    deleted: bool = False,
    **fields: Any,
) -> Record:
    values = {"Account": "A1", "Name": f"deal {number}", **fields}
    return Record(
        "Deal",
        str(number),
        version,
        values,
        deleted=deleted,
        created_at=day(0),
        modified_at=day(modified),
    )


def opportunities(records: Sequence[Record], _lookups: Lookups) -> list[Mapped]:
    """Each deal is an opportunity; one whose name is ``bad`` is refused, one whose name is ``none`` gives nothing."""
    answers = []
    for record in records:
        fields = record.fields
        if fields["Name"] == "bad":
            answers.append(Mapped(record.external_id, (), Reject("type", "Name", "bad", "a good name")))
        elif fields["Name"] == "none":
            answers.append(Mapped(record.external_id, ()))
        else:
            fact = {
                "type": "opportunity",
                "id": record.external_id,
                "account": fields["Account"],
                "name": fields["Name"],
            }
            answers.append(Mapped(record.external_id, (fact,)))
    return answers


def put(
    store: Store,
    *records: Record,
    seen_at: datetime = SEEN,
    last: bool = False,
    mapper: Mapper = opportunities,
) -> PageResult:
    page = Page(records, "cursor", "watermark" if last else None)
    return store.put_page(store.stream("crm", "Deal"), page, mapper, seen_at=seen_at, run_id=1)


def bodies(store: Store, **choice: Any) -> list[dict[str, Any]]:
    return list(store.facts(**choice))


def known(store: Store) -> list[str]:
    return [fact["known_at"][:10] for fact in store.facts()]


def test_page_gives_facts_and_moves_the_cursor(store: Store) -> None:
    assert put(store, deal(1), deal(2)) == PageResult(new=2, facts=2)
    assert bodies(store)[0] == {
        "type": "opportunity", "id": "1", "account": "A1", "name": "deal 1", "known_at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    stream = store.stream("crm", "Deal")
    assert (stream.cursor, stream.watermark, stream.since) == ("cursor", None, "cursor")


def test_watermark_moves_with_the_last_page_only(store: Store) -> None:
    put(store, deal(1))
    put(store, deal(2), last=True)
    stream = store.stream("crm", "Deal")
    assert (stream.cursor, stream.watermark, stream.since) == (
        None,
        "watermark",
        "watermark",
    )


def test_the_same_page_again_changes_nothing(store: Store) -> None:
    put(store, deal(1), deal(2))
    before = bodies(store)
    assert put(store, deal(1), deal(2)) == PageResult(unchanged=2)
    assert bodies(store) == before


def test_an_older_state_that_comes_late_is_counted_and_left_out(store: Store) -> None:
    put(store, deal(1, modified=5, Name="new"))
    assert put(store, deal(1, modified=4, Name="old")) == PageResult(stale=1)
    assert [fact["name"] for fact in bodies(store)] == ["new"]


def test_one_record_twice_in_a_page_is_taken_in_order(store: Store) -> None:
    put(store, deal(1, modified=1, Name="a"), deal(2), deal(1, modified=2, Name="b"))
    assert [version.fields["Name"] for version in store.trace("crm", "Deal", "1").versions] == ["a", "b"]
    assert [fact["name"] for fact in bodies(store) if fact["id"] == "1"] == ["a", "b"]


def test_a_change_that_no_fact_shows_keeps_the_raw_version_only(store: Store) -> None:
    put(store, deal(1))
    assert put(store, deal(1, modified=1, Other="x")) == PageResult(changed=1)
    trace = store.trace("crm", "Deal", "1")
    assert (len(trace.versions), len(trace.facts)) == (2, 1)


def test_deletion_withdraws_and_return_states_again(store: Store) -> None:
    put(store, deal(1))
    assert put(store, deal(1, modified=1, deleted=True)) == PageResult(deleted=1, facts=1)
    put(store, deal(1, modified=2))
    assert [fact.get("deleted", False) for fact in bodies(store)] == [
        False,
        True,
        False,
    ]
    assert [fact.seq for fact in store.trace("crm", "Deal", "1").facts] == [1, 2, 3]


def test_record_that_is_no_fact_any_more_withdraws_it(store: Store) -> None:
    put(store, deal(1))
    put(store, deal(1, modified=1, Name="none"))
    assert bodies(store)[-1] == {
        "type": "opportunity", "id": "1", "deleted": True, "known_at": "2026-01-02T00:00:00+00:00",
    }  # fmt: skip


def test_a_fact_taken_over_by_another_record_is_not_withdrawn_by_the_first(
    store: Store,
) -> None:
    def one_fact(records: Sequence[Record], _lookups: Lookups) -> list[Mapped]:
        return [
            Mapped(
                r.external_id,
                ({"type": "account", "id": "same", "name": r.fields["Name"]},),
            )
            for r in records
        ]

    put(store, deal(1), mapper=one_fact)
    put(store, deal(2), mapper=one_fact)
    put(store, deal(1, modified=1, deleted=True), mapper=one_fact)
    assert [fact.get("name") for fact in bodies(store)] == ["deal 1", "deal 2"]


def test_merge_leads_from_loser_to_winner(store: Store) -> None:
    gone = Record("Deal", "1", "2", {}, deleted=True, merged_into="2", modified_at=day(1))
    put(store, deal(1), deal(2), gone)
    assert store.redirects("crm", "Deal") == {"1": "2"}


def test_known_at_is_the_records_own_while_the_first_read_lasts(store: Store) -> None:
    put(store, deal(1, modified=3))
    put(store, deal(1, modified=4, Name="b"), last=True)
    store.set_stream(store.stream("crm", "Deal"), complete=True)
    put(store, deal(1, modified=5, Name="c"), seen_at=day(40))
    put(store, deal(2, modified=5), seen_at=day(41))
    assert known(store) == ["2026-01-01", "2026-01-05", "2026-02-10", "2026-02-11"]


def test_known_at_never_goes_back_nor_ahead_of_reading(store: Store) -> None:
    put(
        store,
        Record("Deal", "1", "1", deal(1).fields, created_at=day(9)),
        seen_at=day(5),
    )
    put(store, deal(1, modified=2, Name="b"), seen_at=day(6))
    assert known(store) == ["2026-01-06", "2026-01-06"]


def test_refused_record_is_kept_with_its_reason_and_released_when_it_maps(
    store: Store,
) -> None:
    assert put(store, deal(1), deal(2, Name="bad"), deal(3)) == PageResult(new=3, quarantined=1, facts=2)
    (held,) = store.quarantine("crm")
    assert (held.external_id, held.field, held.found, held.allowed, held.attempts) == (
        "2",
        "Name",
        "bad",
        "a good name",
        1,
    )
    put(store, deal(2, modified=1))
    assert store.quarantine("crm") == []
    assert [h.state for h in store.quarantine("crm", state="released")] == ["released"]
    assert {fact["id"] for fact in store.facts()} == {"1", "2", "3"}


def test_refused_version_leaves_the_good_one_before_it(store: Store) -> None:
    put(store, deal(1))
    put(store, deal(1, modified=1, Name="bad"))
    assert [fact["name"] for fact in bodies(store)] == ["deal 1"]
    assert store.trace("crm", "Deal", "1").quarantine is not None


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        2**80,
        "x" * 2_000_000,
        "\ud800",
        "a\0b",
        "\u202eevil",
        [[[]]],
        {"a": {"b": 1}},
        Decimal("1.10"),
        True,
    ],
    ids=lambda value: repr(value)[:12],
)
def test_any_value_is_kept_and_never_stops_its_neighbours(store: Store, value: Any) -> None:
    put(
        store,
        deal(1),
        deal(2, Odd=value, Name=value if isinstance(value, str) else "fine"),
        deal(3),
    )
    assert {"1", "3"} <= {fact["id"] for fact in store.facts()}
    assert len(store.trace("crm", "Deal", "2").versions) == 1
    landed, held = len(bodies(store)), len(store.quarantine("crm"))
    assert landed + held == 3


def test_ids_that_a_database_cannot_hold_are_escaped(store: Store) -> None:
    put(store, deal("a\0b"), deal("c\ud800"), deal(1))
    assert {fact["id"] for fact in store.facts()} == {"1"}
    assert len(store.quarantine("crm")) == 2
    assert len(store.trace("crm", "Deal", "a\0b").versions) == 1


def test_one_in_a_hundred_poisoned_leaves_ninety_nine(store: Store) -> None:
    records = [deal(n, Name="bad" if n % 100 == 0 else f"deal {n}") for n in range(2000)]
    assert put(store, *records) == PageResult(new=2000, quarantined=20, facts=1980)


def test_mapping_that_answers_too_little_lands_nothing(store: Store) -> None:
    with pytest.raises(Exception, match="fewer answers"):
        put(
            store,
            deal(1),
            deal(2),
            mapper=lambda records, _: opportunities(records[:1], _),
        )
    assert bodies(store) == []
    assert store.stream("crm", "Deal").cursor is None


def test_answers_may_be_given_as_a_list(store: Store) -> None:
    records = (deal(1), deal(2))
    stream = store.stream("crm", "Deal")
    for _ in range(2):
        store.put_page(
            stream,
            Page(records, "c"),
            opportunities(records, store.lookups("crm")),
            seen_at=SEEN,
            run_id=1,
        )
    assert len(bodies(store)) == 2


def test_look_ups_give_the_last_fields_of_live_records(store: Store) -> None:
    put(store, deal(1), Record("Deal", "1", "2", {}, deleted=True, modified_at=day(1)))
    found = store.lookups("crm").get("Deal", "1")
    assert found is not None and found["Name"] == "deal 1"
    assert store.lookups("crm").get("Deal", "2") is None
    assert store.lookups("other").get("Deal", "1") is None


def test_facts_of_some_accounts_bring_what_hangs_on_them_and_what_belongs_to_none(
    store: Store,
) -> None:
    store.put_facts(
        [
            {"type": "partner", "id": "P", "name": "p"},
            {"type": "account", "id": "A", "name": "a"},
            {"type": "invoice", "id": "I", "account": "A"},
            {"type": "payment", "id": "Y", "invoice": "I"},
            {"type": "account", "id": "B", "name": "b"},
            {"type": "invoice", "id": "J", "account": "B"},
            {"type": "payment", "id": "Z", "invoice": "J"},
        ],
        known_at=JAN,
        run_id=1,
    )
    assert [fact["id"] for fact in store.facts(account_ids=["A"])] == [
        "P",
        "A",
        "I",
        "Y",
    ]
    assert [fact["id"] for fact in store.facts(types=["payment"], account_ids=["B"])] == ["Z"]
    last = store.changed_accounts(0).last
    store.put_facts([{"type": "invoice", "id": "J", "account": "A"}], known_at=JAN, run_id=1)
    assert store.changed_accounts(last).accounts == {"A", "B"}, "an invoice that moved concerns both accounts"
    assert {"J", "Z"} <= {fact["id"] for fact in store.facts(account_ids=["A"])}
    last = store.changed_accounts(0).last
    store.put_facts(
        [
            {"type": "refund", "id": "R", "invoice": "I"},
            {"type": "partner", "id": "P", "name": "q"},
        ],
        known_at=JAN,
        run_id=1,
    )
    changed = store.changed_accounts(last)
    assert (changed.accounts, changed.unscoped) == ({"A"}, {"partner"})


def test_stated_fact_that_says_the_same_is_no_new_version(store: Store) -> None:
    partner = {"type": "partner", "id": "P", "name": "p"}
    assert store.put_facts([partner], known_at=JAN, run_id=1) == 1
    assert store.put_facts([dict(reversed(partner.items()))], known_at=SEEN, run_id=2) == 0


@pytest.mark.parametrize(("name", "verb"), [(name, verb) for name, verbs in APPEND_ONLY.items() for verb in verbs])
def test_the_database_refuses_to_change_what_was_said(store: Store, name: str, verb: str) -> None:
    statement = {"DELETE": "DELETE FROM {name}", "UPDATE": "UPDATE {name} SET {column} = {column}"}[verb]
    table = metadata.tables[name]
    values = {
        c.name: JAN
        if isinstance(c.type, Instant)
        else b"x"
        if c.type.python_type is bytes
        else 1
        if c.type.python_type is not str
        else "x"
        for c in table.c
    }
    with store.transaction() as connection:
        connection.execute(insert(table).values(**values))
    with (
        pytest.raises(Exception, match="append-only"),
        store.transaction() as connection,
    ):
        connection.execute(text(statement.format(name=name, column=table.c[1].name)))


def test_money_is_never_rounded(store: Store) -> None:
    from sqlalchemy import literal

    with store.reading() as connection:
        for amount in (0, -1, 2**63 - 1, Decimal("9007199254740993.00")):
            assert connection.execute(select(literal(amount, Minor()))).scalar_one() == int(amount)
        for wrong in (1.0, Decimal("0.5"), True, 2**63, Decimal("NaN")):
            with pytest.raises(Exception, match="minor units"):
                connection.execute(select(literal(wrong, Minor())))


def test_instants_keep_their_microseconds_and_refuse_to_be_naive(store: Store) -> None:
    exact = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    run_id = store.start_run("pull", "crm", at=exact)
    assert store.runs()[0].started_at == exact
    with pytest.raises(Exception, match="time zone"), store.transaction() as connection:
        connection.execute(run.update().where(run.c.id == run_id).values(ended_at=exact.replace(tzinfo=None)))


def test_runs_are_listed_newest_first(store: Store) -> None:
    first = store.start_run("pull", "crm", at=JAN)
    second = store.start_run("settle", None, at=JAN)
    store.finish_run(first, "partial", {"Deal": {"new": 1}}, at=SEEN, note="one record was refused")
    assert [found.id for found in store.runs()] == [second, first]
    (found,) = store.runs("pull", "crm")
    assert (found.state, found.counts, found.ended_at) == (
        "partial",
        {"Deal": {"new": 1}},
        SEEN,
    )
