"""The commands about connectors: which there are, and a package to start another one from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.printing import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    group = typer.Typer(help="Connectors that are installed, and how to begin another one.", no_args_is_help=True)
    group.command("list")(connector_list)
    group.command("new")(connector_new)
    app.add_typer(group, name="connector")


def connector_list(json: Json = False) -> None:
    """List the connectors that are installed, with the package that each comes from."""
    from jobs.new_connector import connectors, show_connectors

    found = connectors()
    print_json(found) if json else show_connectors(found)
    if any(one["problem"] for one in found):
        raise typer.Exit(1)


def connector_new(
    name: Annotated[str, typer.Argument(help="Its name in `system:`, such as harbour.")],
    folder: Annotated[Path, typer.Option(help="Where the package is written.")] = Path(),
    json: Json = False,
) -> None:
    """Write a package with a connector that passes the acceptance suite, to make your own of it."""
    from jobs.new_connector import write_connector

    written = write_connector(name, folder)
    if json:
        print_json([str(path) for path in written])
        return
    for path in written:
        typer.echo(f"wrote {path}")
    typer.echo(
        f"next: cd {folder / f'referee-{name}'} && pip install --editable . pytest && pytest; then docs/connectors.md"
    )
