"""CEL in mappings: bounded when loaded, never an exception when run, no money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.expressions import LONGEST_TEXT, ExpressionError, compile_expression
from sync.refusal import Refused


def value(source: str, **names: Any) -> Any:
    return compile_expression(source).value(names.get)


@pytest.mark.parametrize(
    ("source", "names", "made"),
    [
        ("lower(trim(Name))", {"Name": " ABC "}, "abc"),
        ("Name.upper()", {"Name": "abc"}, "ABC"),
        ("domain(Site)", {"Site": "https://www.Example.com/x"}, "example.com"),
        ("domain(Site)", {"Site": "nonsense"}, None),
        ("lower(Name)", {"Name": None}, None),
        ("lower(Name)", {"Name": 7}, None),
        ("replace(Code, '-', '')", {"Code": "1-2-3"}, "123"),
        ("Stage == 'Won' ? 'won' : null", {"Stage": "Lost"}, None),
        ("Lines.exists(l, l.kind == 'saas')", {"Lines": [{"kind": "saas"}]}, True),
        ("Missing == null", {}, True),
        ("Owner.Name == null", {}, True),
        ("Owner.Name", {"Owner.Name": "Ida"}, "Ida"),
        # Decimals and numbers too large for CEL come as the text they are, never as a float.
        ("Amount", {"Amount": Decimal("0.10")}, "0.10"),
        ("Number", {"Number": 2**80}, str(2**80)),
    ],
)
def test_values(source: str, names: dict[str, Any], made: Any) -> None:
    assert value(source, **names) == made


def test_the_fields_it_reads_are_known_before_it_runs() -> None:
    found = compile_expression("has(Owner.Email) && Name.startsWith('Not.Field') && Lines.exists(l, l.kind == Kind)")
    assert found.fields == ("Kind", "Lines", "Name", "Owner.Email")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("1 +", "CEL expression"),
        ("'" + "x" * 600 + "'", "at most 500"),
        ("a.map(x, b.map(y, x + y))", "not nested"),
        ("a.filter(x, x > 1).map(x, x).all(x, x)", "at most 2"),
        ("a.existsOne(x, b.existsOne(y, y == x))", "not nested"),
        ("r'\\' == a.map(x, b.map(y, y)) + '\\'", "plain quotes"),
        ("""'''it's''' + a""", "plain quotes"),
        ("a.map(x, // )\n b.map(y, y))", "after #"),
        ("a == 'half", "plain quotes"),
        ("exec('rm')", "domain"),
        ("A.__class__.mro()", "domain"),
    ],
)
def test_what_is_refused_when_loaded(source: str, says: str) -> None:
    with pytest.raises(ExpressionError) as error:
        compile_expression(source)
    assert says in error.value.allowed


def test_a_text_does_not_grow_without_bound() -> None:
    long = "x" * 1000
    with pytest.raises(Refused):
        value("replace(a, 'x', a) + replace(a, 'x', a)", a="x" * 300)
    assert len(value("replace(a, 'x', a)", a=long)) <= LONGEST_TEXT


def test_an_error_does_not_show_the_record(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Refused) as error:
        value("int(Phone)", Phone="+61 555 0199")
    assert "0199" not in error.value.found + error.value.allowed + "".join(capfd.readouterr())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals() | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)
SOURCES = [
    "a + b", "a * b", "a / b", "a % b", "-a", "a[b]", "a.b.c", "a in b", "a < b", "a && b", "a ? b : c", "size(a)",
    "string(a)", "int(a)", "double(a)", "timestamp(a)", "duration(a)", "a.matches(b)", "a.map(x, x + b)", "lower(a)",
    "a.exists(x, x == b)", "replace(a, b, c)", "domain(a)", "{a: b}", "type(a)", "bytes(a)", "a.startsWith(b)", "a",
]  # fmt: skip


@given(st.sampled_from(SOURCES), JSON, JSON, JSON)
def test_any_values_give_a_value_or_a_refusal(source: str, a: Any, b: Any, c: Any) -> None:
    try:
        value(source, a=a, b=b, c=c)
    except Refused as error:
        assert error.allowed


HOSTILE = st.text(st.sampled_from("ab'\"\\|&!()?:+.\n\u2019 ${}"), max_size=25) | st.text(max_size=25)


@given(HOSTILE, HOSTILE)
def test_a_value_is_never_read_as_a_part_of_the_expression(a: str, b: str) -> None:
    """What a field holds is compared, searched and copied as text; no value makes the condition say something else."""
    assert value("a", a=a) == a
    assert value("a == b", a=a, b=b) == (a == b)
    assert value("a == 'won' || b == 'won'", a=a, b=b) == ("won" in (a, b))
    assert value("a.contains(b) ? 'in' : 'out'", a=a, b=b) == ("in" if b in a else "out")
    assert value("a + b", a=a, b=b) == a + b
