"""Named transforms at their edges: what they make, and what they refuse in words."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.salesforce.ids import full_id
from sync import transforms
from sync.moments import date_reader, instant_reader, iso, parser_of
from sync.refusal import Refused

SYDNEY = ZoneInfo("Australia/Sydney")
CHICAGO = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("name", "raw", "made"),
    [
        ("text", "  Acme ", "Acme"),
        ("text", 7, "7"),
        ("text", True, "true"),
        ("text", Decimal("1E+3"), "1000"),
        ("lower", "ÄB", "äb"),
        ("upper", " ab ", "AB"),
        ("url", "Example.COM", "https://example.com"),
        ("url", "HTTP://www.Example.com/A?b=C", "http://www.example.com/A?b=C"),
        ("domain", "https://www.Example.co.uk/path", "example.co.uk"),
        ("domain", "someone@Example.com", "example.com"),
        ("email", "Jo.Doe@Example.COM", "Jo.Doe@example.com"),
        ("decimal", "1500.00", "1500.00"),
        ("decimal", "1.5E7", "15000000"),
        ("decimal", "-0.00", "0.00"),
        ("decimal", Decimal("12.50"), "12.50"),
        ("decimal", -3, "-3"),
        ("decimal", ".5", "0.5"),
        ("decimal", "007", "7"),
        ("money", "12.5000", "12.50"),
        ("money", "12.345600", "12.3456"),
        ("money", "1500", "1500"),
        ("percent", "12", "0.12"),
        ("percent", "12.5 %", "0.125"),
        ("percent", Decimal(100), "1"),
        ("percent", "123456789012345678901234567.89", "1234567890123456789012345.6789"),
        ("as_percent", "0.125", "12.5"),
        ("as_percent", "1", "100"),
        ("negate", "-120.50", "120.50"),
        ("negate", "0.00", "0.00"),
        ("absolute", Decimal("-3.10"), "3.10"),
        ("integer", "12", 12),
        ("integer", 12.0, 12),
        ("integer", "12.00", 12),
        ("integer", Decimal(-4), -4),
        ("boolean", "T", True),
        ("boolean", "f", False),
        ("boolean", 0, False),
        ("boolean", "YES", True),
        ("currency", "aud", "AUD"),
        ("list", "a; b;;c ", ["a", "b", "c"]),
        ("list", ["a", None, 2], ["a", "2"]),
        ("json", '{"a": [1, 2.50, null]}', {"a": [1, "2.50", None]}),
        ("key80", "next-technik:R1:commission", "next-technik:R1:commission"),
        ("id18", " 001Hs00000aBcDe ", "001Hs00000aBcDeIAK"),
        ("id18", "001Hs00000aBcDeIAK", "001Hs00000aBcDeIAK"),
        ("id18", "001hs00000abcdeiak", "001Hs00000aBcDeIAK"),
        ("id18", "001HS00000ABCDEIAK", "001Hs00000aBcDeIAK"),
    ],
)
def test_makes(name: str, raw: Any, made: Any) -> None:
    found = transforms.TRANSFORMS[name].build(None, None, iso)(raw)
    assert found == made
    assert type(found) is type(made)


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("text", 1.5, "whole number"),
        ("text", {"a": 1}, "single value"),
        ("url", "javascript:alert(1)", "web address"),
        ("url", "ftp://example.com", "web address"),
        ("url", "not a site", "web address"),
        ("domain", "localhost", "domain"),
        ("email", "Jo <jo@example.com>", "one e-mail"),
        ("email", "a@b.com; c@d.com", "one e-mail"),
        ("decimal", 0.1, "binary float"),
        ("decimal", "1,500.00", "thousands"),
        ("decimal", "$5", "no currency"),
        ("decimal", "NaN", "number"),
        ("decimal", Decimal("sNaN"), "digits"),
        ("decimal", "١٢", "number"),
        ("decimal", "1e99", "digits"),
        ("decimal", True, "number"),
        ("decimal", 10**4000, "digits"),
        ("integer", 12.5, "whole number"),
        ("integer", float("inf"), "whole number"),
        ("integer", Decimal("sNaN"), "whole number"),
        ("integer", True, "whole number"),
        ("integer", 10**19, "18 digits"),
        ("boolean", "maybe", "yes/no"),
        ("boolean", 2, "yes/no"),
        ("currency", "DOLLARS", "ISO 4217"),
        ("id18", "001Hs00000aBcDeIAA", "fit the others"),
        ("id18", "001Hs00000abcdeIAK", "fit the others"),
        ("id18", "001hs00000abcdei9k", "fit the others"),
        ("id18", "001Hs00000aBcD", "15 or 18"),
        ("id18", "001Hs00000aBcD-IAK", "15 or 18"),
        ("json", "{", "JSON"),
        ("json", "NaN", "JSON"),
        ("json", "[" * 100_000, "JSON"),
        ("date", "31/12/2026", "`format`"),
        ("date", "2026-02-30", "exists"),
        ("date", "2026-W01-1", "such as"),
        ("date", "2026-03-01T10:00:00Z", "`zone`"),
        ("instant", "2026-03-01 10:00:00", "`zone`"),
        ("instant", 1700000000, "text"),
    ],
)
def test_refuses_in_words(name: str, raw: Any, says: str) -> None:
    with pytest.raises(Refused) as error:
        transforms.TRANSFORMS[name].build(None, None, iso)(raw)
    assert says in error.value.allowed
    assert len(error.value.found) <= 40


def test_arguments() -> None:
    assert transforms.truncate(5)("abcdefgh") == "abcd…"
    assert transforms.truncate(5)("abcde") == "abcde"
    assert transforms.split(",")("a, b") == ["a", "b"]
    assert transforms.join("; ")(["NT-1", "NT-2"]) == "NT-1; NT-2"
    assert transforms.replace({"-": "", "  ": " "})("12-34  5") == "1234 5"


@given(st.text(min_size=1).filter(lambda text: text.strip() != ""), st.text(min_size=1))
def test_key80_is_short_and_keeps_different_keys_apart(one: str, other: str) -> None:
    first, second = transforms.key80(one * 30), transforms.key80(one * 30 + "x" + other.strip())
    assert first is not None and second is not None
    assert len(first) <= 80 and len(second) <= 80
    assert first == transforms.key80(one * 30)
    assert first != second


@pytest.mark.parametrize(
    ("zone", "written", "instant"),
    [
        (None, "2026-03-01T10:00:00.000+0000", "2026-03-01T10:00:00Z"),
        (None, "2026-03-01T10:00:00.120+05:30", "2026-03-01T04:30:00.12Z"),
        (None, "2026-03-01T10:00Z", "2026-03-01T10:00:00Z"),
        (SYDNEY, "2026-01-15 09:30:00", "2026-01-14T22:30:00Z"),
        (SYDNEY, "2026-06-15 09:30:00", "2026-06-14T23:30:00Z"),
        # Repeated by the end of daylight saving: the first occurrence is meant.
        (SYDNEY, "2026-04-05 02:30:00", "2026-04-04T15:30:00Z"),
        (CHICAGO, "2026-11-01 01:30:00", "2026-11-01T06:30:00Z"),
        # A date alone is its first instant, also where midnight itself is skipped.
        (SYDNEY, "2026-03-01", "2026-02-28T13:00:00Z"),
        (ZoneInfo("America/Santiago"), "2026-09-06", "2026-09-06T04:00:00Z"),
    ],
)
def test_instants_are_utc(zone: ZoneInfo | None, written: str, instant: str) -> None:
    assert instant_reader(zone)(written) == instant


def test_a_local_time_that_the_clock_skips_is_refused() -> None:
    with pytest.raises(Refused, match="exists in America/Chicago"):
        instant_reader(CHICAGO)("2026-03-08 02:30:00")


@pytest.mark.parametrize(
    "written", ["0001-01-01", "1899-12-31", date(1899, 12, 30), "0001-01-01T00:00:00Z", "1899-12-31T23:59:59.5Z"]
)
def test_dates_that_no_record_may_have_are_refused(written: object) -> None:
    """Other systems write such dates for "none"; a record that had one could be stored and never be settled."""
    for read in (date_reader(ZoneInfo("UTC")), instant_reader(ZoneInfo("UTC"))):
        with pytest.raises(Refused) as refused:
            read(written)
        assert refused.value.allowed == "a date from 1900 on"


def test_dates_of_instants_are_local_dates() -> None:
    assert date_reader(SYDNEY)("2026-03-31T13:30:00Z") == "2026-04-01"
    assert date_reader(SYDNEY)(datetime(2026, 3, 31, 12, 30, tzinfo=UTC)) == "2026-03-31"
    assert date_reader()("2026-03-31 23:59:59") == "2026-03-31"
    assert date_reader()(date(2026, 3, 31)) == "2026-03-31"


@pytest.mark.parametrize(
    ("form", "written", "made"),
    [
        ("M/D/YYYY", "3/1/2026", "2026-03-01"),
        ("D/M/YYYY", "3/1/2026", "2026-01-03"),
        ("DD.MM.YYYY", "03.01.2026", "2026-01-03"),
        ("DD-MON-YYYY", "03-Jan-2026", "2026-01-03"),
        ("M/D/YYYY HH12:MI AM", "3/1/2026 12:05 am", "2026-03-01"),
        ("epoch_ms", 1772323200000, "2026-03-01"),
    ],
)
def test_formats(form: str, written: Any, made: str) -> None:
    assert date_reader(ZoneInfo("UTC"), parser_of(form))(written) == made


@pytest.mark.parametrize("form", ["YYYY", "yyyy-mm-dd", "M/D/YY", "HH12:MI D/M/YYYY", "M/M/YYYY/D", ""])
def test_a_format_that_says_too_little_is_refused(form: str) -> None:
    with pytest.raises(ValueError):
        parser_of(form)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals() | st.dates() | st.datetimes()
    | st.sampled_from(["2026-03-01T10:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31 23:59:59", "T", "1e9", "-"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(JUNK, st.sampled_from(sorted(transforms.TRANSFORMS)), st.sampled_from([None, SYDNEY]))
def test_any_value_is_taken_or_refused(raw: Any, name: str, zone: ZoneInfo | None) -> None:
    transform = transforms.TRANSFORMS[name]
    argument: Any = {str: ",", int: 9, dict: {"a": "b"}}[transform.argument] if transform.argument else None
    try:
        found = transform.build(argument, zone, iso)(raw)
    except Refused as error:
        assert len(error.found) <= 40
        assert error.allowed
    else:
        assert not isinstance(found, float)


@given(st.text(st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=127), min_size=15, max_size=15))
def test_an_id_is_the_same_whatever_a_store_does_to_its_capitals(short: str) -> None:
    whole = full_id(short)
    assert whole is not None
    assert {transforms.id18(text) for text in (short, whole, whole.lower(), whole.upper())} == {whole}
