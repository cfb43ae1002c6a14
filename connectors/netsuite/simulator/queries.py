"""Answers SuiteQL: the parsed query, checked against what the role may see, carried out by the database.

Kept as the vendor has it: every value is text, NULL columns are absent, booleans are ``T``/``F``, a date selected
without TO_CHAR comes in the user's date format and without its time, an unsorted query comes in another order
each time, and no more than 100,000 rows can be reached.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from connectors.netsuite.simulator.database import Database, number_text
from connectors.netsuite.simulator.formats import (
    FormatError,
    from_text,
    from_user_date,
    local_text,
    to_char,
    user_date,
)
from connectors.netsuite.simulator.schema import ColumnSpec, TableSpec
from connectors.netsuite.simulator.suiteql import (
    And,
    Call,
    Column,
    Compare,
    Condition,
    Expression,
    In,
    IsNull,
    Item,
    Like,
    Not,
    Number,
    Or,
    Param,
    Select,
    Star,
    SuiteQLError,
    Sysdate,
    Text,
    parse,
)

MOST_ROWS = 100_000
_DETAIL = "Invalid search query. Detailed unprocessed description follows. Search error occurred: "
Compiled = tuple[str, str]
"""An expression in the database's SQL, and its type."""


class QueryRefused(ValueError):
    """The query is refused with this ``detail``."""


class Queries:
    """Runs queries. ``visible`` says whether the role may see a table or one of its columns."""

    def __init__(
        self,
        database: Database,
        visible: Callable[[str, str | None], bool],
        now: Callable[[], datetime],
        seed: int = 7,
    ) -> None:
        self._database = database
        self._visible = visible
        self._now = now
        self.date_format = "M/D/YYYY"
        self._random = random.Random(seed)
        sql = database.sql
        sql.create_function("sim_to_char", 2, to_char, deterministic=True)
        sql.create_function("sim_drift", 0, lambda: self._random.getrandbits(32))

    def run(self, query: str, params: Sequence[Any], limit: int, offset: int) -> tuple[list[dict[str, Any]], int]:
        """One page of rows as the vendor shows them, and the total. Raises: ``QueryRefused``."""
        try:
            plan = _Plan(
                self._database,
                self._visible,
                self._now,
                self.date_format,
                params,
                parse(query),
            )
            names, sql, values = plan.names, plan.sql, plan.values
            total = self._database.sql.execute(f"SELECT COUNT(*) FROM ({sql})", values).fetchone()[0]
            order = f"{plan.order}, sim_drift()" if plan.order else "sim_drift()"
            # An aggregate or DISTINCT has no row order of its own to disturb.
            tail = (f" ORDER BY {plan.order}" if plan.order else "") if plan.folded else f" ORDER BY {order}"
            page = self._database.sql.execute(
                f"{sql}{tail} LIMIT ? OFFSET ?",
                [*values, *plan.order_values, limit, offset],
            )
            rows = [{n: _shown(v) for n, v in zip(names, row, strict=True) if v is not None} for row in page]
        except (SuiteQLError, FormatError) as error:
            raise QueryRefused(f"{_DETAIL}{error}.") from error
        except sqlite3.Error as error:
            raise QueryRefused(f"{_DETAIL}Invalid or unsupported search ({type(error).__name__}).") from error
        return [{"links": [], **row} for row in rows[: max(0, MOST_ROWS - offset)]], min(total, MOST_ROWS)


def _shown(value: Any) -> str:
    return number_text(value) if isinstance(value, int | float) else str(value)


