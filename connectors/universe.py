"""An invented world of companies for demos, simulators and load tests: plausible, deterministic, any size.

A company depends on the seed and its index only, never on how many are asked for, so that a small and a large
run, or two simulators, hold the same companies.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple, Protocol

from connectors.universe_words import (
    ACCENTS,
    ADJECTIVES,
    COUNTRIES,
    DESCRIPTORS,
    FAMILY,
    GIVEN,
    HEADS,
    INDUSTRIES,
    MIDDLES,
    NOUNS,
    SIZES,
    TAILS,
    TITLES,
)


class Person(NamedTuple):
    """Someone who works there; ``email`` is unique within the company."""

    name: str
    title: str
    email: str
    phone: str


class Company(NamedTuple):
    """One company; ``name``, ``legal_name``, ``domain`` and ``tax_id`` are distinct over a whole universe."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs of a company
    name: str
    legal_name: str
    domain: str
    website: str
    country: str
    city: str
    tax_id: str
    industry: str
    employees: int
    contacts: tuple[Person, ...]


_STYLES = len(NOUNS) + len(ADJECTIVES) + 1
_STEMS = len(HEADS) * len(MIDDLES) * len(TAILS)
LARGEST_UNIVERSE = _STEMS * _STYLES
"""How many companies there are; asking for more is an error, since names would repeat."""

_MASK = (1 << 64) - 1
_SLOTS = tuple(country for country in COUNTRIES for _ in range(country.weight))
_CULTURES = tuple(GIVEN)
_LATIN = str.maketrans({"ß": "ss", "ł": "l", "Ł": "l", "ø": "o", "Ø": "o", "æ": "ae", "å": "a"})


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.translate(_LATIN)).encode("ascii", "ignore").decode()
    return "".join(letter for letter in plain.lower() if letter.isalnum())


_NAMES = {  # culture -> (name, its form in an e-mail address)
    culture: tuple(
        (f"{given} {family}", f"{_ascii(given)}.{_ascii(family)}")
        for given in GIVEN[culture]
        for family in FAMILY[culture]
    )
    for culture in GIVEN
}
_NOUNS = tuple((f" {noun}", noun.lower()) for noun in NOUNS)
_ADJECTIVES = tuple((f"{adjective} ", f"{adjective.lower()}-") for adjective in ADJECTIVES)


def companies(seed: int, count: int, start: int = 0) -> Iterator[Company]:
    """Yield ``count`` companies from index ``start`` on; nothing is kept in memory.

    Raises: ``ValueError`` when more are asked for than there are distinct names.
    """
    if not 0 <= start <= start + count <= LARGEST_UNIVERSE:
        raise ValueError(
            f"companies {start} to {start + count} were asked for; there are {LARGEST_UNIVERSE:,} (from 0)"
        )
    step, offset = _spread(seed)
    for index in range(start, start + count):
        rest, style = divmod((index * step + offset) % LARGEST_UNIVERSE, _STYLES)
        style = (style + (rest * 0x9E3779B1 >> 13)) % _STYLES  # neighbours shall not be alphabetical: two Feistel
        rest = (rest + (style * 0xD1342543DE82EF95 >> 21)) % _STEMS  # rounds, each of which is reversible
        yield _company(index, rest * _STYLES + style, _mixed(seed, index))


def company(seed: int, index: int) -> Company:
    """The company with this index."""
    return next(companies(seed, 1, index))


PROGRAM = "next-technik"
"""The program of the referrals in a simulated CRM."""
TO_SIGN = timedelta(days=30)
"""From the receipt of a referral to a contract; on the same day, the contract could be the earlier one in some zones."""
_STEP = timedelta(minutes=1)


class Stamping(Protocol):
    """Whatever stamps new records with ``now()``."""

    now: Callable[[], datetime]


class Refer(Protocol):
    """Adds what a partner refers; returns the record of the company that it became when it was won."""

    def __call__(self, company: Company, partner: str, at: datetime, *, won: bool) -> str | None: ...


