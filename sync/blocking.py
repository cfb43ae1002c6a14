"""Which names are worth comparing: the keys under which a name is filed, and those under which it is looked up.

One typing error (a letter added, lost, changed, or two neighbours exchanged) never hides a name: a name is filed by
its two halves with its length, and an error can only spoil one half; an exchange across the middle is looked up
exchanged back. Other differences (word order, words added, cut off) are found by words, pairs of words and beginnings.
Source of the halves: Li, Deng, Wang, Feng, "Pass-Join: A Partition-based Method for Similarity Joins", VLDB 2011.
"""

from collections.abc import Iterator
from itertools import combinations

from sync.identity import Keys
from sync.identity_lists import COMMON

_BEGINNING = 5
_PAIRED_WORDS = 5


def filed_under(keys: Keys) -> Iterator[str]:
    """Keys under which an incumbent name is filed. The first letter says what kind of key it is."""
    for name in _halved(keys):
        length, half = len(name), len(name) // 2
        yield f"h{length}:{name[:half]}"
        yield f"t{length}:{name[half:]}"
    yield from _by_words(keys)


def looked_up(keys: Keys) -> Iterator[str]:
    """Keys under which names similar to this one are filed."""
    for name in _halved(keys):
        length = len(name)
        for other in (length - 1, length, length + 1):
            half = other // 2
            yield f"h{other}:{name[:half]}"
            yield f"t{other}:{name[length - (other - half) :]}"
        half = length // 2
        if half:
            yield f"h{length}:{name[: half - 1]}{name[half]}"
    yield from _by_words(keys)


def _halved(keys: Keys) -> tuple[str, ...]:
    """The whole name, and its telling words: half a name that is a trade word says too little."""
    telling = "".join(word for word in keys.core.split() if word not in COMMON)
    return (keys.squash, telling) if telling and telling != keys.squash else (keys.squash,)


def _by_words(keys: Keys) -> Iterator[str]:
    words = keys.core.split()
    telling = sorted({word for word in words if word not in COMMON})
    for word in telling:
        yield f"w{word}"
    if len(telling) != 1 or telling[0] != keys.squash:
        yield f"w{keys.squash}"
    for one, other in combinations(sorted(set(words))[:_PAIRED_WORDS], 2):
        yield f"p{one} {other}"
    if len(keys.squash) >= _BEGINNING:
        yield f"b{keys.squash[:_BEGINNING]}"
    elif not keys.squash.isascii():
        yield f"b{keys.squash[:2]}"
