"""Job: `referee notifications`, from a file of records to what everybody is to be told. No clock, nothing is sent."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.notification.notifications import notifications
from jobs.printing import harmless
from jobs.problems import UserError
from jobs.report_file import format_option, pictures_of
from jobs.settle import as_bytes
from jobs.settle_file import date_option
from jobs.sheets import csv_text

COLUMNS = ("key", "program", "kind", "to", "about", "on", "due_on", "clauses", "subject", "body")


def notifications_file(
    programs: Sequence[str], records: str, as_of: str, sets: Sequence[str], *, partner: str | None, since: str | None,
    preview: str | None, format: str | None, skip_bad: bool,
) -> None:  # fmt: skip
    """Read, settle, print. Raises: ``UserError`` for what cannot be; then nothing is printed."""
    format = format_option(format, ("json", "csv", "table"))
    day = date_option("--as-of", as_of)
    first = date_option("--since", since) if since is not None else None
    pictures = pictures_of(programs, records, as_of, sets, partner=partner, skip_bad=skip_bad)
    rows = [row for picture in pictures for row in notifications(picture, since=first, partner=partner)]
    rows.sort(key=lambda row: row["key"])
    if preview is not None:
        shown = next((row for row in rows if row["key"] == preview), None)
        if shown is None:
            raise UserError(f"--preview: found {preview!r}; allowed: the key of one of the {len(rows)} notifications")
        show_one(shown)
    elif format == "json":
        labels = sorted(picture.program.label_on(day) for picture in pictures)
        sys.stdout.buffer.write(as_bytes({"as_of": as_of, "programs": labels, "notifications": rows}))
    elif format == "csv":
        sys.stdout.buffer.write(csv_text(COLUMNS, rows).encode())
    else:
        show_list(rows, ("on", "program", "kind", "to", "about", "subject"))
    sys.stdout.flush()


def show_one(row: Mapping[str, Any]) -> None:
    """Print a notification as it is read."""
    sys.stdout.write(harmless(f"To: {row['to']}\nSubject: {row['subject']}\n\n{row['body']}"))


def show_list(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print notifications as a table."""
    from jobs.show import console, table

    console().print(table(f"notifications ({len(rows)})", columns, [[row[name] for name in columns] for row in rows]))
