"""The cursor of a list: what the caller holds of it, row by row, so that any later state of the files can be compared.

There is no position in it. Whatever page it comes from, reading goes on with what differs from it, also when the files
have changed in between.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

import orjson

from connectors.base import Cursor
from connectors.errors import CursorExpired

_FORM = "files1:"


@dataclass(slots=True)
class Held:
    """Rows by id with the digest of their content; ``content`` is that of the files when all of them were handed out.

    ``nameless``: the rows without an id of their own, known by their place.
    """

    content: str = ""
    rows: dict[str, str] = field(default_factory=dict)
    nameless: set[str] = field(default_factory=set)

    def written(self) -> Cursor:
        """As text."""
        body = orjson.dumps([self.rows, sorted(self.nameless)])
        return f"{_FORM}{self.content}:{b64encode(zlib.compress(body, 1)).decode('ascii')}"


def content_of(since: Cursor | None) -> str:
    """The content of the files after which a cursor was made, when all of it was handed out; otherwise nothing."""
    return since.removeprefix(_FORM).partition(":")[0] if since is not None else ""


def held(since: Cursor | None) -> Held:
    """What a cursor says. Raises: ``CursorExpired`` for one that is not ours."""
    if since is None:
        return Held()
    try:
        if not since.startswith(_FORM):
            raise ValueError("another form")
        content, _, body = since.removeprefix(_FORM).partition(":")
        rows, nameless = orjson.loads(zlib.decompress(b64decode(body, validate=True)))
        return Held(content, dict(rows), set(nameless))
    except (ValueError, TypeError, zlib.error) as error:
        raise CursorExpired("files: this cursor was not made by the files connector") from error
