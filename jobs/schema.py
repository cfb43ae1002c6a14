"""Job: print JSON Schemas, for editors and for whoever produces records."""

from __future__ import annotations

import sys

import orjson

from jobs.problems import UserError


def print_schema(what: str) -> None:
    """Print the schema of ``program`` files or ``records``. Raises: ``UserError``."""
    if what == "program":
        from rules.program_schema import program_schema

        schema = program_schema()
    elif what == "records":
        from pydantic import TypeAdapter

        from rules.records import AnyFact

        schema = TypeAdapter(AnyFact).json_schema()
    else:
        raise UserError(f"schema: found {what!r}; allowed: program, records")
    sys.stdout.buffer.write(orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
