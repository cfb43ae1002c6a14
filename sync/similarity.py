"""Whether two names look alike enough for a person to be asked. Never decides anything by itself.

Thresholds were measured on labelled names: docs/matching.md.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from rapidfuzz import fuzz, process
from rapidfuzz.distance import JaroWinkler

from sync.identity import Keys
from sync.identity_lists import COMMON

SQUASH, WORDS, PREFIX = 0.85, 0.85, 0.92
STRONG = 0.92

_ENUMERATOR = re.compile(r"[a-z]|\d+[a-z]?|[a-z]\d+|m{0,3}(?:x[cl]|l?x{0,3})(?:i[xv]|v?i{0,3})")
_DIGITS = re.compile(r"\d+")


class Likeness(NamedTuple):
    """How alike two names are (0 to 1), and in which way."""

    score: float
    way: str


def alike(keys: Keys, others: Sequence[Keys], *, strict: Sequence[bool]) -> dict[int, Likeness]:
    """Positions in ``others`` whose names look like that of ``keys``, with how alike.

    ``strict`` says, for each, that something else speaks against it (another website, another country): then only a
    near-identical spelling counts.
    """
    if not _comparable(keys.squash):
        return {}
    found: dict[int, Likeness] = {}
    ways = (
        ("spelling", fuzz.ratio, keys.squash, [other.squash for other in others], SQUASH * 100),
        ("same words in another order", fuzz.token_sort_ratio, keys.core, [other.core for other in others], WORDS * 100),
        ("spelling of the beginning", JaroWinkler.similarity, keys.squash, [other.squash for other in others], PREFIX),
    )
    for way, scorer, query, choices, cutoff in ways:
        for _, score, position in process.extract(query, choices, scorer=scorer, score_cutoff=cutoff, limit=None):
            score = score / 100 if cutoff > 1 else score
            if way == ways[2][0] and strict[position]:
                continue
            if score < STRONG and strict[position]:
                continue
            if position not in found or score > found[position].score:
                found[position] = Likeness(score, way)
    words = frozenset(keys.core.split())
    for position, other in enumerate(others):
        if position not in found and not strict[position]:
            share = _contained(words, keys.squash, frozenset(other.core.split()), other.squash)
            if share:
                found[position] = Likeness(share, "one name contains the other")
    return {
        position: Likeness(round(min(likeness.score, 0.9999), 4), likeness.way)
        for position, likeness in found.items()
        if _comparable(others[position].squash) and not _told_apart(keys.core, others[position].core)
    }


def _comparable(squash: str) -> bool:
    """Short Latin names are acronyms: one letter more or less is another company."""
    return len(squash) > 3 if squash.isascii() else len(squash) > 1


def _contained(words: frozenset[str], squash: str, others: frozenset[str], other_squash: str) -> float:
    """Share of the longer name that the shorter one is, if all its words stand there and one of them is telling."""
    small, large = (words, others) if len(squash) <= len(other_squash) else (others, words)
    if small <= large:
        if not small - COMMON:
            return 0.0
    elif squash.isascii() or not (squash.startswith(other_squash) or other_squash.startswith(squash)):
        return 0.0
    return 0.5 + 0.35 * min(len(squash), len(other_squash)) / max(len(squash), len(other_squash))


def _told_apart(core: str, other: str) -> bool:
    """Names that differ in a number, or only in an enumerator, are a series and not one company.

    "Company 12" and "Company 13", "Client A" and "Client B", "Fund II" and "Fund III".
    """
    if _DIGITS.findall(core) != _DIGITS.findall(other):
        return True
    words, others = Counter(core.split()), Counter(other.split())
    left, right = words - others, others - words
    return bool(left or right) and all(_ENUMERATOR.fullmatch(word) for word in (*left, *right))
