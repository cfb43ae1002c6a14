"""Job: the demo. Two simulated systems over real HTTP, a store on SQLite, two months of daily syncs, and what came of it."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.text import Text

from connectors.registry import load
from jobs.config import ConnectionSettings, Settings
from jobs.demo_story import DAYS, World, story
from jobs.installation import Installation
from jobs.logs import set_up_logs
from jobs.problems import UserError
from jobs.show import console, table
from jobs.stored import stored_outcome
from jobs.sync import Synced, sync
from rules.program import load_program
from sync.store import Store

FOLDER = Path("referee-demo")
_MARK = ".referee-demo"
EXPIRY = "P45D"
"""The policy leaves open how long a claim lasts; the demo's vendor chose 45 days, so that one can be seen to expire."""


def run_demo(folder: Path | None = None, *, json: bool = False) -> dict[str, Any]:
    """Play the story and print what happened. Returns the figures. Raises: ``UserError`` for a folder that is not ours."""
    place = cleared(folder or FOLDER)
    set_up_logs("console", "error")
    started = time.monotonic()
    with _world() as world:
        here = _installation(place, world)
        try:
            totals = _play(here, world, quiet=json)
            outcome = outcome_of(here)
            written = {name: system.journal.count_by_key() for name, system in (("crm", world.crm), ("erp", world.erp))}
        finally:
            here.store.close()
    figures = {
        "folder": str(place), "seconds": round(time.monotonic() - started, 1), **totals,
        "written_records": {name: len(keys) for name, keys in written.items()},
        "claims": len(outcome["claims"]), "entries": len(outcome["entries"]), "statements": len(outcome["statements"]),
    }  # fmt: skip
    if json:
        import orjson

        sys.stdout.buffer.write(
            orjson.dumps({**figures, "outcome": outcome}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        )
    else:
        _tell(world, outcome, figures, place)
    return figures


def cleared(folder: Path) -> Path:
    if folder.exists() and not (folder / _MARK).exists():
        raise UserError(f"demo: {folder} is there and was not made by the demo; give another folder with --keep")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).write_text("made by `referee demo`; may be deleted\n")
    return folder


@contextmanager
def _world() -> Iterator[World]:
    world = World(None, None)
    crm, erp = load("salesforce"), load("netsuite")
    assert crm.simulator is not None and erp.simulator is not None
    with crm.simulator(now=world.now) as world.crm, erp.simulator(now=world.now) as world.erp:
        yield world


def _installation(place: Path, world: World) -> Installation:
    """Settings, as `referee.yaml` would hold them; written beside the store so that the other commands work on it."""
    program = load_program("next-technik", {"claim_expiry": EXPIRY})
    settings = Settings(
        programs=("next-technik.json",),
        connections={
            "crm": ConnectionSettings.model_validate({
                "system": "salesforce", "every": "15m",
                "settings": {"url": world.crm.url, "allow_loopback": True, "client_id": "client-of-tests",
                             "client_secret": "secret-of-tests"},
            }),
            "erp": ConnectionSettings.model_validate({
                "system": "netsuite", "every": "15m",
                "settings": {"account": world.erp.account, "base_url": world.erp.url, "allow_loopback": True, "auth": "m2m",
                             **world.erp.logins.generate("ES256")},
            }),
        },
        file=place / "referee.yaml",
    )  # fmt: skip
    (place / "next-technik.json").write_text(program.model_dump_json(indent=1))
    write_settings(place, settings)
    store = Store.open(settings.store_url)
    store.migrate()
    return Installation(settings, store, [program], world.now, lambda _seconds: None)


def write_settings(place: Path, settings: Settings) -> None:
    from ruamel.yaml import YAML

    body = {
        "store": "sqlite:///referee.db",
        "programs": list(settings.programs),
        "connections": {name: each.model_dump(exclude_defaults=True) for name, each in settings.connections.items()},
    }
    with (place / "referee.yaml").open("w", encoding="utf-8") as out:
        out.write("# Made by `referee demo`. The simulated systems ended with it; the store is whole.\n")
        YAML().dump(body, out)


