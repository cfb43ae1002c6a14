"""E-mail addresses and header texts that come from records: one address is one address, a line is one line."""

from __future__ import annotations

import unicodedata
from email.errors import MessageError
from email.headerregistry import Address

LONGEST_HEADER = 250


def one_line(text: str) -> str:
    """A text as one line without control characters: what a header may hold, whoever wrote it."""
    kept = (" " if each.isspace() else each for each in text if each.isspace() or unicodedata.category(each)[0] != "C")
    return " ".join("".join(kept).split())


def header(text: str) -> str:
    """One line of at most :data:`LONGEST_HEADER` characters: servers refuse messages whose headers are endless."""
    line = one_line(text)
    return line if len(line) <= LONGEST_HEADER else f"{line[: LONGEST_HEADER - 1]}…"


def mail_address(text: str) -> str:
    """A single address such as ``desk@partner.example``. Raises: ``ValueError`` for anything else, with what is allowed."""
    given = text.strip()
    wrong = "one address such as desk@partner.example"
    if not given.isascii() or not given.isprintable() or any(each in given for each in ' ,;<>"()[]\\:'):
        raise ValueError(wrong)
    try:
        address = Address(addr_spec=given)
    except (MessageError, ValueError, IndexError):
        raise ValueError(wrong) from None
    labels = address.domain.split(".")
    if not address.username or len(given) > 254 or not all(labels) or any(each[0] == "-" for each in labels):
        raise ValueError(wrong)
    return given