def populate(
    system: Stamping,
    seed: int,
    count: int,
    *,
    partner: Callable[[Company, datetime], str],
    other: Callable[[Company], str],
    referral: Refer,
) -> dict[int, str]:
    """Fill a simulated CRM; returns the record of each company that has one, by its index.

    Of every twenty companies one is a partner, which refers the next nine; every fifth of these is won. Records are stamped
    minutes apart, ending now, so that windows have something to cut.
    """
    records: dict[int, str] = {}
    clock, first = system.now, system.now() - count * _STEP
    latest = ""
    try:
        for place, one in enumerate(companies(seed, count)):
            at = first + place * _STEP
            system.now = lambda at=at: at  # type: ignore[misc]
            if place % 20 == 0:
                latest = records[one.index] = partner(one, at)
            elif place % 20 >= 10:
                records[one.index] = other(one)
            elif (record := referral(one, latest, at, won=place % 5 == 1)) is not None:
                records[one.index] = record
    finally:
        system.now = clock
    return records


def _spread(seed: int) -> tuple[int, int]:
    """A step and an offset that visit every name once before any repeats (a step without common factor)."""
    step, offset = _mixed(seed, -1) % LARGEST_UNIVERSE, _mixed(seed, -2) % LARGEST_UNIVERSE
    while math.gcd(step, LARGEST_UNIVERSE) != 1:
        step += 1
    return step, offset


def _mixed(seed: int, index: int) -> int:
    """64 well mixed bits (SplitMix64); a ``random.Random`` per company would cost more than the company."""
    bits = (seed * 0x9E3779B97F4A7C15 + (index + 3) * 0xD1342543DE82EF95) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)


def _company(index: int, serial: int, bits: int) -> Company:
    country = _SLOTS[bits % len(_SLOTS)]
    bits //= len(_SLOTS)
    trade = bits & 7
    words = DESCRIPTORS[country.language][trade]
    brand, slug = _brand(serial, ACCENTS.get(country.language) if bits & 0x18 == 0 else None)
    name = brand if bits & 0x60 == 0 else f"{brand} {words[(bits >> 7) % len(words)]}"
    form = country.forms[(bits >> 11) % len(country.forms)]
    city = country.cities[(bits >> 15) % len(country.cities)]
    size = SIZES[(bits >> 19) % len(SIZES)]
    domain = f"{slug}.{country.tld}"
    area = country.areas[(bits >> 24) % len(country.areas)]
    phone = _digits(country.phone, serial * 104_729 + bits).format(area)
    contacts = _people(country.culture, _mixed(bits, serial), domain, phone)
    tax_id = _digits(country.tax, serial * 7_919_003 + 10_000_019)
    size += bits % (size // 2 + 1)
    website = f"https://www.{domain}"
    legal_name, industry = f"{name} {form}", INDUSTRIES[trade]
    return Company(index, name, legal_name, domain, website, country.code, city, tax_id, industry, size, contacts)


def _brand(serial: int, accent: tuple[str, str] | None) -> tuple[str, str]:
    """The invented brand and its form in a domain; each serial spells another one, in both."""
    serial, style = divmod(serial, _STYLES)
    serial, head = divmod(serial, len(HEADS))
    tail, middle = divmod(serial, len(MIDDLES))
    slug = HEADS[head] + MIDDLES[middle] + TAILS[tail]
    stem = slug.capitalize()
    if accent:
        stem = stem.replace(*accent, 1)
    if style == 0:
        return stem, slug
    if style <= len(_NOUNS):
        noun, suffix = _NOUNS[style - 1]
        return stem + noun, slug + suffix
    adjective, prefix = _ADJECTIVES[style - 1 - len(_NOUNS)]
    return adjective + stem, prefix + slug


def _people(culture: str, bits: int, domain: str, phone: str) -> tuple[Person, ...]:
    """One to four people, one in eight from another culture than the country's own."""
    people: dict[str, Person] = {}
    for place in range(1 + (bits & 3)):
        bits >>= 11
        names = _NAMES[culture] if bits & 7 else _NAMES[_CULTURES[(bits >> 3) % len(_CULTURES)]]
        name, local = names[(bits >> 5) % len(names)]
        email = f"{local}@{domain}"
        if email in people:
            email = f"{local}{place}@{domain}"
        people[email] = Person(name, TITLES[(bits >> 13) % len(TITLES)], email, f"{phone[:-1]}{place}")
    return tuple(people.values())


def _digits(template: str, number: int) -> str:
    """The template with each ``#`` replaced by a digit of the number, from its end."""
    pattern, places, limit = _pattern(template)
    return pattern % tuple(str(number % limit).zfill(places))


@cache
def _pattern(template: str) -> tuple[str, int, int]:
    places = template.count("#")
    return template.replace("#", "%s"), places, 10**places