def _play(here: Installation, world: World, *, quiet: bool) -> dict[str, Any]:
    """Every day: people act, then the scheduled sync runs."""
    acts = story()
    calls, entries, problems = 0, 0, []
    noticed = Noticed(world)
    bar = _bar(quiet)
    for day in range(DAYS):
        for act_day, act in acts:
            if act_day == day:
                act(world)
                world.moment += timedelta(minutes=1)
        world.moment += timedelta(minutes=30)
        result: Synced = sync(here.store, here.programs, here.open(), here.clock)
        calls += sum(pulled.calls for pulled in result.pulled.values()) + sum(
            one.calls for rounds in result.written.values() for one in rounds
        )
        entries += sum(one.new_entries for one in result.settled)
        problems += [f"{world.today}: {reason}" for reason in result.failed + result.refused]
        noticed.look(outcome_of(here))
        world.moment += timedelta(days=1) - (world.moment - _morning(world, day))
        bar(day + 1)
    return {"syncs": DAYS, "api_calls": calls, "problems": problems}


class Noticed:
    """What each sync brought, told beside what people did."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._entries: set[str] = set()
        self._cut: set[str] = set()
        self._tasks: dict[str, str] = {}
        self._states: dict[str, str] = {}

    def look(self, outcome: dict[str, Any]) -> None:
        """Compare the outcome with the one before, and tell the difference."""
        names = names_of(self._world)
        for claim in outcome["claims"]:
            lead = names.get(claim["referral"], "")
            before, now = self._states.get(claim["referral"]), claim["state"]
            if " by " in lead and before != now and now in ("conflict", "won"):
                self._tell(f"{lead.removeprefix('lead ')}: {now}, rank {claim['rank']}")
            self._states[claim["referral"]] = now
        for entry in outcome["entries"]:
            if entry["key"] not in self._entries:
                verb = "earns" if entry["kind"] == "commission" else entry["kind"]
                why = with_names(entry["because"].split(";")[0], names)
                self._tell(f"{names.get(entry['partner'])} {verb} {entry['amount']} AUD: {why}")
                self._entries.add(entry["key"])
        for statement in outcome["statements"]:
            if statement["state"] != "open" and statement["id"] not in self._cut:
                period = f"{statement['period_from'][:7]}"
                self._tell(f"statement {period} of {names.get(statement['partner'])} is cut: payable {statement['payable']}, "
                           f"carried forward {statement['carried_forward']}, due by {statement['due_on']}")  # fmt: skip
                self._cut.add(statement["id"])
        for task in outcome["tasks"]:
            told = task["kind"] in (
                "conflict",
                "rate_missing",
                "support_review",
                "certification",
                "partner_invoice_mismatch",
            )
            if told and self._tasks.get(task["key"]) is None:
                self._tell(
                    f"a person is needed ({task['kind'].replace('_', ' ')}): {with_names(task['because'], names)}"
                )
            self._tasks[task["key"]] = task["state"]

    def _tell(self, text: str) -> None:
        self._world.told.append((self._world.today, f"→ {text}"))


def names_of(world: World) -> dict[str, str]:
    """The story's names of what was made, by id."""
    return {identity: name for name, identity in world.ids.items() if not name.startswith("enrollment")}


def _morning(world: World, day: int) -> Any:
    from jobs.demo_story import START

    return START + timedelta(days=day)


def _bar(quiet: bool) -> Any:
    if quiet or not sys.stderr.isatty():
        return lambda _day: None
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    bar.start()
    task = bar.add_task("two months of daily syncs", total=DAYS)

    def advance(day: int) -> None:
        bar.update(task, completed=day)
        if day == DAYS:
            bar.stop()

    return advance


def outcome_of(here: Installation) -> dict[str, Any]:
    now = here.clock()
    with here.store.reading() as db:
        return stored_outcome(db, here.programs, {p.id: p.calendar.date_of(now) for p in here.programs})


