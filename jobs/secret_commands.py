"""The commands about secrets that are kept in the store."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.printing import DEFAULT, Config, Json, print_json


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    group = typer.Typer(help="Secrets kept in the store, and the keys that seal them.", no_args_is_help=True)
    group.command("status")(secrets_status)
    group.command("rotate")(secrets_rotate)
    group.command("set")(secrets_set)
    group.command("forget")(secrets_forget)
    group.command("key")(secrets_key)
    app.add_typer(group, name="secrets")


def secrets_status(config: Config = DEFAULT, json: Json = False) -> None:
    """List what is kept and which key seals it; ends with 1 when something cannot be read."""
    from jobs.installation import installation
    from jobs.secrets import secrets_status as status
    from jobs.secrets import show_secrets

    with installation(config) as here:
        found = status(here)
    print_json(found) if json else show_secrets(found)
    if any(one["state"] == "unreadable" for one in found):
        raise typer.Exit(1)


def secrets_rotate(config: Config = DEFAULT, json: Json = False) -> None:
    """Seal everything with the first key of REFEREE_SECRET_KEYS; afterwards the others can go."""
    from jobs.installation import installation
    from jobs.secrets import rotate_secrets

    with installation(config) as here:
        count = rotate_secrets(here)
    print_json({"sealed": count}) if json else typer.echo(f"{count} sealed anew; the first key opens everything now")


def secrets_set(
    connection: Annotated[str, typer.Argument(help="The connection whose app was authorised anew.")],
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Ask for a new refresh token, without showing it, and go on with that one."""
    from jobs.installation import installation
    from jobs.secrets import set_secret

    with installation(config) as here:
        set_secret(
            here,
            connection,
            lambda: str(typer.prompt("refresh token", hide_input=True, default="", show_default=False, err=True)),
        )
    print_json({"set": connection}) if json else typer.echo(f"{connection}: its next login uses this token")


def secrets_forget(
    connection: Annotated[str, typer.Argument(help="As listed by `secrets status`.")],
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Drop a kept refresh token; the one in the settings is used again."""
    from jobs.installation import installation
    from jobs.secrets import forget_secret

    with installation(config) as here:
        forget_secret(here, connection)
    print_json({"forgotten": connection}) if json else typer.echo(f"{connection}: the kept refresh token is dropped")


def secrets_key() -> None:
    """Print a new key for REFEREE_SECRET_KEYS. Keep a copy outside the database's backups."""
    from sync.seals import new_key

    typer.echo(new_key())
