"""The command line: `referee`. Commands are thin; each job's work is in its own file.

Exit codes: 0 done; 1 something failed or a person is needed; 2 bad input, settings or options (nothing was done);
3 a plan was refused by a brake. Heavy imports happen inside commands, so that `referee --help` is quick.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from jobs.commands import register
from jobs.printing import harmless

app = typer.Typer(
    name="referee",
    help="Settles who referred whom and what they are owed, with the reason for every number.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

As_of = Annotated[str, typer.Option("--as-of", help="Local date of the program, YYYY-MM-DD.", metavar="DATE")]

Programs = Annotated[
    list[str] | None,
    typer.Option(
        "--program", "-p", help="A shipped program or a program file; repeatable. All that the records mention without."
    ),
]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Override one setting: key=value.")]
Records = Annotated[str, typer.Option("--records", "-r", help="JSON Lines file, or - for standard input.")]
Skip_bad = Annotated[bool, typer.Option("--skip-bad", help="Leave bad records out.")]
Fonts = Annotated[
    Path | None,
    typer.Option(
        "--fonts", help="Folder of fonts, for scripts that the built-in ones lack.", exists=True, file_okay=False
    ),
]


@app.command()
def settle(
    program: Annotated[
        list[str], typer.Option("--program", "-p", help="A shipped program or a program file; repeatable.")
    ],
    records: Annotated[str, typer.Option("--records", "-r", help="JSON Lines file, or - for standard input.")],
    as_of: As_of,
    sets: Annotated[list[str] | None, typer.Option("--set", help="Override one setting: key=value.")] = None,
    format: Annotated[str | None, typer.Option(help="json or table; json when output is not a terminal.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="List bad records under `rejected` and settle the rest.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Same as --format json.")] = False,
) -> None:
    """Settle programs from a file of records: claims, entries, statements, support and tasks, each with its reason."""
    from jobs.settle_file import settle_file

    settle_file(program, records, as_of, sets or [], skip_bad=skip_bad, format="json" if json else format)


@app.command()
def report(
    name: Annotated[
        str,
        typer.Argument(
            help="registry, dashboard, pipeline, forecast, kpis, co-op, benchmark, leaderboard or portal (docs/reports.md)"
        ),
    ],
    records: Records,
    as_of: As_of,
    program: Programs = None,
    sets: Sets = None,
    partner: Annotated[
        str | None, typer.Option("--partner", help="Only this partner's own rows.", metavar="ID")
    ] = None,
    monthly: Annotated[bool, typer.Option("--monthly", help="registry: each month's end up to the date, too.")] = False,
    top: Annotated[int | None, typer.Option("--top", help="leaderboard: how many places.", min=1)] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            help="Only rows with COLUMN=VALUE, >=, <= or ~= (a word in it); repeatable.",
            metavar="COLUMN=VALUE",
        ),
    ] = None,
    list_name: Annotated[
        str | None, typer.Option("--list", help="Which list a CSV or PDF holds; the first without.")
    ] = None,
    columns: Annotated[str | None, typer.Option("--columns", help="CSV and PDF: which columns, by commas.")] = None,
    fonts: Fonts = None,
    format: Annotated[
        str | None, typer.Option(help="json, csv, pdf or table; json when output is not a terminal.")
    ] = None,
    skip_bad: Skip_bad = False,
    json: Annotated[bool, typer.Option("--json", help="Same as --format json.")] = False,
) -> None:
    """Report on programs from a file of records: who is where in the pipeline, what is earned, what is to come."""
    from jobs.report.tables import Asked
    from jobs.report_file import report_file, where_option

    asked = Asked(partner, monthly, top, where_option(where or []))
    format = "json" if json else format
    report_file(
        name, program or [], records, as_of, sets or [], asked, skip_bad=skip_bad, format=format, list_name=list_name,
        columns=[each.strip() for each in columns.split(",")] if columns else [], fonts=fonts,
    )  # fmt: skip


@app.command()
def statement(
    id: Annotated[str, typer.Argument(help="program:partner:period_from:currency")],
    records: Records,
    as_of: As_of,
    program: Annotated[
        list[str] | None, typer.Option("--program", "-p", help="A program file, when the statement's is not shipped.")
    ] = None,
    sets: Sets = None,
    format: Annotated[str | None, typer.Option(help="json, csv or pdf; without: as the name of --out ends.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; without: standard output.")] = None,
    fonts: Fonts = None,
    skip_bad: Skip_bad = False,
) -> None:
    """One statement as a finance lead signs it: every entry with customer, contract, basis, rate, amount and reason."""
    from jobs.statement_file import statement_file

    statement_file(
        id, program or [], records, as_of, sets or [], format=format, out=out, fonts=fonts, skip_bad=skip_bad
    )


@app.command()
def statements(
    records: Records,
    as_of: As_of,
    out_dir: Annotated[Path, typer.Option("--out-dir", help="Folder for a file a statement and their list.")],
    program: Programs = None,
    sets: Sets = None,
    format: Annotated[str | None, typer.Option(help="pdf, csv or json; pdf without.")] = None,
    partner: Annotated[str | None, typer.Option("--partner", help="Only this partner's.", metavar="ID")] = None,
    period_from: Annotated[
        str | None, typer.Option("--period-from", help="Only of this period.", metavar="DATE")
    ] = None,
    with_open: Annotated[bool, typer.Option("--with-open", help="Also those not cut yet, marked as previews.")] = False,
    fonts: Fonts = None,
    skip_bad: Skip_bad = False,
) -> None:
    """All issued statements as files, with `statements.csv` as their list."""
    from jobs.statement_file import statements_folder

    rows = statements_folder(
        program or [], records, as_of, sets or [], out_dir=out_dir, format=format, partner=partner,
        period_from=period_from, with_open=with_open, fonts=fonts, skip_bad=skip_bad,
    )  # fmt: skip
    typer.echo(f"{len(rows)} statements written to {out_dir}; statements.csv lists them")


@app.command()
def schema(
    what: Annotated[str, typer.Argument(help="program or records")] = "program",
) -> None:
    """Print the JSON Schema of program files (for editors) or of records."""
    from jobs.schema import print_schema

    print_schema(what)


register(app)


def main() -> None:
    """Run the command line; expected errors become a message on standard error and an exit code."""
    try:
        from connectors.errors import ConnectorError
        from jobs.problems import UserError
        from rules.errors import RuleError
        from sync.errors import SyncError
    except ImportError as error:
        from jobs.doctor import strangers  # a package of another owner lies in front of one of ours

        print(f"referee: {error}; {strangers()}", file=sys.stderr)
        raise SystemExit(1) from None

    try:
        app(standalone_mode=True)
    except UserError as error:
        print(harmless(f"referee: {error}"), file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except (RuleError, SyncError) as error:
        print(harmless(f"referee: {error}"), file=sys.stderr)
        raise SystemExit(2) from None
    except ConnectorError as error:
        print(harmless(f"referee: {error}"), file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"referee: the output cannot be written: {error.strerror}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)  # what is still buffered cannot be written either, and would be told as a traceback


if __name__ == "__main__":
    main()
