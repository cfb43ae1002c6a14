"""What people see in a terminal: tables and short sentences. Nothing is computed here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from jobs.printing import harmless

STATES = {
    "active": "green", "won": "bold green", "paid": "bold green", "stated": "green", "payable": "cyan", "done": "green",
    "conflict": "yellow", "in_review": "yellow", "held": "yellow", "late": "red", "rejected": "red", "expired": "red",
    "incomplete": "red", "inadmissible": "red", "superseded": "dim", "withdrawn": "dim",
}  # fmt: skip


class _Shown:
    """Anything that is printed, without control characters in its text."""

    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, on: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in on.render(self._inner, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


class _Harmless(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Each of them as :class:`_Shown`."""
        return [_Shown(one) for one in renderables]


def console(file: IO[str] | None = None, *, wide: int = 120) -> Console:
    """The terminal, or a file; plain, and so ``wide``, when output is not one."""
    terminal = file is None and sys.stdout.isatty()
    made = Console(file=file, highlight=False, emoji=False, width=None if terminal else wide,
                   color_system="auto" if file is None else None)  # fmt: skip
    made.push_render_hook(_Harmless())
    return made


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> Table:
    """A table; states are coloured, ``right`` columns are aligned to the right."""
    made = Table(
        title=title, title_justify="left", title_style="bold", show_edge=False, pad_edge=False, header_style="dim"
    )
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(name, value) for name, value in zip(columns, row, strict=True)))
    return made


def cards(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Rows that are too wide for a table: each as the names and values of the columns that say something."""
    made = Table.grid(padding=(0, 2))
    made.title, made.title_justify, made.title_style = title, "left", "bold"
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for number, row in enumerate(rows):
        if number:
            made.add_row("", "")
        for name, value in zip(columns, row, strict=True):
            if value not in (None, "", []):
                made.add_row(name, _cell("state" if name in ("lead_status", "deal_status", "status") else name, value))
    return made


def _cell(column: str, value: Any) -> Text:
    shown = "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return Text(harmless(shown), style=STATES.get(shown, "") if column == "state" else "")


def show_outcome(document: Mapping[str, Any], out: Console | None = None) -> None:
    """The outcome of `referee settle` as tables, each with its reasons."""
    out = out or console()
    out.print(f"[bold]{', '.join(document['programs'])}[/] as of {document['as_of']}")
    shapes: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
        ("claims", ("referral", "partner", "account", "state", "rank", "won_on", "failed", "because"), ("rank",)),
        ("tiers", ("program", "partner", "tier", "count", "since", "review_on"), ("count",)),
        ("entries", ("partner", "kind", "source", "amount", "currency", "state", "released_on", "because"), ("amount",)),
        ("statements", ("id", "opening", "total", "payable", "carried_forward", "due_on", "state"),
         ("opening", "total", "payable", "carried_forward")),
        ("support", ("account", "partner", "name", "since", "until", "reason"), ()),
        ("tasks", ("kind", "subject", "opened_on", "due_on", "state", "because"), ()),
        ("rejected", ("line", "type", "id", "field", "found", "allowed"), ()),
    )  # fmt: skip
    for name, columns, right in shapes:
        rows = document[name]
        if rows:
            values = [[_plain(row[column]) for column in columns] for row in rows]
            out.print()
            out.print(table(f"{name} ({len(rows)})", columns, values, right=right))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return " ".join(str(part) for part in value.values())
    return value


def show_plan(summary: Mapping[str, Any], items: Iterable[Any], out: Console | None = None, *, most: int = 20) -> None:
    """A plan: counts by object, its cost, and field by field what would change."""
    out = out or console()
    if not summary["objects"] and not summary["refused"]:
        out.print(Text.assemble((f"plan for {summary['connection']}", "bold"), ": nothing to write"))
        return
    rows = [
        (name, count["create"], count["update"], count["unchanged"], count["blocked"], count["overwrites"],
         count["conflicts"])
        for name, count in summary["objects"].items()
    ]  # fmt: skip
    columns = ("object", "create", "update", "unchanged", "blocked", "overwrites", "conflicts")
    out.print(table(f"plan for {summary['connection']} ({summary['hash'][:12]})", columns, rows, right=columns[1:]))
    share = "" if summary["share"] is None else f", {summary['share']:.2%} of the daily limit"
    used = "" if summary["used"] is None else f"; used so far: {summary['used']:,} of {summary['allowed']:,}"
    out.print(f"API calls to write it: {summary['calls']}{share}{used}")
    for cost in summary["costs"]:
        out.print(
            f"  {cost['object']}: {_count(cost['rows'], 'record')} by {cost['way']}: {_count(cost['calls'], 'API call')}"
        )
    waits = [(item, clash) for item in items for clash in item.clashes if clash.taken is None]
    for item, clash in waits[:most]:
        name = f"{item.ref.object} {item.ref.key} {clash.field}"
        out.print(Text(f"  conflict {name}: there {_short(clash.theirs)}, here {_short(clash.ours)}", style="yellow"))
    shown = [item for item in items if item.action in ("create", "update", "blocked")]
    for item in shown[:most]:
        out.print(
            Text(f"  {item.action} {item.ref.object} {item.ref.key}", style={"blocked": "yellow"}.get(item.action, ""))
        )
        for change in item.changes if item.action == "update" else ():
            out.print(Text(f"      {change.name}: {_short(change.before)} → {_short(change.after)}"))
        if item.reason:
            out.print(Text(f"      {item.reason}"))
        elif item.because:
            out.print(Text(f"      because: {_short(item.because, 160)}", style="dim"))
    if len(shown) > most:
        out.print(f"  … and {len(shown) - most} more (all of them with --json)")
    for reason in summary["refused"]:
        out.print(Text(f"refused: {reason}", style="red"))


def show_reads(connection: str, reads: Sequence[Mapping[str, Any]], out: Console) -> None:
    """How the objects of a connection were read; those that brought nothing are summed up."""
    brought = [one for one in reads if one["records"] or one["jobs"]]
    for one in brought:
        jobs = f" {', '.join(one['jobs'])}" if one["jobs"] else ""
        records, calls = _count(one["records"], "record"), _count(one["calls"], "API call")
        out.print(f"read {connection} {one['object']}: {records} by {one['way']}{jobs}: {calls}", markup=False)
    if quiet := len(reads) - len(brought):
        calls = sum(one["calls"] for one in reads if one not in brought)
        other = "other " if brought else ""
        out.print(
            f"read {connection}: nothing new in {_count(quiet, f'{other}object')}: {_count(calls, 'API call')}",
            markup=False,
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _short(value: Any, length: int = 60) -> str:
    shown = "nothing" if value is None or value == "" else str(value)
    return shown if len(shown) <= length else shown[: length - 1] + "…"
