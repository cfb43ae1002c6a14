"""The commands about notifications: of a file, or those that the store keeps and sends."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from jobs.printing import DEFAULT, Config, Json, print_json


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(notifications)
    group.command("send")(notifications_send)
    group.command("retry")(notifications_retry)
    app.add_typer(group, name="notifications")


def notifications(
    context: typer.Context,
    config: Config = DEFAULT,
    state: Annotated[
        str | None, typer.Option("--state", help="Stored: pending, attempted, sent, failed or skipped.")
    ] = None,
    records: Annotated[
        str | None, typer.Option("--records", "-r", help="JSON Lines file, or - for standard input; with --as-of.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Local date of the program, YYYY-MM-DD.", metavar="DATE")
    ] = None,
    program: Annotated[
        list[str] | None, typer.Option("--program", "-p", help="With --records: a program, or a program file.")
    ] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="With --records: override one setting.")] = None,
    partner: Annotated[str | None, typer.Option("--partner", help="Only those to this partner.", metavar="ID")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="With --records: only from this day on.", metavar="DATE")
    ] = None,
    preview: Annotated[
        str | None, typer.Option("--preview", help="Show this one as it is read.", metavar="KEY")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="With --records: json, csv or table; json when output is not a terminal.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad records out.")] = False,
    json: Json = False,
) -> None:
    """Whom the clauses say to tell what: those in the store with their state, or those of a file of records."""
    if context.invoked_subcommand is not None:
        return
    from jobs.problems import UserError

    if records is None:
        if program or sets or since or format or as_of or skip_bad:
            raise UserError("notifications: found options of a file; allowed: with --records and --as-of only")
        from jobs.installation import installation
        from jobs.notifications_stored import show_stored, stored_notifications

        with installation(config) as here:
            rows = stored_notifications(here, state=state, partner=partner)
            kept = here.settings.notifications is not None
        print_json(rows) if json else show_stored(rows, preview, kept=kept)
        return
    if as_of is None or state is not None:
        raise UserError("notifications: found --records; allowed: with --as-of, and without --state")
    from jobs.notifications_file import notifications_file

    notifications_file(
        program or [], records, as_of, sets or [], partner=partner, since=since, preview=preview,
        format="json" if json else format, skip_bad=skip_bad,
    )  # fmt: skip


def notifications_send(config: Config = DEFAULT, json: Json = False) -> None:
    """Take in what is new from the store, and send what waits. `referee sync` and `run` do the same at their end."""
    from jobs.installation import installation
    from jobs.notifications_stored import send_now, show_told

    with installation(config) as here:
        told = send_now(here)
    print_json(asdict(told)) if json else show_told(told)
    if told.failed or told.stopped is not None or told.busy:
        raise typer.Exit(1)


def notifications_retry(
    keys: Annotated[list[str], typer.Argument(help="Keys as listed.")], config: Config = DEFAULT, json: Json = False
) -> None:
    """Let notifications that failed, or that were not to be sent, be sent with the next run."""
    from jobs.installation import installation
    from jobs.notifications_stored import retry_notifications

    with installation(config) as here:
        count = retry_notifications(here, keys)
    print_json({"revived": count}) if json else typer.echo(f"{count} of {len(keys)} will be sent with the next run")
