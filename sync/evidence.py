"""What speaks against two spellings being one company, although a number, a website or the name agrees.

``known`` is always all spellings of one company: it disagrees only when none of them agrees.
"""

from collections.abc import Iterable, Sequence

from sync.identity import Keys, is_placeholder
from sync.identity_lists import COMMON, GENERIC


def against_tax_number(asked: Keys, known: Sequence[Keys]) -> str:
    """Why an equal tax number does not settle it: two countries', or one that people make up with nothing to support it."""
    country, number = _split(asked.tax_id)
    theirs = {_split(other.tax_id)[0] for other in known if _split(other.tax_id)[1] == number}
    if country and "" not in theirs and country not in theirs:
        return f"the number is one of {country} here and of {', '.join(sorted(theirs))} there"
    if is_placeholder(number) and not _names_agree(asked, known) and not _domains_agree(asked, known):
        return "the number looks made up and neither name nor website agrees"
    return ""


def against_domain(asked: Keys, known: Sequence[Keys]) -> str:
    """Why an equal website does not settle it: another name, and another country or tax number as well."""
    if _names_agree(asked, known):
        return ""
    if countries_differ(asked, known):
        return "both name and country differ"
    if tax_numbers_differ(asked, known):
        return "both name and tax number differ"
    return ""


def against_name(asked: Keys, known: Sequence[Keys]) -> list[str]:
    """Why an equal name does not settle it; empty when it does."""
    reasons = []
    if domains_differ(asked, known):
        reasons.append("the websites differ")
    if countries_differ(asked, known):
        reasons.append("the countries differ")
    if tax_numbers_differ(asked, known):
        reasons.append("the tax numbers differ")
    if not any(_ends_alike(asked, other) for other in known if other.squash == asked.squash):
        reasons.append("the words left off differ")
    return reasons


def speaks_against(asked: Keys, other: Keys) -> bool:
    """Whether website or country differ: then a name that is merely like it is another company's."""
    return domains_differ(asked, (other,)) or countries_differ(asked, (other,))


def domains_differ(asked: Keys, known: Iterable[Keys]) -> bool:
    """Both have a website of their own, and none agrees."""
    return _all_differ(asked.domain, (other.domain for other in known))


def countries_differ(asked: Keys, known: Iterable[Keys]) -> bool:
    """Both have a country, and none agrees."""
    return _all_differ(asked.country, (other.country for other in known))


def tax_numbers_differ(asked: Keys, known: Iterable[Keys]) -> bool:
    """Both have a number of one kind (same country, same length), and none agrees; other pairs cannot be compared.

    A company has several numbers (value added tax, register): that two of different kinds differ says nothing.
    """
    if asked.tax_id is None:
        return False
    country, number = _split(asked.tax_id)
    theirs = {_split(other.tax_id) for other in known if other.tax_id}
    if any(number == other for _, other in theirs):
        return False
    return any(country == place and len(number) == len(other) for place, other in theirs)


def _all_differ(mine: str | None, theirs: Iterable[str | None]) -> bool:
    if mine is None:
        return False
    given = {value for value in theirs if value is not None}
    return bool(given) and mine not in given


def _names_agree(asked: Keys, known: Iterable[Keys]) -> bool:
    return any(asked.squash == other.squash for other in known)


def _domains_agree(asked: Keys, known: Iterable[Keys]) -> bool:
    return asked.domain is not None and any(asked.domain == other.domain for other in known)


def _ends_alike(asked: Keys, other: Keys) -> bool:
    """Whether equal names are equal in their generic words too, or may differ in them.

    "Acme Group" is "Acme"; it is not "Acme International". An acronym or a common word ("ABC Group", "Digital Group")
    needs all words equal.
    """
    mine, theirs = set(asked.tokens), set(other.tokens)
    if mine == theirs:
        return True
    acronym = asked.squash.isascii() and len(asked.squash) <= 3
    if acronym or set(asked.core.split()) <= COMMON:
        return False
    return not ((mine - theirs) & GENERIC and (theirs - mine) & GENERIC)


def _split(tax_id: str | None) -> tuple[str, str]:
    country, _, number = (tax_id or "").partition(":")
    return country, number
