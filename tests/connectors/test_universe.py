"""The invented universe: distinct, plausible, and the same whoever asks."""

from __future__ import annotations

import re
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from connectors.universe import LARGEST_UNIVERSE, companies, company
from connectors.universe_words import ADJECTIVES, DESCRIPTORS, HEADS, INDUSTRIES, MIDDLES, NOUNS, TAILS


@given(st.integers(-(2**70), 2**70), st.integers(0, LARGEST_UNIVERSE - 50), st.integers(1, 40))
def test_a_company_depends_on_seed_and_index_only(seed: int, index: int, count: int) -> None:
    few = list(companies(seed, count, index))
    assert few[0] == company(seed, index)
    assert few == list(companies(seed, 49, index))[:count]
    assert [found.index for found in few] == list(range(index, index + count))


@given(st.integers())
def test_nothing_that_identifies_a_company_comes_twice(seed: int) -> None:
    found = list(companies(seed, 500))
    for values in (
        [c.name.casefold() for c in found],
        [c.legal_name.casefold() for c in found],
        [c.domain for c in found],
        [(c.country, c.tax_id) for c in found],
    ):
        assert len(set(values)) == len(found)


def test_no_two_brands_spell_the_same_domain() -> None:
    """Proves for all companies what the sample shows: the parts of a name can be told apart in its domain."""
    ends = [tail + noun.lower() for tail in TAILS for noun in ("", *NOUNS)]
    assert len(set(ends)) == len(ends)
    assert {len(head) for head in HEADS} == {3} and {len(middle) for middle in MIDDLES} == {2}
    for words in (HEADS, MIDDLES, TAILS, NOUNS, ADJECTIVES):
        assert len(set(words)) == len(words)
    firsts = {word.split()[0] for trades in DESCRIPTORS.values() for trade in trades for word in trade}
    assert firsts.isdisjoint(NOUNS), "a noun that is also a trade could make two names alike"


def test_companies_look_like_companies() -> None:
    suffixes = PublicSuffixList()
    found = list(companies(11, 2000))
    for c in found:
        assert re.fullmatch(r"[a-z-]+\.[a-z.]+", c.domain) and suffixes.privatesuffix(c.domain) == c.domain
        assert c.website == f"https://www.{c.domain}" and c.legal_name.startswith(c.name)
        assert c.industry in INDUSTRIES and c.employees > 0 and "#" not in c.tax_id
        assert 1 <= len(c.contacts) <= 4
        assert len({person.email for person in c.contacts}) == len(c.contacts)
        for person in c.contacts:
            assert re.fullmatch(r"[a-z0-9]+\.[a-z0-9]+@" + re.escape(c.domain), person.email)
            assert re.fullmatch(r"\+\d{1,3} \d[\d ]{6,14}", person.phone), person.phone
    countries = Counter(c.country for c in found)
    assert len(countries) >= 15 and countries.most_common(1)[0][0] == "US"
    assert set(Counter(c.industry for c in found)) == set(INDUSTRIES)
    assert len({person.name for c in found for person in c.contacts}) > 1500
    assert any(not person.name.isascii() for c in found for person in c.contacts)


def test_other_seeds_are_other_universes() -> None:
    first, second = ({c.domain for c in companies(seed, 1000)} for seed in (1, 2))
    assert len(first & second) < 5


def test_a_large_universe_is_streamed() -> None:
    next(companies(3, 1))
    tracemalloc.start()
    for _ in companies(3, 5_000):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_more_companies_than_names_is_an_error() -> None:
    assert company(1, LARGEST_UNIVERSE - 1).name
    with pytest.raises(ValueError, match="there are 22,472,100"):
        company(1, LARGEST_UNIVERSE)
    with pytest.raises(ValueError, match="asked for"):
        company(1, -1)
