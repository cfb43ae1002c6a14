"""A mapping of any size is a mapping: what waits in the temporary database reads as what is in memory."""

import tracemalloc
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.long_maps import LongMap, Shelves
from sync.matching import Company, Index

WORDS = ("Vexolar", "Brindle", "Quastor", "Trellwick", "Kestrava", "Odemira", "Lubinex")
NAMES = st.text(st.characters(), max_size=2) | st.sampled_from(["\ud83d", "a\0", "é", "\U0001f600", "\ue000"])
VALUES = st.lists(st.integers() | st.text(st.characters()), max_size=3)


@pytest.mark.parametrize("keys", [NAMES, st.integers(-3, 6)], ids=["texts", "numbers"])
@given(data=st.data(), near=st.integers(1, 5))
def test_it_reads_as_a_dict_in_the_order_of_keys(keys: st.SearchStrategy[Any], data: st.DataObject, near: int) -> None:
    steps = data.draw(
        st.lists(st.tuples(st.sampled_from(["set", "grow", "delete", "read"]), keys, VALUES), max_size=30)
    )
    with patch("sync.long_maps.NEAR", near):
        shelves = Shelves()
        long: LongMap[Any, list[Any]] = LongMap(shelves)
        beside: LongMap[Any, list[Any]] = LongMap(shelves)
        plain: dict[Any, list[Any]] = {}
        for step, key, value in steps:
            if step == "set":
                long[key] = list(value)
                plain[key] = list(value)
            elif step == "grow" and key in plain:
                grown = long[key]
                grown += value
                long[key] = grown
                plain[key] += value
            elif step == "delete":
                assert long.pop(key, None) == plain.pop(key, None)
            assert long.get(key) == plain.get(key)
            beside[key] = ["another mapping"]
        assert bool(long) == bool(plain)
        assert len(long) == len(plain)
        assert list(long.items()) == [(key, plain[key]) for key in sorted(plain)]
        assert long.several(list(plain)) == list(plain.values())


def test_values_may_be_set_while_it_is_gone_through() -> None:
    with patch("sync.long_maps.NEAR", 3):
        long: LongMap[int, int] = LongMap()
        long.update((number, number) for number in range(2000))
        for key in long:
            long[key] += 1
        assert list(long.items()) == [(number, number + 1) for number in range(2000)]
        del long[1]
        with pytest.raises(KeyError):
            long[1]
        with pytest.raises(KeyError):
            del long[1]


def test_a_tenfold_of_companies_takes_no_more_memory() -> None:
    """A million records: what is tied must not stay in memory, neither names and keys nor postings."""

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            index = Index()
            for number in range(count):
                name = f"{WORDS[number % 7]} {number:05d}"
                index.add(Company(f"account:{number}", name), group=f"account:{number // 2}")
            assert index.match(Company("asked", f"{WORDS[0]} 00007")).hits[0].id == "account:3"
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    with patch("sync.long_maps.NEAR", 200), patch("sync.postings.NEAR", 2000):
        peak(300)  # what is loaded once
        few, many = peak(500), peak(5000)
    assert many < 1.3 * few, f"{few} bytes at 500 companies, {many} at 5,000"
