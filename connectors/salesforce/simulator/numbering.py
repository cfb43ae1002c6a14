"""New ids for the simulated org's rows."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.salesforce.ids import suffix_of

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_ids(prefix: str, instance: str = "Hs0") -> Iterator[str]:
    """Ids of one object, ascending, without end: prefix, instance, a counter in base 62."""
    width = 15 - len(prefix) - len(instance)
    count = 0
    while True:
        count += 1
        number, digits = count, ""
        while number:
            number, digit = divmod(number, 62)
            digits = _DIGITS[digit] + digits
        short = prefix + instance + digits.rjust(width, "0")
        yield short + suffix_of(short)
