"""Seals: encryption at rest with keys that can be changed (Fernet: AES-128-CBC with HMAC-SHA256).

Source: https://cryptography.io/en/latest/fernet/ (``MultiFernet``: the first key encrypts, every key decrypts).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from connectors.errors import NeedsOperator

if TYPE_CHECKING:
    from cryptography.fernet import Fernet, MultiFernet

VARIABLE = "REFEREE_SECRET_KEYS"


class Unreadable(Exception):
    """Sealed with another key, or not a seal of ours."""


class Seals:
    """Seals and opens small JSON objects. ``keys``: 32 bytes each in URL-safe base64; the first one seals.

    Raises: ``NeedsOperator`` naming the place of a key that is none, never its text.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        from cryptography.fernet import Fernet, MultiFernet  # 40 ms that only connections with such logins need

        self._each: list[Fernet] = []
        for place, key in enumerate(keys, 1):
            try:
                self._each.append(Fernet(key))
            except ValueError:
                raise NeedsOperator(
                    f"{VARIABLE}: key {place} of {len(keys)} is not 32 bytes in URL-safe base64; "
                    "`referee secrets key` prints a new one",
                    code="KEYS",
                ) from None
        self._all = MultiFernet(self._each) if self._each else None

    def check(self, why: str) -> None:
        """Raises: ``NeedsOperator`` when there is no key to seal with; ``why`` one is needed."""
        if self._all is None:
            raise NeedsOperator(
                f"{why}, sealed: found no {VARIABLE}; set it in the environment to a key that "
                "`referee secrets key` prints, and keep a copy of the key outside the database",
                code="KEYS",
            )

    def seal(self, body: Mapping[str, Any]) -> str:
        """The object, encrypted with the first key. Raises: ``NeedsOperator`` without keys."""
        return self._present("something is to be kept").encrypt(json.dumps(dict(body)).encode()).decode()

    def opened(self, sealed: str) -> dict[str, Any]:
        """The object that was sealed. Raises: :class:`Unreadable`, ``NeedsOperator`` without keys."""
        from cryptography.fernet import InvalidToken

        try:
            body: dict[str, Any] = json.loads(self._present("something was kept").decrypt(sealed))
        except InvalidToken:
            raise Unreadable from None
        return body

    def key_of(self, sealed: str) -> int | None:
        """The place (from 1) of the key that opens it; ``None`` when none does."""
        from cryptography.fernet import InvalidToken

        for place, fernet in enumerate(self._each, 1):
            with suppress(InvalidToken):
                fernet.decrypt(sealed)
                return place
        return None

    def resealed(self, sealed: str) -> str:
        """The same, encrypted with the first key; when it was first sealed stays. It must be one that a key opens."""
        return self._present("something was kept").rotate(sealed).decode()

    def _present(self, why: str) -> MultiFernet:
        self.check(why)
        assert self._all is not None
        return self._all


def new_key() -> str:
    """A fresh key."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()