def _tell(world: World, outcome: dict[str, Any], figures: dict[str, Any], place: Path) -> None:
    names = names_of(world)

    def named(value: str | None) -> str:
        return names.get(value or "", value or "").removeprefix("lead ")

    out = console()
    out.print("\n[bold]What people did[/] in a simulated Salesforce and NetSuite, and what [cyan]Referee[/] made of it")
    last = None
    for day, text in world.told:
        shown = f"{day:%d %b}" if day != last else ""
        last = day
        out.print(Text(f"  {shown:6}  {text}", style="cyan" if text.startswith("→") else ""))
    claims = [c for c in outcome["claims"] if "by" in named(c["referral"])]
    rows = [(named(c["referral"]), named(c["partner"]), c["state"], c["rank"], c["because"]) for c in claims]
    out.print("\n[bold]Who referred whom[/]")
    out.print(table("", ("referral", "partner", "state", "rank", "because"), rows, right=("rank",)))
    others: dict[str, int] = {}
    for claim in outcome["claims"]:
        if claim not in claims:
            others[claim["state"]] = others.get(claim["state"], 0) + 1
    out.print("  the other referrals: " + ", ".join(f"{count} {state}" for state, count in sorted(others.items())))
    out.print("\n[bold]What they are owed[/]")
    entries = [
        (named(e["partner"]), e["kind"], e["amount"], e["state"], e["released_on"], with_names(e["because"], names))
        for e in sorted(outcome["entries"], key=lambda e: (e["earned_on"], e["key"]))
    ]
    out.print(table("", ("partner", "kind", "AUD", "state", "released", "because"), entries, right=("AUD",)))
    statements = [
        (
            named(s["partner"]),
            s["period_from"][:7],
            s["opening"],
            s["total"],
            s["payable"],
            s["carried_forward"],
            s["due_on"],
            s["state"],
        )
        for s in outcome["statements"]
    ]
    columns = ("partner", "period", "opening", "total", "payable", "carried", "due", "state")
    out.print(table("statements", columns, statements, right=columns[2:6]))
    out.print("\n[bold]Who supports the customer, and what waits for a person[/]")
    for row in outcome["support"]:
        out.print(
            f"  {named(row['account'])}: {row['name']} ({row['email']}) since {row['since']}; billing contact untouched"
        )
    for task in outcome["tasks"]:
        if task["kind"] not in ("portal_login",) and task["state"] != "done":
            out.print(f"  {task['kind']}: {with_names(task['because'], names)}", markup=False)
    _written(world, out, named)
    out.print(
        f"\n{figures['syncs']} syncs, {figures['api_calls']} API calls, {figures['claims']} claims, {figures['entries']} entries, "
        f"{figures['statements']} statements in {figures['seconds']} s."
    )
    for problem in figures["problems"]:
        out.print(f"[red]{problem}[/]")
    entry = next((e["key"] for e in outcome["entries"] if e["kind"] == "reversal"), "KEY")
    out.print("\nLook further:")
    config = f"--config {place / 'referee.yaml'}"
    out.print(f"  referee explain '{entry}' {config}", markup=False, soft_wrap=True)
    out.print(f"  referee status {config}", markup=False, soft_wrap=True)
    out.print(f"  referee ledger verify {config}", markup=False, soft_wrap=True)


def _written(world: World, out: Any, named: Any) -> None:
    """What stands in the CRM now."""
    lead = world.crm.get("Lead", world.ids["lead Harbour by Northline"])
    account = world.crm.get("Account", world.ids["Harbour"])
    out.print("\n[bold]What stands in the CRM now[/]")
    out.print(
        f"  Lead Harbour by Northline: status {lead.get('Referral_Status__c')}, rank {lead.get('Referral_Rank__c')}"
    )
    out.print(
        f"  Account Harbour: partner {named(account.get('Referral_Partner__c'))}, support {account.get('Support_Contact_Name__c')}, "
        f"billing still {account.get('Billing_Contact_Email__c')}"
    )
    rows = [
        (named(row["Partner__c"]), row["Kind__c"], row["Amount__c"], row["State__c"], row["Because__c"])
        for row in world.crm.all_rows("Commission__c")
    ]
    out.print(table("Commission__c", ("partner", "kind", "amount", "state", "because"), rows, right=("amount",)))


def with_names(text: str, names: dict[str, str]) -> str:
    for identity, name in names.items():
        if len(identity) > 12 and identity in text:
            text = text.replace(identity, name)
    return text
