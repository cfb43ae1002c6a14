"""Normalises what was typed about a company to keys that can be compared: name, website, e-mail, country, tax number.

Pure: no clock, no input or output beyond the lists that the libraries ship, no randomness.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import idna
from publicsuffixlist import PublicSuffixList

from sync import identity_lists as lists
from sync.countries import country_code


@dataclass(frozen=True, slots=True)
class Company:
    """One spelling of a company.

    ``id`` is any stable id chosen by the caller ("account:001"). ``website`` may be a URL or a host; ``country`` an
    ISO code or a name. ``email`` is a contact's address: its domain may open a review, and never ties two companies.
    """

    id: str
    name: str
    website: str | None = None
    country: str | None = None
    tax_id: str | None = None
    email: str | None = None


class Keys(NamedTuple):
    """What is compared. ``core`` is the name without legal form and generic words, ``squash`` is it without spaces.

    ``tokens`` are the words of the name without its legal form, generic words kept. ``domain`` is registrable and in
    ASCII; None when missing, an IP address, or a host that many companies share. ``country`` is an ISO 3166 code in
    capitals, or what was typed when it is not a known country. ``tax_id`` is "DE:123456789", or ":123456789" when
    nobody said which country's number it is.
    """

    core: str
    squash: str
    domain: str | None
    email_domain: str | None
    country: str | None
    tax_id: str | None
    tokens: tuple[str, ...]


class Name(NamedTuple):
    """The parts of a name: the words that matter, and the generic words left off."""

    core: tuple[str, ...]
    generic: tuple[str, ...]


@lru_cache(maxsize=8192)
def keys_of(company: Company) -> Keys:
    """Normalise one spelling. Unreadable parts (a broken URL, a tax number without digits) become None."""
    return fresh_keys(company)


def fresh_keys(company: Company) -> Keys:
    """``keys_of`` without its cache, for bulk loads that see each company once."""
    name = name_of(company.name)
    country = country_of(company.country)
    core = " ".join(name.core)
    return Keys(
        core=core,
        squash=core.replace(" ", ""),
        domain=domain_of(company.website),
        email_domain=email_domain_of(company.email),
        country=country,
        tax_id=tax_id_of(company.tax_id, country),
        tokens=name.core + name.generic,
    )


# Names

_ASCII_SPACES = str.maketrans({c: " " for c in map(chr, range(128)) if not c.isalnum()} | {"'": None, "`": None})
_LETTERS_WITHOUT_DECOMPOSITION = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t", "’": None,
     "‘": None, "ʼ": None, "´": None}
)  # fmt: skip
_MARKS_OF_TRADE = str.maketrans("™®©℠", "    ")
_DOTTED_LETTERS = re.compile(r"(?<!\w)((?:\w[./]){1,6}\w)(?!\w)[./]?")
_JOINERS = str.maketrans({"&": " and ", "+": " plus "})
_ACCENTED_SCRIPTS = ("LATIN", "GREEK", "CYRILLIC")


def name_of(text: str) -> Name:
    """Split a name: letter case, accents, punctuation and legal form removed; never to nothing unless it is blank.

    Latin, Greek and Cyrillic accents are folded; marks of other scripts carry the vowel or the sound and stay.
    """
    words = _fold(text).split()
    if len(words) > 1 and words[0] == "www":
        words = words[1:]
    while len(words) > 1 and words[0] in lists.LEADING_FORMS:
        words = words[1:]
    generic: list[str] = []
    while len(words) > 1:
        form = _legal_form_at_end(words)
        if form:
            words = words[:-form]
        elif words[-1] in lists.GENERIC:
            generic.insert(0, words.pop())
        else:
            break
    if len(words) > 1 and words[0] in lists.LEADING_GENERIC and set(words[1:]) - lists.COMMON:
        generic.append(words.pop(0))
    return Name(tuple(words), tuple(generic))


def _fold(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_MARKS_OF_TRADE)).casefold()
        text = _without_accents(text).translate(_LETTERS_WITHOUT_DECOMPOSITION)
        text = _without_attached_forms(text)
    text = text.casefold().translate(_JOINERS)
    text = _DOTTED_LETTERS.sub(lambda dotted: re.sub(r"[./]", "", dotted[1]), text)
    if text.isascii():
        return text.translate(_ASCII_SPACES)
    return "".join(c if unicodedata.category(c)[0] in "LMN" else "" if c in "'`" else " " for c in text)


def _without_accents(text: str) -> str:
    kept: list[str] = []
    base_is_folded = False
    for c in unicodedata.normalize("NFD", text):
        if not unicodedata.combining(c):
            base_is_folded = unicodedata.name(c, "").startswith(_ACCENTED_SCRIPTS)
        elif base_is_folded:
            continue
        kept.append(c)
    return unicodedata.normalize("NFC", "".join(kept))


def _without_attached_forms(text: str) -> str:
    for form in lists.ATTACHED_FORMS:
        bare = text.strip().removeprefix(form).removesuffix(form)
        if bare.strip():
            text = bare
    return text


def _legal_form_at_end(words: list[str]) -> int:
    """How many words at the end are a legal form; 0 when none, never all of them."""
    for length in range(min(5, len(words) - 1), 1, -1):
        if tuple(words[-length:]) in lists.LEGAL_PHRASES:
            return length
    return int(words[-1] in lists.LEGAL_FORMS)


# Websites and e-mail

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:(?=//)|^(?:https?|mailto):")
_NUMBER = re.compile(r"^(?:\d+|0x[0-9a-f]*)$")
_SHARED = lists.FREE_MAIL | lists.SHARED_HOSTS
_HOST = re.compile(r"^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+$")


def domain_of(website: str | None) -> str | None:
    """The registrable domain of a URL or host, in ASCII; None for none, an IP address, or a shared host.

    Private suffixes count (``a.github.io`` and ``b.github.io`` differ) and a top-level domain that the public suffix
    list does not know is taken as one. Source: publicsuffix.org; WHATWG URL, "host ends in a number" (an IPv4 address
    may be written in decimal, hexadecimal, octal or with fewer parts).
    """
    return _own_domain(_host_of(website)) if website else None


def email_domain_of(email: str | None) -> str | None:
    """The registrable domain of an address; None for free mail, shared hosts and unreadable addresses."""
    if not email or "@" not in email:
        return None
    domain = _own_domain(_host_of(email.rsplit("@", 1)[1].rstrip("> ")))
    return None if domain in lists.PLACEHOLDER_MAIL else domain


def _host_of(text: str) -> str | None:
    """The host of what was typed in a website field, as lower-case ASCII without a final dot."""
    rest = _SCHEME.sub("", unicodedata.normalize("NFKC", text).strip().lower().replace("\\", "/")).lstrip("/")
    host = re.split(r"[/?#\s,;]", rest, maxsplit=1)[0].rsplit("@", 1)[-1]
    if host.startswith("[") or host.count(":") > 1:
        return None
    host = host.split(":", 1)[0].replace("。", ".").strip(".")
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError:
            return None
    return host if _HOST.match(host) else None


@lru_cache(maxsize=4096)
def _own_domain(host: str | None) -> str | None:
    if host is None:
        return None
    last = host.rsplit(".", 1)[1]
    if _NUMBER.match(last) or last in lists.LOCAL_SUFFIXES:
        return None
    domain: str | None = _public_suffixes().privatesuffix(host)
    if domain is None:
        return None
    if domain in _SHARED or host in _SHARED:
        return None
    label, _, suffix = domain.partition(".")
    if f"{label}.*" in _SHARED and _public_suffixes().publicsuffix(suffix, accept_unknown=False) == suffix:
        return None
    return domain


@lru_cache(maxsize=1)
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


# Country and tax number


@lru_cache(maxsize=4096)
def country_of(text: str | None) -> str | None:
    """ISO 3166 code in capitals ("Germany" and "de" are "DE"); an unknown spelling is kept, so that it can differ."""
    if text is None or not text.strip():
        return None
    return country_code(text) or " ".join(text.casefold().split())


def is_placeholder(number: str) -> bool:
    """Whether a tax number is one that people make up: counted up, or one digit throughout."""
    return number in lists.PLACEHOLDER_NUMBERS or len(set(number)) == 1


def tax_id_of(text: str | None, country: str | None) -> str | None:
    """ "COUNTRY:NUMBER" of a tax or registry number; None when it is too short, all zeros or has no digit.

    The country is the prefix of a value added tax number, else the company's; spaces, dots and dashes do not count.
    """
    if text is None:
        return None
    number = "".join(c for c in unicodedata.normalize("NFKC", text).upper() if c.isalnum())
    prefix = number[:2]
    if prefix in lists.VAT_PREFIXES or (prefix.isalpha() and prefix == country):
        country, number = {"EL": "GR", "XI": "GB"}.get(prefix, prefix), number[2:]
    digits = sum(c.isdigit() for c in number)
    if len(number) < 4 or not digits or not number.strip("0"):
        return None
    return f"{country or ''}:{number}"
