"""Excel workbooks: the cells of one sheet as exact text, a row at a time."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from itertools import repeat, zip_longest
from typing import Any

from connectors.errors import ConnectorError
from connectors.files.texts import Line
from connectors.files.values import Exact, from_excel

SIGNATURE = b"PK\x03\x04"
OLD_SIGNATURE = b"\xd0\xcf\x11\xe0"
"""Workbooks before 2007, and protected ones."""
UNCOMPUTED = "#UNCOMPUTED!"
"""A formula whose result is not in the file, because no spreadsheet program has saved it yet."""
_LONGEST_TAG = 40
_FORMULA = re.compile(rb"<(?:[A-Za-z_][\w.-]{0,30}:)?f[\s/>]")
"""Some programs write every tag with a prefix of theirs."""
_MOST_UNPACKED = 20
"""How many times as large as a file may be, its content may be."""


def lines_of(data: bytes, sheet: str | None, header_line: int, name: str, largest: int) -> Iterator[Line]:
    """The rows from the header on; empty ones are left out. An error value (``#REF!``) stays in its cell as text.

    Raises: ``ConnectorError`` for what is no workbook, is cut off, unfolds beyond ``largest`` bytes twentyfold, or has
    several sheets of which none is named.
    """
    from openpyxl import load_workbook  # only workbooks need it

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(part.file_size for part in packed.infolist()) > largest * _MOST_UNPACKED:
                raise _refused(name, "a workbook that unfolds to many times its size", "a plain list of rows")
            computes = _has_formulas(packed)
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        formulas = load_workbook(io.BytesIO(data), read_only=True) if computes else None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError, SyntaxError) as error:
        raise _refused(name, f"a file that is no whole workbook ({type(error).__name__})", "an .xlsx file") from None
    names = [one.title for one in book.worksheets]
    if sheet is None and len(names) > 1:
        raise _refused(name, f"the sheets {', '.join(names)}", "one of them named by the setting `sheet`")
    if sheet is not None and sheet not in names:
        raise _refused(name, f"no sheet {sheet!r}", f"one of {', '.join(names)}")
    wanted = sheet or names[0]
    width = 0
    for number, (row, typed) in enumerate(zip(_values(book, wanted), _values(formulas, wanted), strict=False), 1):
        if number < header_line:
            continue
        cells = [_text(value, formula) for value, formula in zip_longest(row, typed)]
        if any(cells):
            width = width or len(cells)
            yield Line(number, cells + [""] * (width - len(cells)))


def _has_formulas(packed: zipfile.ZipFile) -> bool:
    for part in packed.namelist():
        if part.startswith("xl/worksheets/"):
            with packed.open(part) as file:
                tail = b""
                while piece := file.read(1_000_000):
                    if _FORMULA.search(tail + piece):
                        return True
                    tail = piece[-_LONGEST_TAG:]
    return False


def _values(book: Any, sheet: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a sheet; without a book, rows of nothing for ever."""
    if book is None:
        yield from repeat(())
        return
    chosen = book[sheet]
    chosen.reset_dimensions()  # what the file says of its size is often wrong
    yield from chosen.iter_rows(values_only=True)


def _refused(name: str, found: str, allowed: str) -> ConnectorError:
    return ConnectorError(f"files: {name}: found {found}; allowed: {allowed}", code="WORKBOOK")


def _text(value: Any, formula: Any) -> str:
    if value is None:
        return "" if formula is None else UNCOMPUTED
    if isinstance(value, bool):
        return Exact("true" if value else "false")
    if isinstance(value, int):
        return Exact(value)
    if isinstance(value, float):
        return Exact(from_excel(value))
    if isinstance(value, datetime):
        whole = value.time() == time() and value.tzinfo is None
        return Exact(value.date().isoformat() if whole else value.replace(microsecond=0).isoformat())
    if isinstance(value, (date, time)):
        return Exact(value.isoformat())
    return str(value)