class _Plan:
    """One query, compiled."""

    def __init__(
        self,
        database: Database,
        visible: Callable[[str, str | None], bool],
        now: Callable[[], datetime],
        date_format: str,
        params: Sequence[Any],
        tree: Select,
    ) -> None:
        self._database = database
        self._visible = visible
        self._now_local = local_text(now(), database.zone)
        self._date_format = date_format
        self._params = params
        self._scopes: dict[str, TableSpec] = {}
        self.values: list[Any] = []
        source = "(SELECT 1)"
        joins = []
        if tree.table.name != "dual":
            self._add_scope(tree.table.name, tree.table.alias)
            source = f'"{tree.table.name}" AS "{tree.table.alias}"'
        for join in tree.joins:
            self._add_scope(join.table.name, join.table.alias)
        items = [self._shown(item) for whole in tree.items for item in self._expanded(whole)]
        for join in tree.joins:
            word = "LEFT JOIN" if join.outer else "JOIN"
            joins.append(f' {word} "{join.table.name}" AS "{join.table.alias}" ON {self._condition(join.on)}')
        self.names = [name for name, _ in items]
        self.folded = tree.distinct or any(sql.startswith(("COUNT(", "MAX(", "MIN(", "SUM(")) for _, sql in items)
        distinct = "DISTINCT " if tree.distinct else ""
        self.sql = f"SELECT {distinct}{', '.join(sql for _, sql in items)} FROM {source}{''.join(joins)}"
        if tree.where:
            self.sql += f" WHERE {self._condition(tree.where)}"
        marked = len(self.values)
        orders = [self._order(order.expression, tree.items) + (" DESC NULLS FIRST" if order.descending else " ASC NULLS LAST")
                  for order in tree.order]  # fmt: skip
        self.order = ", ".join(orders)
        self.order_values = self.values[marked:]
        del self.values[marked:]

    def _add_scope(self, name: str, alias: str) -> None:
        table = self._database.tables.get(name)
        if table is None or not self._visible(name, None):
            raise SuiteQLError(f"Record '{name}' was not found")
        self._scopes[alias] = table

    def _expanded(self, item: Item) -> list[Item]:
        if not isinstance(item.expression, Star):
            return [item]
        only = item.expression.table
        return [
            Item(Column(alias, name))
            for alias, table in self._scopes.items()
            if only in (None, alias)
            for name in table.columns
            if self._visible(table.name, name)
        ]

    def _shown(self, item: Item) -> tuple[str, str]:
        name = item.alias or (item.expression.name if isinstance(item.expression, Column) else "expr1")
        sql, kind = self._expression(item.expression)
        if kind in ("date", "datetime"):
            self._database.sql.create_function("sim_user", 1, lambda v: user_date(v, self._date_format))
            sql = f"sim_user({sql})"
        return name.lower(), sql

    def _order(self, expression: Expression, items: Sequence[Item]) -> str:
        if isinstance(expression, Number):
            expression = items[int(expression.value) - 1].expression
        if isinstance(expression, Column) and expression.table is None:
            aliased = [i.expression for i in items if i.alias and i.alias.lower() == expression.name]
            expression = aliased[0] if aliased else expression
        sql, kind = self._expression(expression)
        return f"CAST({sql} AS REAL)" if kind == "number" else sql

    def _column(self, column: Column) -> tuple[str, ColumnSpec]:
        found = [
            (alias, table.columns[column.name])
            for alias, table in self._scopes.items()
            if column.table in (None, alias) and column.name in table.columns and self._visible(table.name, column.name)
        ]
        if not found:
            where = self._scopes.get(column.table or "") or next(iter(self._scopes.values()), None)
            if where is None:
                raise SuiteQLError(f"Unknown identifier '{column.table or column.name}'")
            raise SuiteQLError(
                f"Field '{column.name}' for record '{where.name}' was not found. Reason: NOT_EXPOSED - Field is not exposed"
            )
        if len(found) > 1:
            raise SuiteQLError(f"Ambiguous identifier '{column.name}'")
        return found[0]

    def _expression(self, expression: Expression) -> Compiled:
        match expression:
            case Column():
                alias, spec = self._column(expression)
                twin = "__local" if spec.type == "datetime" else ""
                return f'"{alias}"."{spec.name}{twin}"', spec.type
            case Text(value):
                self.values.append(value)
                return "?", "text"
            case Number(value):
                self.values.append(int(value) if "." not in value else float(value))
                return "?", "integer" if "." not in value else "number"
            case Param(index):
                return self._param(index)
            case Sysdate():
                self.values.append(self._now_local)
                return "?", "datetime"
            case Star():
                return "*", "integer"
            case Call():
                return self._call(expression)

    def _param(self, index: int) -> Compiled:
        if index >= len(self._params):
            raise SuiteQLError(f"Missing value for parameter {index + 1}")
        value = self._params[index]
        self.values.append(value if isinstance(value, int | float) and not isinstance(value, bool) else str(value))
        kind = "integer" if isinstance(value, int) else "number" if isinstance(value, float) else "text"
        return "?", kind

    def _constant(self, expression: Expression) -> str:
        if isinstance(expression, Text):
            return expression.value
        if isinstance(expression, Param) and expression.index < len(self._params):
            return str(self._params[expression.index])
        raise SuiteQLError("Invalid or unsupported search: a constant is expected")

    def _call(self, call: Call) -> Compiled:
        name, arguments = call.name, call.arguments
        if name in ("TO_DATE", "TO_TIMESTAMP"):
            self.values.append(from_text(self._constant(arguments[0]), self._constant(arguments[1])))
            return "?", "datetime"
        if name == "TO_CHAR":
            sql, kind = self._expression(arguments[0])
            if kind in ("date", "datetime"):
                if len(arguments) < 2:
                    raise SuiteQLError("Invalid or unsupported search: TO_CHAR of a date needs a format")
                mask = self._constant(arguments[1])
                to_char("2000-01-01 00:00:00", mask)
                self.values.append(mask)
                return f"sim_to_char({sql}, ?)", "text"
            return f"CAST({sql} AS TEXT)", "text"
        if name == "BUILTIN.DF":
            return self._display(arguments[0])
        compiled = [self._expression(argument) for argument in arguments]
        listed = ", ".join(sql for sql, _ in compiled)
        kind = compiled[0][1]
        if name in ("NVL", "COALESCE"):
            return f"COALESCE({listed})", kind
        if name in ("COUNT", "UPPER", "LOWER"):
            return f"{name}({listed})", "integer" if name == "COUNT" else "text"
        return (f"{name}(CAST({listed} AS REAL))", "number") if kind == "number" else (f"{name}({listed})", kind)

    def _display(self, expression: Expression) -> Compiled:
        if not isinstance(expression, Column):
            raise SuiteQLError("Invalid or unsupported search: BUILTIN.DF takes a field")
        alias, spec = self._column(expression)
        here = f'"{alias}"."{spec.name}"'
        target = self._database.tables.get("customer" if spec.references == "entity" else spec.references or "")
        if target is None:
            return here, spec.type
        return (
            f'COALESCE((SELECT d."{target.display}" FROM "{target.name}" d WHERE d.id = {here}), {here})',
            "text",
        )

    def _condition(self, condition: Condition) -> str:
        match condition:
            case And(parts):
                return "(" + " AND ".join(map(self._condition, parts)) + ")"
            case Or(parts):
                return "(" + " OR ".join(map(self._condition, parts)) + ")"
            case Not(part):
                return f"NOT ({self._condition(part)})"
            case IsNull(left, negated):
                return f"{self._expression(left)[0]} IS {'NOT ' if negated else ''}NULL"
            case Like(left, pattern, negated):
                return f"{self._expression(left)[0]} {'NOT ' if negated else ''}LIKE {self._expression(pattern)[0]}"
            case In(left, choices, negated):
                first = self._expression(left)
                rest = ", ".join(self._operand(choice, first[1]) for choice in choices)
                return f"{self._side(first, first[1])} {'NOT ' if negated else ''}IN ({rest})"
            case Compare(sign, left, right):
                return self._compare("!=" if sign == "<>" else sign, left, right)

    def _compare(self, sign: str, left: Expression, right: Expression) -> str:
        a_constant = isinstance(left, Text | Number | Param) and not isinstance(right, Text | Number | Param)
        if a_constant:
            mark = len(self.values)
            kind = self._expression(right)[1]
            del self.values[mark:]
            operand = self._operand(left, kind)
            return f"{operand} {sign} {self._side(self._expression(right), kind)}"
        first = self._expression(left)
        mark = len(self.values)
        other = self._expression(right)[1]
        del self.values[mark:]
        kind = "datetime" if {first[1], other} == {"date", "datetime"} else first[1]
        if kind == "integer" and other == "number":
            kind = "number"
        return f"{self._side(first, kind)} {sign} {self._operand(right, kind)}"

    @staticmethod
    def _side(side: Compiled, kind: str) -> str:
        if kind == "number":
            return f"CAST({side[0]} AS REAL)"
        if kind == "datetime" and side[1] == "date":
            return f"({side[0]} || ' 00:00:00')"
        return side[0]

    def _operand(self, expression: Expression, kind: str) -> str:
        """The other side of a comparison, brought to the type of the first one as the vendor does."""
        mark = len(self.values)
        side = self._expression(expression)
        constant = isinstance(expression, Text | Number | Param)
        if constant:
            value = self.values[mark]
            if kind in ("integer", "number"):
                self.values[mark] = self._as_number(value)
            elif kind in ("date", "datetime"):
                day = from_user_date(str(value), self._date_format)
                self.values[mark] = day if kind == "date" else f"{day} 00:00:00"
            else:
                self.values[mark] = str(value)
            return "?"
        return self._side(side, kind)

    @staticmethod
    def _as_number(value: Any) -> int | float:
        try:
            return int(value) if str(value).lstrip("-").isdigit() else float(value)
        except ValueError as error:
            raise SuiteQLError("Invalid number") from error
