"""SuiteQL, parsed: the subset of the language that the simulator answers, as a tree of plain values.

Whatever is outside the subset is refused with a :class:`SuiteQLError`, never guessed. ``text_of`` writes a tree
back, so that parsing can be tested against its own inverse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

COMPARISONS = ("=", "!=", "<>", "<=", ">=", "<", ">")
FUNCTIONS = {
    "TO_CHAR": (1, 2), "TO_DATE": (2, 2), "TO_TIMESTAMP": (2, 2), "BUILTIN.DF": (1, 1), "NVL": (2, 2),
    "COALESCE": (1, 9), "UPPER": (1, 1), "LOWER": (1, 1), "ABS": (1, 1), "COUNT": (1, 1), "MAX": (1, 1),
    "MIN": (1, 1), "SUM": (1, 1),
}  # fmt: skip
"""Functions with the least and most arguments they take."""
_RESERVED = frozenset(
    {"SELECT", "DISTINCT", "FROM", "INNER", "LEFT", "OUTER", "JOIN", "ON", "WHERE", "AND", "OR", "NOT", "IN", "IS",
     "NULL", "LIKE", "ORDER", "BY", "ASC", "DESC", "AS", "SYSDATE"}
)  # fmt: skip
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign><=|>=|<>|!=|[=<>(),.*?-]))"
)


class SuiteQLError(ValueError):
    """The query is not one that can be answered; the message is what the vendor would put into ``detail``."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, with the table or alias before the dot when there is one."""

    table: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Number:
    value: str


@dataclass(frozen=True, slots=True)
class Param:
    """The ``index``-th ``?`` of the query, from 0."""

    index: int


@dataclass(frozen=True, slots=True)
class Sysdate:
    pass


@dataclass(frozen=True, slots=True)
class Star:
    table: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Expression, ...]


Expression = Column | Text | Number | Param | Sysdate | Star | Call


