"""Job: `referee statement ID` and `referee statements`, from a file of records to what a finance lead signs."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jobs.problems import JobFailed, UserError
from jobs.report_file import format_option, pictures_of
from jobs.settle import as_bytes
from jobs.sheets import csv_text
from jobs.statement.document import statement_documents
from jobs.statement.sheet import statements_csv

FORMATS = ("json", "csv", "pdf")
LONGEST_NAME = 180
INDEX_COLUMNS = (
    "file", "statement", "program", "partner", "partner_name", "period_from", "period_to", "currency", "payable",
    "withheld", "to_pay", "pay_by", "state", "sha256",
)  # fmt: skip


def statement_file(
    statement: str, programs: Sequence[str], records: str, as_of: str, sets: Sequence[str], *,
    format: str | None, out: Path | None, fonts: Path | None, skip_bad: bool,
) -> None:  # fmt: skip
    """Write one statement, also an open one; without ``format`` as the name of ``out`` ends.

    Raises: ``UserError`` when there is none of that id.
    """
    format = format_option(format or _by_name(out), FORMATS)
    program = statement.split(":")[0]
    pictures = pictures_of(programs or [program], records, as_of, sets, skip_bad=skip_bad)
    documents = [each for picture in pictures for each in statement_documents(picture, with_open=True)]
    found = next((each for each in documents if each["statement"] == statement), None)
    if found is None:
        names = [each["statement"] for each in documents]
        shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        raise UserError(
            f"statement: found {statement!r}; allowed on {as_of}: {shown or 'none: there are no statements'}"
        )
    content = _content(found, format, fonts)
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        write_whole(out, content)


def _by_name(out: Path | None) -> str:
    """The format that a file's name asks for; JSON where there is no file."""
    if out is None:
        return "json"
    ending = out.suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        allowed = ", ".join(f".{each}" for each in FORMATS)
        raise UserError(f"--out: found {out.name!r}; allowed: a name that ends in {allowed}, or --format")
    return ending


def statements_folder(
    programs: Sequence[str], records: str, as_of: str, sets: Sequence[str], *, out_dir: Path, format: str | None,
    partner: str | None, period_from: str | None, with_open: bool, fonts: Path | None, skip_bad: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    """Write a file a statement and `statements.csv`, the list of them; running it again writes the same bytes.

    Returns the rows of the list. Raises: ``UserError``; ``JobFailed`` when some could not be written, the others are.
    """
    format = format_option(format or "pdf", FORMATS)
    pictures = pictures_of(programs, records, as_of, sets, partner=partner, skip_bad=skip_bad)
    chosen = (
        each
        for picture in pictures
        for each in statement_documents(picture, partner=partner, period_from=period_from, with_open=with_open)
    )
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out-dir: {out_dir}: {error.strerror}") from None
    index: list[dict[str, Any]] = []
    failed: list[str] = []
    for document, content in _contents(chosen, format, fonts):
        if isinstance(content, UserError):
            failed.append(str(content))
            continue
        name = file_name(document["statement"], format)
        write_whole(out_dir / name, content)
        index.append(_index_row(name, document))
    index.sort(key=lambda row: row["statement"])
    write_whole(out_dir / "statements.csv", csv_text(INDEX_COLUMNS, index).encode())
    if failed:
        raise JobFailed("\n".join([*failed, f"{len(index)} written to {out_dir}, {len(failed)} not"]))
    return index


def _contents(
    documents: Iterable[dict[str, Any]], format: str, fonts: Path | None
) -> Iterator[tuple[dict[str, Any], bytes | UserError]]:
    if format == "pdf":
        from jobs.statement.paper import statement_pdfs  # the typesetter is loaded only when something is set

        yield from statement_pdfs(documents, fonts=fonts)
    else:
        for document in documents:
            yield document, _content(document, format, fonts)


def _content(document: dict[str, Any], format: str, fonts: Path | None) -> bytes:
    if format == "json":
        return as_bytes(document)
    if format == "csv":
        return statements_csv([document]).encode()
    from jobs.statement.paper import statement_pdf

    return statement_pdf(document, fonts=fonts)


def _index_row(name: str, document: dict[str, Any]) -> dict[str, Any]:
    return {
        **{column: document[column] for column in INDEX_COLUMNS if column in document},
        "file": name,
        "program": document["program"]["id"],
        "partner": document["partner"]["id"],
        "partner_name": document["partner"]["name"],
    }


def file_name(statement: str, format: str) -> str:
    """A statement's id as a file name on any system: its parts joined by `_`, what a name may not hold in %XX."""
    stem = "_".join(quote(part, safe=" ").replace(".", "%2E") for part in statement.split(":"))
    if len(stem) > LONGEST_NAME:
        stem = f"{stem[:LONGEST_NAME]}~{hashlib.sha256(statement.encode()).hexdigest()[:16]}"
    return f"{stem}.{format}"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file wholly or not at all. Raises: ``UserError``."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        half.write_bytes(content)
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
