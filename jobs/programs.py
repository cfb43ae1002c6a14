"""Job: check a program file before it is used, and say in words how two programs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from jobs.problems import UserError
from jobs.show import console
from rules.errors import ProgramError
from rules.program import SHIPPED, Program, examine_program, line_of, load_program, program_tree
from rules.program_check import check_program
from rules.program_diff import diff_programs


def check_file(name: str) -> list[dict[str, Any]]:
    """Everything that is found in a program file (or a shipped program), each with file, line, found, allowed, what to do.

    What several terms share by a YAML anchor is told once. Raises: ``UserError`` for a file that cannot be read, ``ProgramError`` for one that is no YAML.
    """
    text, file = _text(name)
    tree = program_tree(text, file)
    program = examine_program(tree, file)
    if not isinstance(program, Program):
        return [_refusal(error, file) for error in program]
    found = [
        {"file": file, "line": line_of(tree, list(finding.path)), "where": ".".join(map(str, finding.path)),
         "level": finding.level, "found": finding.found, "allowed": finding.allowed, "do": finding.do}
        for finding in check_program(program)
    ]  # fmt: skip
    return list({(one["line"], one["level"], one["found"]): one for one in reversed(found)}.values())[::-1]


def _text(name: str) -> tuple[str, str]:
    if name in SHIPPED:
        return (files("rules") / "programs" / f"{name}.yaml").read_text("utf-8"), f"{name}.yaml"
    try:
        return Path(name).read_text("utf-8"), name
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"program: found {name!r}, which cannot be read: {error}; allowed: {', '.join(SHIPPED)}, or the path of a program file"
        ) from None


def _refusal(error: ProgramError, file: str) -> dict[str, Any]:
    """A program that does not load, in the shape of a finding."""
    line, _, rest = str(error).removeprefix(f"{file}:").partition(": ")
    where, _, what = rest.partition(": found ")
    found, _, allowed = what.partition("; allowed: ")
    return {
        "file": file, "line": int(line) if line.isdigit() else 1, "where": where, "level": "error", "found": found or rest,
        "allowed": allowed, "do": "mend it; until then the program is refused by every command",
    }  # fmt: skip


def show_check(name: str, findings: Sequence[Mapping[str, Any]]) -> None:
    """Print findings as compilers do, a line each, and what follows from them."""
    out = console()
    for each in findings:
        place = f"{each['file']}:{each['line']}: {each['level']}: {each['where']}"
        out.print(
            f"{place}: found {each['found']}; allowed: {each['allowed']}; {each['do']}", markup=False, soft_wrap=True
        )
    errors = sum(each["level"] == "error" for each in findings)
    warnings = len(findings) - errors
    out.print(f"{name}: {_count(errors, 'error')}, {_count(warnings, 'warning')}", markup=False)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def diff_files(before: str, after: str) -> list[dict[str, Any]]:
    """How two programs differ. Raises: ``ProgramError`` for one that cannot be loaded."""
    return [{**asdict(each), "says": str(each)} for each in diff_programs(load_program(before), load_program(after))]


def show_diff(differences: Sequence[Mapping[str, Any]]) -> None:
    """Print differences, a line each."""
    out = console()
    for each in differences:
        out.print(each["says"], markup=False, soft_wrap=True)
    out.print(f"{_count(len(differences), 'difference')}")