@dataclass(frozen=True, slots=True)
class Compare:
    sign: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class In:
    left: Expression
    choices: tuple[Expression, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    left: Expression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Like:
    left: Expression
    pattern: Expression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition


Condition = Compare | In | IsNull | Like | And | Or | Not


@dataclass(frozen=True, slots=True)
class Item:
    expression: Expression
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    alias: str


@dataclass(frozen=True, slots=True)
class Join:
    outer: bool
    table: Table
    on: Condition


@dataclass(frozen=True, slots=True)
class Order:
    expression: Expression
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Select:
    items: tuple[Item, ...]
    table: Table
    joins: tuple[Join, ...] = ()
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    distinct: bool = False


def parse(query: str) -> Select:
    """The tree of a query. Raises: ``SuiteQLError`` naming what was found and where."""
    parser = _Parser(query)
    select = parser.select()
    if parser.kind != "end":
        raise parser.unexpected("the end of the query")
    return select


class _Parser:
    def __init__(self, query: str) -> None:
        self._tokens = list(_tokens(query))
        self._at = 0
        self._params = 0

    @property
    def kind(self) -> str:
        return self._tokens[self._at][0]

    @property
    def value(self) -> str:
        return self._tokens[self._at][1]

    def unexpected(self, wanted: str) -> SuiteQLError:
        found = self.value or "the end"
        return SuiteQLError(f"Invalid or unsupported search: found {found!r} where {wanted} is expected")

    def take(self) -> str:
        value = self.value
        self._at += 1
        return value

    def is_word(self, word: str) -> bool:
        return self.kind == "name" and self.value.upper() == word

    def accept(self, word: str) -> bool:
        if self.is_word(word) or (self.kind == "sign" and self.value == word):
            self._at += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self.unexpected(word)

    def name(self) -> str:
        if self.kind != "name" or self.value.upper() in _RESERVED:
            raise self.unexpected("a name")
        return self.take()

    def select(self) -> Select:
        self.expect("SELECT")
        distinct = self.accept("DISTINCT")
        items = [self.item()]
        while self.accept(","):
            items.append(self.item())
        self.expect("FROM")
        table = self.table()
        joins = []
        while self.is_word("INNER") or self.is_word("LEFT") or self.is_word("JOIN"):
            joins.append(self.join())
        where = self.condition() if self.accept("WHERE") else None
        order: list[Order] = []
        if self.accept("ORDER"):
            self.expect("BY")
            order.append(self.ordering())
            while self.accept(","):
                order.append(self.ordering())
        return Select(tuple(items), table, tuple(joins), where, tuple(order), distinct)

    def item(self) -> Item:
        expression = self.expression()
        if self.accept("AS") or (self.kind == "name" and self.value.upper() not in _RESERVED):
            return Item(expression, self.name())
        return Item(expression)

    def table(self) -> Table:
        name = self.name()
        self.accept("AS")
        is_alias = self.kind == "name" and self.value.upper() not in _RESERVED
        return Table(name.lower(), (self.name() if is_alias else name).lower())

    def join(self) -> Join:
        outer = self.accept("LEFT")
        if outer:
            self.accept("OUTER")
        else:
            self.accept("INNER")
        self.expect("JOIN")
        table = self.table()
        self.expect("ON")
        return Join(outer, table, self.condition())

    def ordering(self) -> Order:
        expression = self.expression()
        if self.accept("DESC"):
            return Order(expression, True)
        self.accept("ASC")
        return Order(expression)

    def condition(self) -> Condition:
        parts = [self.conjunction()]
        while self.accept("OR"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def conjunction(self) -> Condition:
        parts = [self.negation()]
        while self.accept("AND"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def negation(self) -> Condition:
        if self.accept("NOT"):
            return Not(self.negation())
        if self.accept("("):
            inner = self.condition()
            self.expect(")")
            return inner
        return self.predicate()

    def predicate(self) -> Condition:
        left = self.expression()
        if self.kind == "sign" and self.value in COMPARISONS:
            return Compare(self.take(), left, self.expression())
        if self.accept("IS"):
            negated = self.accept("NOT")
            self.expect("NULL")
            return IsNull(left, negated)
        negated = self.accept("NOT")
        if self.accept("LIKE"):
            return Like(left, self.expression(), negated)
        if self.accept("IN"):
            self.expect("(")
            choices = [self.expression()]
            while self.accept(","):
                choices.append(self.expression())
            self.expect(")")
            if len(choices) > 1000:
                raise SuiteQLError("Invalid or unsupported search: more than 1000 values in a list")
            return In(left, tuple(choices), negated)
        raise self.unexpected("a comparison")

    def expression(self) -> Expression:
        if self.kind == "text":
            return Text(self.take()[1:-1].replace("''", "'"))
        if self.accept("-"):
            if self.kind != "number":
                raise self.unexpected("a number")
            return Number("-" + self.take())
        if self.kind == "number":
            return Number(self.take())
        if self.accept("*"):
            return Star()
        if self.accept("?"):
            self._params += 1
            return Param(self._params - 1)
        if self.accept("SYSDATE"):
            return Sysdate()
        name = self.name()
        if self.accept("."):
            if self.accept("*"):
                return Star(name.lower())
            second = self.name()
            if self.accept("("):
                return self.call(f"{name}.{second}")
            return Column(name.lower(), second.lower())
        return self.call(name) if self.accept("(") else Column(None, name.lower())

    def call(self, name: str) -> Call:
        allowed = FUNCTIONS.get(name.upper())
        if allowed is None:
            raise SuiteQLError(f"Invalid or unsupported search: function {name!r}")
        arguments = [self.expression()]
        while self.accept(","):
            arguments.append(self.expression())
        self.expect(")")
        if not allowed[0] <= len(arguments) <= allowed[1]:
            raise SuiteQLError(f"Invalid or unsupported search: wrong number of arguments to {name}")
        return Call(name.upper(), tuple(arguments))


def _tokens(query: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    end = len(query.rstrip())
    while at < end:
        found = _TOKEN.match(query, at)
        if found is None or found.end() == at:
            raise SuiteQLError(f"Invalid or unsupported search: unexpected character at position {at}")
        kind = found.lastgroup or "sign"
        tokens.append((kind, found.group(kind)))
        at = found.end()
    return [*tokens, ("end", "")]


def text_of(tree: Select | Expression | Condition) -> str:
    """The tree as query text; conditions get all their parentheses."""
    match tree:
        case Select():
            items = ", ".join(text_of(i.expression) + (f" AS {i.alias}" if i.alias else "") for i in tree.items)
            text = f"SELECT {'DISTINCT ' if tree.distinct else ''}{items} FROM {_table_text(tree.table)}"
            for join in tree.joins:
                text += f" {'LEFT' if join.outer else 'INNER'} JOIN {_table_text(join.table)} ON {text_of(join.on)}"
            if tree.where:
                text += f" WHERE {text_of(tree.where)}"
            if tree.order:
                orders = (f"{text_of(o.expression)} {'DESC' if o.descending else 'ASC'}" for o in tree.order)
                text += " ORDER BY " + ", ".join(orders)
            return text
        case Column(table, name):
            return f"{table}.{name}" if table else name
        case Text(value):
            return "'" + value.replace("'", "''") + "'"
        case Number(value):
            return value
        case Param():
            return "?"
        case Sysdate():
            return "SYSDATE"
        case Star(table):
            return f"{table}.*" if table else "*"
        case Call(name, arguments):
            return f"{name}({', '.join(map(text_of, arguments))})"
        case Compare(sign, left, right):
            return f"{text_of(left)} {sign} {text_of(right)}"
        case In(left, choices, negated):
            return f"{text_of(left)} {'NOT ' if negated else ''}IN ({', '.join(map(text_of, choices))})"
        case IsNull(left, negated):
            return f"{text_of(left)} IS {'NOT ' if negated else ''}NULL"
        case Like(left, pattern, negated):
            return f"{text_of(left)} {'NOT ' if negated else ''}LIKE {text_of(pattern)}"
        case And(parts):
            return "(" + " AND ".join(map(text_of, parts)) + ")"
        case Or(parts):
            return "(" + " OR ".join(map(text_of, parts)) + ")"
        case Not(part):
            return f"NOT ({text_of(part)})"


def _table_text(table: Table) -> str:
    return table.name if table.alias == table.name else f"{table.name} {table.alias}"
