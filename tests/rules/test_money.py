"""Money: exact, rounded once, split without losing a cent (G-3)."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.errors import RuleError
from rules.money import EXPONENTS, ROUNDINGS, Money, percent, plain, quantum, rounded, shares, text

CURRENCIES = st.sampled_from(sorted(EXPONENTS))
AMOUNTS = st.decimals(min_value=-(10**15), max_value=10**15, allow_nan=False, allow_infinity=False, places=6)
STEADY = settings(derandomize=True, database=None)


@STEADY
@given(AMOUNTS, CURRENCIES, st.sampled_from(sorted(ROUNDINGS)))
def test_rounding_moves_by_less_than_a_unit_and_once_is_enough(amount: Decimal, currency: str, how: str) -> None:
    once = rounded(amount, currency, ROUNDINGS[how])
    assert abs(once - amount) < quantum(currency)
    assert rounded(once, currency, ROUNDINGS[how]) == once


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("0.025", "AUD", "0.02"), ("0.035", "AUD", "0.04"), ("-0.025", "AUD", "-0.02"),  # half goes to the even cent
        ("0.5", "JPY", "0"), ("1.5", "JPY", "2"), ("2.5", "JPY", "2"),  # no digits
        ("1.0125", "KWD", "1.012"), ("1.0135", "KWD", "1.014"), ("1.23456", "CLF", "1.2346"),  # three and four
        ("-0.001", "AUD", "0.00"), ("-0.4", "JPY", "0"),  # never minus nothing
        ("1234567.8", "PKR", "1234567.80"),
    ],
)  # fmt: skip
def test_amounts_carry_exactly_the_digits_of_their_currency(amount: str, currency: str, expected: str) -> None:
    assert text(rounded(Decimal(amount), currency), currency) == expected


@STEADY
@given(st.integers(-(10**12), 10**12), CURRENCIES, st.lists(st.integers(0, 10**6), min_size=1, max_size=8).filter(any))
def test_parts_add_up_to_the_whole(units: int, currency: str, weights: list[int]) -> None:
    whole = units * quantum(currency)
    exact = [Decimal(weight) for weight in weights]
    parts = shares(whole, exact, currency)
    assert sum(parts) == whole
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - whole * weight / sum(weights)) < quantum(currency)
        assert part == 0 or weight
    assert shares(-whole, exact, currency) == [-part for part in parts]


def test_the_odd_cent_goes_to_the_largest_remainder_then_to_the_earlier() -> None:
    one, two = Decimal(1), Decimal(2)
    assert shares(Decimal("1.00"), [one, one, one], "AUD") == [Decimal("0.34"), Decimal("0.33"), Decimal("0.33")]
    assert shares(Decimal("0.05"), [one, two], "AUD") == [Decimal("0.02"), Decimal("0.03")]
    assert shares(Decimal("0.01"), [Decimal(0), one], "AUD") == [Decimal(0), Decimal("0.01")]


@pytest.mark.parametrize("weights", [["0"], ["0", "0"], ["1", "-1"], ["-1"]])
def test_a_split_over_nothing_is_refused(weights: list[str]) -> None:
    with pytest.raises(RuleError, match="none negative, not all zero"):
        shares(Decimal("1.00"), [Decimal(weight) for weight in weights], "AUD")


def test_currencies_never_mix() -> None:
    with pytest.raises(RuleError, match="one currency in a sum"):
        Money(Decimal(1), "AUD") + Money(Decimal(1), "NZD")
    with pytest.raises(RuleError, match="ISO 4217"):
        Money(Decimal(1), "AUS")
    with pytest.raises(RuleError, match="finite"):
        Money(Decimal("NaN"), "AUD")


@STEADY
@given(st.integers(-(10**17), 10**17), CURRENCIES)
def test_minor_units_round_trip(units: int, currency: str) -> None:
    assert Money.of_minor(units, currency).minor == units


def test_minor_units_refuse_to_round() -> None:
    with pytest.raises(RuleError, match="round first"):
        _ = Money(Decimal("0.005"), "AUD").minor
    assert Money(Decimal("0.015"), "AUD").rounded().minor == 2


def test_arithmetic_is_exact_whatever_the_size() -> None:
    large = Money(Decimal("999999999999999999.99"), "AUD")
    assert (large * Decimal("0.000000000001")).amount == Decimal("999999.99999999999999")
    assert str(large + Money(Decimal("0.01"), "AUD")) == "1000000000000000000.00 AUD"
    assert (large - large).amount == 0
    assert (-large).amount == -large.amount


@pytest.mark.parametrize(
    ("rate", "shown"), [("0.1", "10%"), ("0.125", "12.5%"), ("1", "100%"), ("0", "0%"), ("0.10", "10%")]
)
def test_rates_read_as_percentages(rate: str, shown: str) -> None:
    assert percent(Decimal(rate)) == shown


def test_plain_numbers_have_no_exponent() -> None:
    assert plain(Decimal("1E+2")) == "100"
    assert plain(Decimal("0.100")) == "0.1"
    assert plain(Decimal("100")) == "100"
