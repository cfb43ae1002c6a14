"""Job: `referee notifications`, from a file of records to what everybody is to be told. No clock, nothing is sent."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jobs.notification.notifications import notifications
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
        sys.stdout.write(f"To: {shown['to']}\nSubject: {shown['subject']}\n\n{shown['body']}")
    elif format == "json":
        labels = sorted(picture.program.label_on(day) for picture in pictures)
        sys.stdout.buffer.write(as_bytes({"as_of": as_of, "programs": labels, "notifications": rows}))
    elif format == "csv":
        sys.stdout.buffer.write(csv_text(COLUMNS, rows).encode())
    else:
        from jobs.show import console, table

        columns = ("on", "program", "kind", "to", "about", "subject")
        console().print(
            table(f"notifications ({len(rows)})", columns, [[row[name] for name in columns] for row in rows])
        )
    sys.stdout.flush()
