"""Exact money: a Decimal with its currency, one rounding, splits that add up (G-3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import (
    ROUND_DOWN,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Context,
    Decimal,
    localcontext,
)
from functools import lru_cache

from rules.errors import RuleError

ROUNDINGS = {
    "half_even": ROUND_HALF_EVEN,
    "half_up": ROUND_HALF_UP,
    "half_down": ROUND_HALF_DOWN,
    "up": ROUND_UP,
    "down": ROUND_DOWN,
}

_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS = "CLF UYW"
_TWO_DECIMALS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS
INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN
NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC
SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_NO_DECIMALS.split(), 0),
    **dict.fromkeys(_TWO_DECIMALS.split(), 2),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
    **dict.fromkeys(_FOUR_DECIMALS.split(), 4),
}
"""Digits after the point of each currency in use (ISO 4217)."""

_QUANTA = {currency: Decimal(1).scaleb(-digits) for currency, digits in EXPONENTS.items()}

EXACT = Context(prec=60)
"""Wide enough that no product of an amount and a rate is rounded before the one rounding that counts."""

ZERO = Decimal(0)


def quantum(currency: str) -> Decimal:
    """Return the smallest unit of a currency, e.g. ``0.01``. Raises: ``RuleError`` for an unknown code."""
    try:
        return _QUANTA[currency]
    except KeyError:
        raise RuleError(f"currency: found {currency!r}; allowed: an ISO 4217 code such as AUD") from None


def rounded(amount: Decimal, currency: str, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Round to the currency's smallest unit, half to even unless told otherwise; the result has exactly its digits."""
    unit = _QUANTA[currency]
    return amount if amount.same_quantum(unit) else amount.quantize(unit, rounding, EXACT)


def text(amount: Decimal, currency: str) -> str:
    """Write an amount with exactly the currency's digits, never ``-0``."""
    unit = _QUANTA[currency]
    # Most amounts have their currency's digits already; with at most four of them str() never writes an exponent.
    value = amount if amount.same_quantum(unit) else amount.quantize(unit, ROUND_HALF_EVEN, EXACT)
    return str(value if value else abs(value))


def plain(number: Decimal) -> str:
    """Write a rate or ratio without exponent or trailing zeros: ``0.1``, ``15``, ``0``."""
    if not number:
        return "0"
    shown = format(number, "f")
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


@lru_cache(maxsize=1024)
def percent(rate: Decimal) -> str:
    """Write a rate as a percentage: ``0.125`` is ``12.5%``."""
    return plain(rate.scaleb(2)) + "%"


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount of one currency. Sums of different currencies are refused, never converted in passing."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        quantum(self.currency)
        if not isinstance(self.amount, Decimal) or not self.amount.is_finite():
            raise RuleError(f"amount: found {self.amount!r}; allowed: a finite Decimal")

    def __add__(self, other: Money) -> Money:
        return Money(EXACT.add(self.amount, self._same(other)), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(EXACT.subtract(self.amount, self._same(other)), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __mul__(self, rate: Decimal) -> Money:
        return Money(EXACT.multiply(self.amount, rate), self.currency)

    def rounded(self, rounding: str = ROUND_HALF_EVEN) -> Money:
        """The amount at the currency's smallest unit."""
        return Money(rounded(self.amount, self.currency, rounding), self.currency)

    @property
    def minor(self) -> int:
        """The amount in minor units (store only). Raises: ``RuleError`` when it is finer than the currency."""
        units = self.amount.scaleb(EXPONENTS[self.currency], EXACT)
        if units != units.to_integral_value():
            raise RuleError(f"amount: found {self.amount} {self.currency}; allowed: whole smallest units; round first")
        return int(units)

    @classmethod
    def of_minor(cls, units: int, currency: str) -> Money:
        """The money that ``units`` smallest units are."""
        return cls(Decimal(units) * quantum(currency), currency)

    def split(self, weights: Sequence[Decimal]) -> list[Money]:
        """Split into parts in proportion to the weights; the parts add up to the whole exactly."""
        parts = shares(self.amount, weights, self.currency)
        return [Money(part, self.currency) for part in parts]

    def _same(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise RuleError(f"currency: found {self.currency} with {other.currency}; allowed: one currency in a sum")
        return other.amount

    def __str__(self) -> str:
        return f"{text(self.amount, self.currency)} {self.currency}"


def shares(whole: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Split ``whole`` by largest remainder: exact sum, no part of a zero weight, ties to the earlier weight (G-3).

    Units: ``whole`` at the currency's smallest unit; weights are any non-negative numbers, not all zero.
    A negative whole mirrors the positive one. Raises: ``RuleError`` when every weight is zero or one is negative.
    """
    if len(weights) == 1 and weights[0] > 0:
        return [rounded(whole, currency)]
    total = sum(weights, ZERO)
    if not total or any(weight < 0 for weight in weights):
        raise RuleError(f"split: found weights {[plain(w) for w in weights]}; allowed: none negative, not all zero")
    unit = quantum(currency)
    sign = -1 if whole < 0 else 1
    with localcontext(EXACT):
        units = int((abs(whole) / unit).to_integral_value(ROUND_HALF_EVEN))
        exact = [Decimal(units) * weight / total for weight in weights]
        floors = [int(part) for part in exact]
        order = sorted((i for i in range(len(weights)) if weights[i]), key=lambda i: (floors[i] - exact[i], i))
        for i in order[: units - sum(floors)]:
            floors[i] += 1
        return [sign * floor * unit for floor in floors]
