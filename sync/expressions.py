"""CEL expressions in mappings: for the values and conditions that named transforms do not reach.

The Common Expression Language has no side effects and always ends. Money never passes through it: it turns decimals
into floats. Names are the object's fields; an absent field is ``null``. Beyond the standard: ``lower(x)``, ``upper(x)``,
``trim(x)``, ``replace(x, old, new)`` and ``domain(x)``, which give ``null`` for ``null``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import cel

from sync import transforms
from sync.refusal import Refused

LONGEST_EXPRESSION = 500
LONGEST_TEXT = 100_000
LONGEST_LIST = 1_000
MOST_MACROS = 2

_OPENING = re.compile(r"""([rRbB]*)(\"{3}|'{3}|"|')""")
_REST = {'"': re.compile(r'(?:[^"\\\n]|\\.)*"'), "'": re.compile(r"(?:[^'\\\n]|\\.)*'")}
_MACRO = re.compile(r"\.\s*(all|exists|exists_one|existsOne|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
_CHAIN = re.compile(r"(?<![\w.])([A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*)(\s*\()?")


def _of_text(function: Callable[[str], str | None]) -> Callable[[Any], Any]:
    """A text function that never raises: the library prints what a function raises, values and all."""

    def call(value: Any) -> Any:
        return function(value) if isinstance(value, str) else None

    return call


def _domain(value: str) -> str | None:
    try:
        return transforms.domain(value)
    except Refused:
        return None


def _replace(value: Any, old: Any, new: Any) -> Any:
    if not (isinstance(value, str) and isinstance(old, str) and isinstance(new, str)):
        return None
    if not old or len(value) + value.count(old) * (len(new) - len(old)) > LONGEST_TEXT:
        return value
    return value.replace(old, new)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "lower": _of_text(str.lower),
    "upper": _of_text(str.upper),
    "trim": _of_text(str.strip),
    "domain": _of_text(_domain),
    "replace": _replace,
}
_STANDARD = {
    "size", "contains", "startsWith", "endsWith", "matches", "has", "int", "uint", "double", "string", "bool", "bytes",
    "timestamp", "duration", "type", "dyn", "max", "min",
    "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes",
    "getSeconds", "getMilliseconds",
}  # fmt: skip


class ExpressionError(Exception):
    """An expression that cannot be used; says what was found and what is allowed."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(f"found {found}; allowed: {allowed}")
        self.found, self.allowed = found, allowed


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression: ``paths`` are the values it is given, ``fields`` all dotted names that occur in it."""

    source: str
    paths: tuple[str, ...]
    fields: tuple[str, ...]
    _program: cel.Program

    def value(self, read: Callable[[str], Any]) -> Any:
        """Evaluate with the values that ``read`` gives for each of ``paths``. Raises: ``Refused``."""
        variables: dict[str, Any] = {}
        for path in self.paths:
            _put(variables, path.split("."), _given(read(path)))
        try:
            found = self._program.execute(cel.Context(variables, FUNCTIONS))
        except (ValueError, TypeError, RuntimeError, ArithmeticError, OverflowError, KeyError, IndexError) as error:
            raise Refused(type(error).__name__, f"values that {self.source[:80]!r} can work with", words=True) from None
        if isinstance(found, cel.OptionalValue):
            found = found.or_value(None)
        if isinstance(found, str) and len(found) > LONGEST_TEXT:
            raise Refused(found, f"a text of at most {LONGEST_TEXT} characters")
        return found


def compile_expression(source: str) -> Expression:
    """Compile and bound an expression. Raises: ``ExpressionError``."""
    if len(source) > LONGEST_EXPRESSION:
        raise ExpressionError(f"{len(source)} characters", f"an expression of at most {LONGEST_EXPRESSION}")
    bare = _without_texts(source)
    bound = _macros(bare)
    try:
        program = cel.compile(source)
        used = program.references()
    except (ValueError, RuntimeError, TypeError) as error:
        reason = str(error).split("ERROR: ", 1)[-1].splitlines()[0][:160]
        raise ExpressionError(reason, "a CEL expression") from None
    known = _STANDARD | set(FUNCTIONS)
    for name in used["functions"]:
        if name.isidentifier() and name not in known:
            raise ExpressionError(f"the function {name!r}", ", ".join(sorted(known)))
    names = set(used["variables"]) - bound
    fields = _fields(bare, names)
    paths = {path for path in fields if not any(path.startswith(other + ".") for other in fields)}
    return Expression(source, tuple(sorted(paths)), tuple(sorted(fields)), program)


def _without_texts(source: str) -> str:
    """The expression with its quoted texts emptied. Raises: ``ExpressionError`` for forms that could hide code in texts."""
    bare, at = "", 0
    while opening := _OPENING.search(source, at):
        closed = _REST.get(opening[2], _REST['"']).match(source, opening.end())
        if opening[1] or len(opening[2]) == 3 or closed is None:
            raise ExpressionError(
                f"a text that starts with {opening[0]}", "texts in plain quotes that end on their line"
            )
        bare += source[at : opening.start()] + '""'
        at = closed.end()
    bare += source[at:]
    if "//" in bare:
        raise ExpressionError("a comment (//)", "an expression; comments go into the file, after #")
    return bare


def _macros(bare: str) -> set[str]:
    """The names that macros bind. Raises: ``ExpressionError`` for nested or too many macros (their cost multiplies)."""
    found = list(_MACRO.finditer(bare))
    if len(found) > MOST_MACROS:
        raise ExpressionError(
            f"{len(found)} list macros", f"at most {MOST_MACROS} of all, exists, exists_one, map, filter"
        )
    for macro in found:
        depth, at = 1, macro.end()
        while depth and at < len(bare):
            depth += {"(": 1, ")": -1}.get(bare[at], 0)
            at += 1
        if _MACRO.search(bare, macro.end(), at):
            raise ExpressionError(f"{macro[1]} with another list macro inside it", "list macros that are not nested")
    return {macro[2] for macro in found}


def _fields(bare: str, names: set[str]) -> set[str]:
    """The dotted names that start with a variable; the last part of a method call is no field."""
    found = set()
    for match in _CHAIN.finditer(bare):
        parts = [part.strip() for part in match[1].split(".")]
        if match[2]:
            parts.pop()
        if parts and parts[0] in names:
            found.add(".".join(parts))
    return found | (names - {path.split(".")[0] for path in found})


def _put(variables: dict[str, Any], parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        variables = variables.setdefault(part, {})
    variables[parts[-1]] = value


def _given(raw: Any, depth: int = 0) -> Any:
    """A raw value as CEL may see it: decimals and huge numbers as text, so that nothing becomes a float unnoticed."""
    if raw is None or isinstance(raw, (bool, str, float)):
        return raw
    if isinstance(raw, int):
        return raw if -(2**63) <= raw < 2**63 else str(raw) if raw.bit_length() < 4000 else None
    if isinstance(raw, Decimal):
        return str(raw)
    if isinstance(raw, datetime):
        return raw if raw.tzinfo else raw.isoformat()
    if isinstance(raw, date):
        return raw.isoformat()
    if depth > 8:
        raise Refused(raw, "values nested at most 8 deep in cel")
    if isinstance(raw, Mapping):
        return {str(key): _given(value, depth + 1) for key, value in raw.items()}
    if isinstance(raw, (list, tuple)):
        if len(raw) > LONGEST_LIST:
            raise Refused(raw, f"a list of at most {LONGEST_LIST} in cel")
        return [_given(value, depth + 1) for value in raw]
    raise Refused(raw, "text, numbers, booleans, lists or objects")
