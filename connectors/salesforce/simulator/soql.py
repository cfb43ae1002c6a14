"""Parser of the SOQL subset that the simulator answers; text in, a small tree out.

Strict where the vendor is strict: AND and OR do not mix without parentheses, dates and instants stand
unquoted, strings need single quotes and only the documented escapes.
Source: SOQL and SOSL Reference ("Condition Expression Syntax", "Quoted String Escape Sequences").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NoReturn


class SoqlError(Exception):
    """A query the vendor would refuse; ``code`` is its errorCode."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


LiteralKind = Literal["string", "number", "date", "datetime", "boolean", "null"]


@dataclass(frozen=True, slots=True)
class Value:
    """A literal: its kind, and ``str | Decimal | bool | None``."""

    kind: LiteralKind
    value: str | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field operator literal``; IN and NOT IN carry several literals."""

    field: str
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Negation of one condition."""

    inner: Condition


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions joined by one operator, ``AND`` or ``OR``."""

    operator: Literal["AND", "OR"]
    parts: tuple[Condition, ...]


Condition = Comparison | Not | Group


@dataclass(frozen=True, slots=True)
class Order:
    """One ORDER BY item; ``nulls_first`` is the vendor's default for both directions."""

    field: str
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Select:
    """A parsed query; ``count`` means ``SELECT COUNT()``."""

    fields: tuple[str, ...]
    count: bool
    object: str
    where: Condition | None
    order: tuple[Order, ...]
    limit: int | None
    offset: int


_TOKEN = re.compile(
    r"""\s+
    |(?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    |(?P<date>\d{4}-\d\d-\d\d)(?![\dT])
    |(?P<number>[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    |(?P<string>'(?:[^'\\]|\\.)*')
    |(?P<name>[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*)
    |(?P<operator><=|>=|!=|<>|=|<|>)
    |(?P<mark>[(),])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_RESERVED = {
    "SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "NULL", "TRUE", "FALSE",
    "ORDER", "BY", "ASC", "DESC", "NULLS", "LIMIT", "OFFSET",
}  # fmt: skip
MAX_LENGTH = 100_000
"""Characters of one query (SOQL limits)."""


def parse(text: str) -> Select:
    """Parse one query. Raises: :class:`SoqlError` with MALFORMED_QUERY."""
    if len(text) > MAX_LENGTH:
        raise SoqlError("QUERY_TOO_COMPLICATED", "Query is too long")
    return _Parser(text).select()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0

    def select(self) -> Select:
        self._word("SELECT")
        count, fields = self._fields()
        self._word("FROM")
        name = self._name()
        where = self._condition() if self._take("WHERE") else None
        order: list[Order] = []
        if self._take("ORDER"):
            self._word("BY")
            order.append(self._order())
            while self._mark(","):
                order.append(self._order())
        limit = self._integer() if self._take("LIMIT") else None
        offset = self._integer() if self._take("OFFSET") else 0
        if self._at < len(self._tokens):
            self._fail()
        return Select(fields, count, name, where, tuple(order), limit, offset)

    def _fields(self) -> tuple[bool, tuple[str, ...]]:
        first = self._name()
        if first.upper() == "COUNT" and self._mark("("):
            self._need(")")
            return True, ()
        fields = [first]
        while self._mark(","):
            fields.append(self._name())
        return False, tuple(fields)

    def _condition(self) -> Condition:
        parts = [self._term()]
        joined: Literal["AND", "OR"] | None = None
        while (word := self._peek_word()) in ("AND", "OR"):
            if joined not in (None, word):
                self._fail()  # the vendor wants parentheses wherever AND meets OR
            joined = "AND" if word == "AND" else "OR"
            self._at += 1
            parts.append(self._term())
        return parts[0] if joined is None else Group(joined, tuple(parts))

    def _term(self) -> Condition:
        if self._take("NOT"):
            return Not(self._term())
        if self._mark("("):
            inner = self._condition()
            self._need(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Comparison:
        field = self._name()
        kind, text = self._next()
        if kind == "operator":
            return Comparison(field, "!=" if text == "<>" else text, (self._value(),))
        word = text.upper() if kind == "name" else ""
        if word == "LIKE":
            return Comparison(field, "LIKE", (self._value(),))
        if word == "IN":
            return Comparison(field, "IN", self._values())
        if word == "NOT":
            self._word("IN")
            return Comparison(field, "NOT IN", self._values())
        self._at -= 1
        self._fail()

    def _values(self) -> tuple[Value, ...]:
        self._need("(")
        values = [self._value()]
        while self._mark(","):
            values.append(self._value())
        self._need(")")
        return tuple(values)

    def _value(self) -> Value:
        kind, text = self._next()
        if kind == "string":
            return Value("string", _unquoted(text))
        if kind == "number":
            return Value("number", Decimal(text))
        if kind == "date":
            return Value("date", text)
        if kind == "datetime":
            return Value("datetime", text)
        word = text.upper() if kind == "name" else ""
        if word in ("TRUE", "FALSE"):
            return Value("boolean", word == "TRUE")
        if word == "NULL":
            return Value("null", None)
        self._at -= 1
        self._fail()

    def _order(self) -> Order:
        field = self._name()
        descending = self._take("DESC")
        if not descending:
            self._take("ASC")
        first = True
        if self._take("NULLS"):
            first = not self._take("LAST")
            if first:
                self._word("FIRST")
        return Order(field, descending, first)

    def _integer(self) -> int:
        kind, text = self._next()
        if kind != "number" or not text.isdigit():
            self._at -= 1
            self._fail()
        return int(text)

    def _name(self) -> str:
        kind, text = self._next()
        if kind != "name" or text.upper() in _RESERVED:
            self._at -= 1
            self._fail()
        return text

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            self._fail()
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _peek_word(self) -> str:
        if self._at < len(self._tokens) and self._tokens[self._at][0] == "name":
            return self._tokens[self._at][1].upper()
        return ""

    def _take(self, word: str) -> bool:
        found = self._peek_word() == word
        self._at += found
        return found

    def _word(self, word: str) -> None:
        if not self._take(word):
            self._fail()

    def _mark(self, mark: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at] == ("mark", mark)
        self._at += found
        return found

    def _need(self, mark: str) -> None:
        if not self._mark(mark):
            self._fail()

    def _fail(self) -> NoReturn:
        found = self._tokens[self._at][1] if self._at < len(self._tokens) else "<EOF>"
        raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{found}'")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SoqlError("MALFORMED_QUERY", f"line 1:{at} no viable alternative at character '{text[at]}'")
        if match.lastgroup:
            tokens.append((match.lastgroup, match[0]))
        at = match.end()
    return tokens


def _unquoted(text: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        plain = _ESCAPES.get(match[2])
        if plain is None:
            if match[2] in "_%":  # a literal wildcard of LIKE keeps its backslash until the pattern is built
                return match[0]
            raise SoqlError(
                "MALFORMED_QUERY", f"Invalid string literal {text}. Illegal character sequence '{match[0]}'"
            )
        return plain

    return _ESCAPE.sub(replaced, text[1:-1])
