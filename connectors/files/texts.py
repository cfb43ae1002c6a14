"""CSV: bytes into lines of cells. What is not sure is refused, with the setting that says it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import NamedTuple

from charset_normalizer import from_bytes

from connectors.errors import ConnectorError

DELIMITERS = (",", ";", "\t", "|")
LONGEST_CELL = 1_000_000
LONGEST_HEADER = 100_000
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_HINT = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)


class Line(NamedTuple):
    """One record of a file: the line where it starts, its cells, and why it cannot be read, when it cannot."""

    number: int
    cells: list[str]
    fault: str = ""


def decoded(data: bytes, encoding: str, name: str) -> str:
    """The text of a file: by its mark, as UTF-8, else as UTF-16 or Windows-1252 when it reads well as that.

    Raises: ``ConnectorError`` when it is none of these, or not what ``encoding`` says.
    """
    if encoding != "auto":
        try:
            return data.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise _undecodable(name, f"a byte that is no {encoding} at position {error.start}") from None
    for mark, marked in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(marked).removeprefix("\ufeff")
            except UnicodeDecodeError as error:
                raise _undecodable(name, f"a mark of {marked} and a byte that is none at {error.start}") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" not in text:
        return text
    candidates = ["utf_16_le", "utf_16_be"] if b"\0" in data else ["cp1252"]
    best = from_bytes(data, cp_isolation=candidates).best()
    if best is None:
        raise _undecodable(name, "text that is no UTF-8 and reads badly as UTF-16 and Windows-1252")
    return data.decode(best.encoding)


def _undecodable(name: str, found: str) -> ConnectorError:
    return ConnectorError(
        f"files: {name}: found {found}; allowed: UTF-8, UTF-16 or Windows-1252, or the encoding that the setting "
        "`encoding` names",
        code="ENCODING",
    )


def delimiter_of(text: str, header_line: int, wanted: str, name: str) -> str:
    """The sign between cells: the one under which the header, with which the text begins, holds the id column, in the
    most columns.

    Raises: ``ConnectorError`` when that is none of them.
    """
    found: list[tuple[int, str]] = []
    for sign in DELIMITERS:
        cells = next(csv.reader(io.StringIO(text[:LONGEST_HEADER], newline=""), delimiter=sign), [])
        if wanted in (cell.strip() for cell in cells):
            found.append((len(cells), sign))
    if not found:
        raise ConnectorError(
            f"files: {name}:{header_line}: found no column {wanted!r} in the header with any of , ; tab |; allowed: the "
            "column that the setting `id` names, on the line that `header_line` names",
            code="NO_ID_COLUMN",
        )
    return max(found)[1]


def lines_of(text: str, header_line: int, delimiter: str, wanted: str, name: str) -> Iterator[Line]:
    """The lines from the header on; empty ones are left out.

    Raises: ``ConnectorError`` for a quote that is never closed: nothing after it can be read.
    """
    hint = _HINT.match(text)
    first = 1
    if hint:
        text, first = text[hint.end() :], 2
        delimiter = hint[1] if delimiter == "auto" else delimiter
    if header_line > first:
        whole = io.StringIO(text, newline="")
        for _ in range(header_line - first):
            whole.readline()  # titles are in no form
        text = whole.read()
    if delimiter == "auto":
        delimiter = delimiter_of(text, header_line, wanted, name)
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + max(header_line, first)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise ConnectorError(
                    f"files: {name}:{number}: found a quote that is opened here and never closed; allowed: quotes in "
                    "pairs. Was the file written to its end?",
                    code="OPEN_QUOTE",
                ) from None
            yield Line(number, [], str(error))
            continue
        if any(cells):
            yield Line(number, cells)
