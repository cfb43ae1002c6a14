"""The commands that work with connections and a store; each calls the job of its name."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
