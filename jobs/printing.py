"""What most commands share: the option for the settings file, and JSON on standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

Config = Annotated[Path, typer.Option("--config", "-c", help="The settings file.", show_default=True)]
DEFAULT = Path("referee.yaml")
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def print_json(value: Any) -> None:
    """Print a value as JSON with indentation."""
    import orjson  # heavy imports wait until they are needed

    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str))
    sys.stdout.buffer.flush()
