"""The commands about mappings: suggest one, look through one, list, compare and bring back versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.printing import DEFAULT, Config, Json, print_json

Name = Annotated[str, typer.Argument(help="The connection, as named in referee.yaml.", metavar="CONNECTION")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    group = typer.Typer(help="Write, try out, compare and bring back mappings.", no_args_is_help=True)
    group.command("suggest")(suggest)
    group.command("preview")(preview)
    group.command("list")(versions)
    group.command("diff")(diff)
    group.command("rollback")(rollback)
    app.add_typer(group, name="mapping")


def suggest(
    connection: Name,
    objects: Annotated[
        list[str] | None, typer.Option("--object", help="Only this object; Object=record says what it is; repeatable.")
    ] = None,
    write: Annotated[Path | None, typer.Option("--write", help="Write the mapping into this new file.")] = None,
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Propose a mapping from what the system says of itself, with confidence and reason for every line."""
    from jobs.installation import installation
    from jobs.mapping_help import show_suggestion, suggest_mapping, suggestion_report, write_new

    with installation(config) as here:
        found, text = suggest_mapping(here, connection, objects or [])
    if write is not None:
        write_new(write, text)
    print_json(suggestion_report(found, text)) if json else show_suggestion(found, text, write)
    if not any(not one.missing for one in found):
        raise typer.Exit(1)


def preview(
    connection: Name,
    object: Annotated[str | None, typer.Option("--object", help="Only this object.")] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, max=200, help="Records of each object.")] = 10,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", help="Another mapping file than the connection's.")
    ] = None,
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Show real records beside what the mapping makes of them, errors in place; nothing is stored."""
    from jobs.installation import installation
    from jobs.mapping_help import preview as previewed
    from jobs.mapping_help import show_preview

    with installation(config) as here:
        found = previewed(here, connection, object, rows, mapping)
    print_json(found) if json else show_preview(found)
    if any(row["reject"] for one in found for row in one["records"]):
        raise typer.Exit(1)


def versions(connection: Name, config: Config = DEFAULT, json: Json = False) -> None:
    """List the versions of a mapping that runs have used, the last one first."""
    from jobs.installation import installation
    from jobs.mapping_history import mapping_versions_of, show_versions, version_report

    with installation(config) as here:
        found = version_report(here, connection, mapping_versions_of(here, connection))
    print_json(found) if json else show_versions(connection, found)


def diff(
    connection: Name,
    before: Annotated[str | None, typer.Argument(help="A version; the one used last unless given.")] = None,
    after: Annotated[str, typer.Argument(help="A version, or `file`: as the file says it now.")] = "file",
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Show what differs between two versions of a mapping, and what that means for the next run."""
    from jobs.installation import installation
    from jobs.mapping_history import diff_versions, show_diff

    with installation(config) as here:
        found = diff_versions(here, connection, before, after)
    print_json(found) if json else show_diff(found)


def rollback(
    connection: Name,
    to: Annotated[str | None, typer.Argument(help="A version; the one used before the file's unless given.")] = None,
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Put an earlier version back into the mapping file; the file as it was is kept beside it."""
    from jobs.installation import installation
    from jobs.mapping_history import roll_back, show_rollback

    with installation(config) as here:
        found = roll_back(here, connection, to)
    print_json(found) if json else show_rollback(found)
