"""What most commands share: the option for the settings file, and JSON on standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

Config = Annotated[Path, typer.Option("--config", "-c", help="The settings file.", show_default=True)]
DEFAULT = Path("referee.yaml")
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


_CONTROLS = dict.fromkeys(
    (*(code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"),
     *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\N{REPLACEMENT CHARACTER}"
)  # fmt: skip


def harmless(text: str) -> str:
    """Text for a terminal: nothing in a name moves the cursor, hides a line, or turns the order of what is read."""
    return text.translate(_CONTROLS)


def print_json(value: Any) -> None:
    """Print a value as JSON with indentation."""
    import orjson  # heavy imports wait until they are needed

    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str))
    sys.stdout.buffer.flush()
