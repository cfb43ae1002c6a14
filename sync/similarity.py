"""Whether two names look alike enough for a person to be asked. Never decides anything by itself.

Thresholds were measured on labelled names: docs/matching.md.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA, JaroWinkler

from sync.identity import Keys
from sync.identity_lists import COMMON

SPELLING, WORDS, BEGINNING = 85, 85, 0.92
NEAR_IDENTICAL, NEAR_IDENTICAL_WORDS = 92, 88
DIFFERING_WORDS = 80
FAINT = 60

_ENUMERATOR = re.compile(r"[a-z]|\d+[a-z]?|[a-z]\d+|m{0,3}(?:x[cl]|l?x{0,3})(?:i[xv]|v?i{0,3})")
_DIGITS = re.compile(r"\d+")


class Likeness(NamedTuple):
    """How alike two names are (0 to 1, four places), and in which way."""

    score: float
    way: str


def alike(keys: Keys, others: Sequence[Keys], *, strict: Callable[[Keys, Keys], bool]) -> dict[int, Likeness]:
    """Positions in ``others`` whose names look like that of ``keys``, with how alike.

    ``strict`` says that something else speaks against two being one (another website, another country): then only
    a near-identical spelling counts.
    """
    if not _comparable(keys.squash):
        return {}
    found: dict[int, Likeness] = {}
    for position, likeness in _by_spelling(keys, others):
        if position not in found or likeness.score > found[position].score:
            found[position] = likeness
    for position, likeness in _by_containment(keys, others):
        found.setdefault(position, likeness)
    return {
        position: likeness
        for position, likeness in found.items()
        if _comparable(others[position].squash)
        and not _told_apart(keys.core, others[position].core)
        and not (strict(keys, others[position]) and not _near_identical(keys, others[position]))
    }


def faintly_alike(keys: Keys, other: Keys) -> bool:
    """Whether something in the names agrees: a telling word, or most letters. Too little to ask on its own."""
    telling = set(keys.core.split()) - COMMON
    return not telling.isdisjoint(other.core.split()) or fuzz.ratio(keys.squash, other.squash) >= FAINT


def _by_spelling(keys: Keys, others: Sequence[Keys]) -> list[tuple[int, Likeness]]:
    squashes = [other.squash for other in others]
    found = [
        (position, _likeness(score / 100, "spelling"))
        for _, score, position in process.extract(
            keys.squash, squashes, scorer=fuzz.ratio, score_cutoff=SPELLING, limit=None
        )
    ]
    if " " in keys.core:
        cores = [other.core for other in others]
        found += [
            (position, _likeness(score / 100, "same words in another order"))
            for _, score, position in process.extract(
                keys.core,
                cores,
                scorer=fuzz.token_sort_ratio,
                score_cutoff=WORDS,
                limit=None,
            )
        ]
    found += [
        (position, _likeness(score, "spelling of the beginning"))
        for _, score, position in process.extract(
            keys.squash,
            squashes,
            scorer=JaroWinkler.similarity,
            score_cutoff=BEGINNING,
            limit=None,
        )
    ]
    return found


def _by_containment(keys: Keys, others: Sequence[Keys]) -> list[tuple[int, Likeness]]:
    """Names that share a telling word or, in scripts without spaces, begin alike, when one contains the other."""
    telling = set(keys.core.split()) - COMMON
    latin = keys.squash.isascii()
    found = []
    for position, other in enumerate(others):
        if not latin and (other.squash.startswith(keys.squash) or keys.squash.startswith(other.squash)):
            contained = True
        else:
            core = other.core
            contained = any(word in core for word in telling) and _one_contains_other(
                telling, set(core.split()) - COMMON
            )
        if contained:
            lengths = sorted((len(keys.squash), len(other.squash)))
            found.append(
                (
                    position,
                    _likeness(
                        0.5 + 0.35 * lengths[0] / lengths[1],
                        "one name contains the other",
                    ),
                )
            )
    return found


def _one_contains_other(words: set[str], others: set[str]) -> bool:
    return bool(words and others) and (words <= others or others <= words)


def _likeness(score: float, way: str) -> Likeness:
    return Likeness(round(min(score, 0.9999), 4), way)


def _near_identical(keys: Keys, other: Keys) -> bool:
    whole = max(
        fuzz.ratio(keys.squash, other.squash),
        fuzz.token_sort_ratio(keys.core, other.core),
    )
    if whole < NEAR_IDENTICAL:
        return False
    left, right = _differing_words(keys.core, other.core)
    return not (left and right) or _ratio(left, right) >= NEAR_IDENTICAL_WORDS


def _comparable(squash: str) -> bool:
    """Short Latin names are acronyms: one letter more or less is another company."""
    return len(squash) > 3 if squash.isascii() else len(squash) > 1


def _told_apart(core: str, other: str) -> bool:
    """Whether the differing words are the ones that tell: a number, an enumerator, or quite another word.

    "Company 12" and "Company 13", "Client A" and "Client B", "Fund II" and "Fund III" are a series; names that share
    a long trade word look alike as a whole although the words before it do not. Beside a telling word in common one
    typing error in a short word is forgiven.
    """
    if _DIGITS.findall(core) != _DIGITS.findall(other):
        return True
    left, right = _differing_words(core, other)
    if all(_ENUMERATOR.fullmatch(word) for word in left + right):
        return bool(left or right)
    if not (set(left) - COMMON and set(right) - COMMON):
        return False
    shared = set(core.split()) & set(other.split())
    if not shared:
        return False
    one_error = not shared <= COMMON and OSA.distance("".join(left), "".join(right)) <= 1
    return not one_error and _ratio(left, right) < DIFFERING_WORDS


def _differing_words(core: str, other: str) -> tuple[list[str], list[str]]:
    words, others = Counter(core.split()), Counter(other.split())
    return list((words - others).elements()), list((others - words).elements())


def _ratio(left: list[str], right: list[str]) -> float:
    return fuzz.ratio("".join(left), "".join(right))
