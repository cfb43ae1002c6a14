"""What the Tryton connector knows without a server: typed values, ids as ranges, notes, rates, what answers mean."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import ConnectorError, CursorExpired, NeedsOperator, RecordRejected, VersionConflict
from connectors.http import Answer, Done, Fail, Reauthenticate, Retry
from connectors.tryton import PLUGIN
from connectors.tryton.cursors import Ids, Window, window_of
from connectors.tryton.documents import notes_in, rate_of
from connectors.tryton.errors import Fault, decide, raise_for
from connectors.tryton.reader import own_filter
from connectors.tryton.values import plain, typed

ids = st.sets(st.integers(1, 300))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_an_amount_crosses_without_a_float(amount: Decimal) -> None:
    sent = typed({"amount": amount})
    assert sent["amount"]["__class__"] == "Decimal"
    assert Decimal(plain(json.loads(json.dumps(sent)))["amount"]) == amount


def test_dates_instants_and_related_records_become_plain() -> None:
    row = {
        "day": {"__class__": "date", "year": 2026, "month": 3, "day": 1},
        "at": typed(datetime(2026, 3, 1, 10, 0, 0, 5, tzinfo=UTC)),
        "party": 7, "party.": {"id": 7, "code": "C-7"},
        "lines": [1], "lines.": [{"id": 1, "product.": None}],
    }  # fmt: skip
    assert plain(row) == {
        "day": "2026-03-01", "at": "2026-03-01T10:00:00.000005Z", "party": {"id": 7, "code": "C-7"},
        "lines": [{"id": 1, "product": None}],
    }  # fmt: skip
    assert typed(date(2026, 3, 1)) == row["day"]


@given(ids, ids)
def test_ids_as_ranges_are_the_same_set(some: set[int], more: set[int]) -> None:
    kept = Ids.of(some)
    assert set(Ids.parsed(str(kept))) == some
    assert set(kept.also(more)) == some | more
    assert list(kept.without(Ids.of(more))) == sorted(some - more)
    assert str(kept.also(more)) == str(Ids.of(some | more))


def test_many_ids_are_a_short_text() -> None:
    assert str(Ids.of(range(1, 100_001))) == "1-100000"


@pytest.mark.parametrize(
    "cursor",
    ["", "3", "{}", '{"low": null, "high": "soon", "phase": "done"}', '{"low":null,"high":"2026-03-01","phase":"x"}'],
)
def test_a_foreign_cursor_asks_for_a_full_read(cursor: str) -> None:
    with pytest.raises(CursorExpired):
        window_of(cursor)


def test_a_cursor_is_read_back_as_it_was_written() -> None:
    window = Window(None, "2026-03-01T10:00:00.000000Z", "written", "2026-03-01T09:00:00.000001Z", 5, "1-4,7", None)
    assert window_of(window.cursor) == window


def test_notes_are_the_named_lines_of_a_comment() -> None:
    comment = (
        "Call on Monday\nPartner: P-1\r\nfield-technicians:  40 \nurl: https://x.example/a:b\npartner: P-2\nempty:\n"
    )
    assert notes_in(comment) == {"partner": "P-1", "field_technicians": "40", "url": "https://x.example/a:b"}
    assert notes_in(None) == {}


@pytest.mark.parametrize(
    ("formula", "rate"),
    [
        ("amount * 0.1", "0.1"), ("0.075*amount", "0.075"), ("amount * Decimal('0.125')", "0.125"), ("amount * .05", "0.05"),
        ("amount * 0.1 + 5", None), ("min(amount, 100)", None), ("amount", None),
    ],
)  # fmt: skip
def test_a_rate_is_read_from_a_plain_plan_only(formula: str, rate: str | None) -> None:
    line: dict[str, Any] = {"formula": formula, "product": None, "category": None}
    assert rate_of([line]) == rate
    assert rate_of([line, line]) is None
    assert rate_of([{**line, "product": 3}]) is None


def answer(body: Any, status: int = 200) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {}, content, "https://tryton.example/db/rpc/", "POST")


def failed(*error: Any) -> Answer:
    return answer({"id": 1, "error": list(error)})


@pytest.mark.parametrize(
    ("message", "raised", "code"),
    [
        ('A value is required for field "Name" in "Party".', RecordRejected, "REQUIRED"),
        ('The value "secret" for field "Amount" in record "secret" of "Commission" is not valid according to its domain.',
         RecordRejected, "INVALID_VALUE"),
        ('The value "a\nb" for field "Name" in record "a\nb" of "Party" contains some invalid chars "\'\\n\'".',
         RecordRejected, "INVALID_CHARACTERS"),
        ('You are trying to write to records "9" of "Party" that don\'t exist.', RecordRejected, "NOT_FOUND"),
        ('The code on party must be unique.', RecordRejected, "DUPLICATE_KEY"),
        ('You are not allowed to access "Company".', NeedsOperator, "NOT_ALLOWED"),
        ('You are not allowed to search on the "ir.note" resource.', NeedsOperator, "NOT_ALLOWED"),
        ('You are not allowed to modify the field "Date" in record "secret" of "Sale".', RecordRejected, "READ_ONLY"),
        ("secret", RecordRejected, "USER_ERROR"),
    ],
)  # fmt: skip
def test_an_error_says_what_to_do_next_and_repeats_no_value(
    message: str, raised: type[ConnectorError], code: str
) -> None:
    decision = decide(failed("UserError", [message, "", None]))
    assert isinstance(decision, Fail) and isinstance(decision.error, Fault)
    with pytest.raises(raised) as found:
        raise_for(decision.error, "model.party.party.write")
    assert found.value.code == code
    assert str(found.value).startswith("tryton: model.party.party.write: ")
    assert "secret" not in str(found.value)


def test_other_exceptions_of_the_application_are_told_apart() -> None:
    conflict = decide(failed("ConcurrencyException", "Records were modified in the meanwhile"))
    assert isinstance(conflict, Fail) and isinstance(conflict.error, Fault)
    with pytest.raises(VersionConflict):
        raise_for(conflict.error, "model.party.party.write")
    warning = decide(failed("UserWarning", ["invoice_similar.1", "This may be a duplicate of secret", ""]))
    assert isinstance(warning, Fail) and "confirm invoice_similar.1" in str(warning.error)
    assert "secret" not in str(warning.error)
    assert decide(failed("database is locked", "")) == Retry("DATABASE")
    assert decide(failed("RateLimitException", "")) == Retry("RATE_LIMIT", counts=False)
    broken = decide(failed("'no_such_field'", ""))
    assert isinstance(broken, Fail) and broken.error.code == "SERVER_ERROR"


@pytest.mark.parametrize(
    ("status", "decision"),
    [(401, Reauthenticate("HTTP 401")), (429, Retry("HTTP 429", counts=False)), (503, Retry("HTTP 503")), (504, Retry("HTTP 504"))],
)  # fmt: skip
def test_statuses_mean_what_they_say(status: int, decision: Any) -> None:
    assert decide(answer(b"", status)) == decision


def test_a_good_answer_is_not_parsed_to_be_judged() -> None:
    assert decide(answer(b'{"id":1,"result":[{"error":"in a value"}]}')) == Done()
    assert decide(answer(b'{"id":1,"result":{"broken')) == Done()


@pytest.mark.parametrize("where", ["type = out", "3", '{"type": "out"}'])
def test_a_filter_that_is_no_domain_is_refused(where: str) -> None:
    with pytest.raises(NeedsOperator, match="not a domain"):
        own_filter(where)


def test_settings_refuse_what_cannot_be_a_database() -> None:
    settings = {"url": "https://tryton.example", "database": "a/b", "user": "u", "password": "p"}
    with pytest.raises(ValueError, match="name of a database"):
        PLUGIN.config.model_validate(settings)
