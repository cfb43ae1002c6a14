"""No value and no name can break out of a query, and the simulator's parser reads what the grammar says."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.errors import NeedsOperator
from connectors.salesforce import soql
from connectors.salesforce.ids import full_id, suffix_of
from connectors.salesforce.simulator.soql import Comparison, Condition, Group, Not, SoqlError, Value, parse

NAMES = st.from_regex(r"[A-Z][A-Za-z0-9]{2,8}(__c)?", fullmatch=True).filter(
    lambda text: text.upper() not in {"NOT", "AND", "NULL", "TRUE", "FALSE", "LIKE", "NULLS"}
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.text(),
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12),
    st.dates(),
    st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0)),
)


@given(VALUES, NAMES)
def test_a_literal_is_read_back_as_the_value_it_was(value: soql.Literal, field: str) -> None:
    where = parse(f"SELECT Id FROM Account WHERE {soql.name(field)} = {soql.literal(value)} AND Id = null").where
    assert isinstance(where, Group)
    first = where.parts[0]
    assert isinstance(first, Comparison)
    assert first.field == field
    read = first.values[0].value
    if isinstance(value, datetime):
        assert datetime.fromisoformat(str(read)) == value
    elif isinstance(value, date):
        assert read == value.isoformat()
    else:
        assert read == value


@given(st.text())
def test_a_name_is_plain_or_refused(text: str) -> None:
    try:
        accepted = soql.name(text)
    except NeedsOperator:
        return
    assert accepted == text
    assert all(part.isascii() and part.isidentifier() for part in text.split("."))


@given(
    st.lists(st.sampled_from(["Id = 'b'", "Name = 'it\\'s (c)'", "(", ")", " AND ", " OR ", "'", "\\"])).map("".join)
)
@example("Id = 'b') AND (Id = 'c'")
@example("Id = 'b') LIMIT 1")
def test_a_filter_of_the_mapping_stays_inside_its_parentheses(condition: str) -> None:
    """Whatever an admin writes, the window around it still holds."""
    try:
        text = soql.in_parentheses(condition)
        where = parse(f"SELECT Id FROM Account WHERE Id = 'a' AND {text}").where
    except (NeedsOperator, SoqlError):
        return
    assert isinstance(where, Group)
    assert (where.operator, len(where.parts)) == ("AND", 2)


def conditions() -> st.SearchStrategy[Condition]:
    literals = st.one_of(
        st.text().map(lambda text: Value("string", text)),
        st.integers(-(10**9), 10**9).map(lambda number: Value("number", Decimal(number))),
        st.booleans().map(lambda flag: Value("boolean", flag)),
        st.just(Value("null", None)),
    )
    single = st.builds(
        lambda field, operator, value: Comparison(field, operator, (value,)),
        NAMES, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), literals,
    )  # fmt: skip
    several = st.builds(
        lambda field, operator, values: Comparison(field, operator, tuple(values)),
        NAMES, st.sampled_from(["IN", "NOT IN"]), st.lists(literals, min_size=1, max_size=3),
    )  # fmt: skip
    return st.recursive(
        single | several,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(
                lambda operator, parts: Group(operator, tuple(parts)),
                st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3),
            ),
        ),
        max_leaves=8,
    )  # fmt: skip


def written(condition: Condition) -> str:
    if isinstance(condition, Not):
        return f"NOT ({written(condition.inner)})"
    if isinstance(condition, Group):
        return f" {condition.operator} ".join(f"({written(part)})" for part in condition.parts)
    values = [soql.literal(value.value) for value in condition.values]
    inside = f"({', '.join(values)})" if condition.operator.endswith("IN") else values[0]
    return f"{condition.field} {condition.operator} {inside}"


@given(conditions())
def test_a_condition_survives_being_written_and_parsed(condition: Condition) -> None:
    assert parse(f"SELECT Id FROM Account WHERE {written(condition)}").where == condition


@pytest.mark.parametrize(
    "query",
    [
        "SELECT FROM Account",
        "SELECT Id FROM Account WHERE",
        "SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'",  # needs parentheses
        'SELECT Id FROM Account WHERE Name = "a"',
        "SELECT Id FROM Account WHERE Name = 'a",
        "SELECT Id FROM Account WHERE Name = '\\q'",
        "SELECT Id FROM Account LIMIT -1",
        "SELECT Id FROM Account; DELETE FROM Account",
        "SELECT * FROM Account",
    ],
)
def test_what_is_not_soql_is_refused(query: str) -> None:
    with pytest.raises(SoqlError) as refused:
        parse(query)
    assert refused.value.code == "MALFORMED_QUERY"


@given(st.text(alphabet="ABCxyz012", min_size=15, max_size=15))
def test_an_id_has_one_long_form(short: str) -> None:
    complete = full_id(short)
    assert complete is not None
    assert full_id(complete) == complete
    swapped = complete[:15] + complete[15:].lower()
    assert full_id(swapped) is None or swapped == complete


def test_a_known_id_checksum() -> None:
    # Worked by hand: the third group 3T2Pg has capitals at places 1 and 3: 2 + 8 = 10, the eleventh letter.
    assert suffix_of("00300000003T2Pg") == "AAK"
