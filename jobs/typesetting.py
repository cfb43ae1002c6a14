"""Pages: a template and values in, a PDF out; tagged (PDF/UA-1), archival (PDF/A-2a), the same bytes for the same values.

Only the fonts inside the typesetter are used, unless a folder of fonts is given for scripts that these lack.
"""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import typst

from jobs.printing import harmless
from jobs.problems import UserError

STANDARDS: list[Any] = ["a-2a", "ua-1"]
LONGEST_TEXT = 10_000
"""Characters of one text on paper; the other formats hold the whole."""


def pages(
    template: str, values: dict[str, Any], on: date, what: str, *, fonts: Path | None, format: str = "pdf"
) -> Any:
    """Set a template of ``jobs/`` with its values: a PDF's bytes; as ``png`` the bytes of its pages, for looking at.

    ``on`` is the day that the document carries. Raises: ``UserError`` naming ``what``, for a letter that no font has.
    """
    compiler = typst.Compiler(_template(template), font_paths=_fonts(fonts))
    inputs = {"data": orjson.dumps(_shown(values)).decode()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", typst.TypstWarning)
            if format == "png":
                return compiler.compile(format="png", ppi=110, sys_inputs=inputs)
            created = datetime(on.year, on.month, on.day, tzinfo=UTC)
            return compiler.compile(format="pdf", sys_inputs=inputs, pdf_standards=STANDARDS, timestamp=created)
    except typst.TypstError as error:
        hint = "for a script that the built-in fonts lack, name a folder of fonts with --fonts"
        told = f"; {hint}" if "font" in error.message else ""
        raise UserError(f"{what}: cannot be typeset: {error.message}{told}") from None


def _shown(value: Any) -> Any:
    """The value as paper can hold it: no font has a control character, and a text of a PDF ends at 32,767 characters."""
    if isinstance(value, str):
        shown = harmless(value)
        return shown if len(shown) <= LONGEST_TEXT else f"{shown[: LONGEST_TEXT - 1]}…"
    if isinstance(value, dict):
        return {name: _shown(each) for name, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, (list, tuple)) else value


@cache
def _template(name: str) -> bytes:
    return (files("jobs") / name).read_bytes()


@cache
def _fonts(folder: Path | None) -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, font_paths=[str(folder)] if folder else [])
