"""Job: the short demo on a real Tryton server: one referral from the lead to the commission that stands in Tryton."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from rich.text import Text

from connectors.base import Record
from connectors.environments import NotInstalled, environment_of, is_made, made
from connectors.tryton.server.company import PASSWORD, USER, administrator
from connectors.tryton.server.office import Office
from connectors.tryton.server.prepared import build, is_prepared, prepared
from connectors.tryton.server.process import REQUIREMENTS, NotStarted, Server
from jobs.config import ConnectionSettings, Settings
from jobs.demo import FOLDER, Noticed, cleared, names_of, outcome_of, with_names, write_settings
from jobs.demo_story import World
from jobs.installation import Installation
from jobs.logs import set_up_logs
from jobs.problems import JobFailed, UserError
from jobs.show import console, table
from jobs.sync import sync
from rules.program import load_program
from sync.store import Store

DATABASE = "tryton"
PROGRAM = "next-technik"
PARTNER, CUSTOMER = "NORTHLINE", "HARBOUR"
LINES = (("PLAN", "5000.00"), ("DEVICE", "1200.00"))
"""What is sold: 5000.00 that commission is paid on, and a device, which it is not; 6820.00 with 10% tax."""
LAST_DAY = 75


def run_real_demo(folder: Path | None = None, *, install: bool = False, json: bool = False) -> dict[str, Any]:
    """Start a server, play the story, print what happened. Returns the figures.

    Nothing is installed without ``install``. Raises: ``UserError`` that says what is needed, or for a folder not ours.
    """
    tell = _silent if json else console().print
    environment = _environment(install, tell)
    place = cleared(folder or FOLDER)
    set_up_logs("console", "critical")
    started = time.monotonic()
    try:
        server = _server(environment, (place / "tryton").resolve(), tell)
        with server.running() as url:
            story = Story(Office(administrator(url, DATABASE)))
            with _installation(place, url, story.world) as here:
                problems = _play(here, story)
                outcome, held = outcome_of(here), _held(here)
    except NotStarted as error:
        raise JobFailed(f"demo: {error}") from None
    figures = {
        "folder": str(place), "seconds": round(time.monotonic() - started, 1), "problems": problems,
        "entries": outcome["entries"], "statements": outcome["statements"],
        "commissions": [dict(record.fields) for record in held],
    }  # fmt: skip
    if json:
        sys.stdout.buffer.write(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    else:
        _show(story.world, outcome, held, figures)
    return figures


def _silent(_text: str) -> None:
    """Say nothing."""


def _environment(install: bool, tell: Callable[[str], None]) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "referee"
    environment = environment_of(REQUIREMENTS, cache)
    if is_made(environment):
        return environment
    packages = sum("==" in line for line in REQUIREMENTS.read_text("utf-8").splitlines())
    needed = (
        f"a Tryton server 8.2 in an environment of its own: {packages} packages, about 100 MB, in {environment}, fetched "
        f"by uv or pip as the hashes of {REQUIREMENTS} say"
    )
    if not install:
        raise UserError(f"demo: --real needs {needed}. Nothing was installed; allowed: the same command with --install")
    tell(f"Installing {needed}.")
    try:
        return made(REQUIREMENTS, cache)
    except NotInstalled as error:
        raise JobFailed(f"demo: Tryton could not be installed: {error}") from None


def _server(environment: Path, folder: Path, tell: Callable[[str], None]) -> Server:
    """A server on a company's database, which is made the first time and copied from then on."""
    cache = environment.parent / "tryton"
    if not is_prepared(cache):
        tell("Making a Tryton database with its modules and a company, once; this takes about half a minute.")
    kept = prepared(cache, lambda place, years: build(Server(environment, place, DATABASE), years))
    shutil.copytree(kept, folder)
    return Server(environment, folder, DATABASE)


@contextmanager
def _installation(place: Path, url: str, world: World) -> Iterator[Installation]:
    connection = {
        "system": "tryton", "every": "15m",
        "settings": {"url": url, "database": DATABASE, "user": USER, "password": PASSWORD, "allow_loopback": True},
    }  # fmt: skip
    settings = Settings(
        programs=(PROGRAM,), connections={"tryton": ConnectionSettings.model_validate(connection)},
        file=place / "referee.yaml",
    )  # fmt: skip
    write_settings(place, settings)
    store = Store.open(settings.store_url)
    try:
        store.migrate()
        yield Installation(settings, store, [load_program(PROGRAM)], world.now, time.sleep)
    finally:
        store.close()


@dataclass
class Story:
    """What people do, by day. Tryton lives in real time; Referee's clock and the dates on documents move on."""

    office: Office
    world: World = field(default_factory=lambda: World(None, None, moment=datetime.now(UTC)))
    ids: dict[str, int] = field(default_factory=dict)

    def acts(self) -> list[tuple[int, Callable[[], str]]]:
        """The day of each act; an act does it and says what was done."""
        return [
            (0, self._partner_joins),
            (0, self._partner_refers),
            (3, self._customer_buys),
            (4, self._approved),
            (5, self._invoiced),
            (12, lambda: self._paid("half of")),
            (40, lambda: self._paid("the rest of")),
            (45, self._credited),
        ]

    @property
    def today(self) -> date:
        """The day where the vendor is."""
        return self.world.today

    def _partner_joins(self) -> str:
        party = self.office.party(PARTNER, "Northline Advisory")
        self.office.agent(party, self.office.plan(PROGRAM, "amount * 0.10"))
        self.world.ids["Northline"] = PARTNER
        return "Northline becomes an agent with a plan of 10%."

    def _partner_refers(self) -> str:
        customer = self.office.party(CUSTOMER, "Harbour Lift Services Pty Ltd", "https://harbourlift.com.au")
        notes = {"partner": PARTNER, "channel": "portal", "field technicians": "40", "industry": "facilities"}
        lead = self.office.lead(customer, "Referred by Northline", notes)
        self.ids |= {"customer": customer, "lead": lead}
        self.world.ids["lead Harbour by Northline"] = str(lead)
        return "Northline refers Harbour Lift Services: a party and a lead in Tryton."

    def _customer_buys(self) -> str:
        self.office.qualify(self.ids["lead"], LINES)
        self.ids["sale"] = self.office.win(self.ids["lead"], self.today, LINES)
        return "The opportunity is won: a sale of 6200.00 is confirmed and processed."

    def _approved(self) -> str:
        self.office.approve(self.ids["sale"], "Priya Raman", self.world.now().isoformat(timespec="seconds"))
        return "The channel manager approves the commission."

    def _invoiced(self) -> str:
        self.ids["invoice"] = self.office.invoice(self.ids["customer"], LINES, self.today, sale=self.ids["sale"])
        return "The invoice is posted: 6200.00 and 10% tax."

    def _paid(self, part: str) -> str:
        self.office.pay(self.ids["invoice"], "3410.00", self.today)
        return f"Harbour pays {part} its invoice, 3410.00 of 6820.00."

    def _credited(self) -> str:
        self.office.credit(self.ids["invoice"], [("PLAN", "600.00")], self.today)
        return "Harbour gets a credit note of 600.00."


def _play(here: Installation, story: Story) -> list[str]:
    """Every day on which something happens: people act, then a sync runs; at the end statements have been cut."""
    world, noticed = story.world, Noticed(story.world)
    start, problems = world.moment, []
    acts = story.acts()
    for day in sorted({day for day, _ in acts} | {LAST_DAY}):
        world.moment = max(world.moment, start + timedelta(days=day))
        for act_day, act in acts:
            if act_day == day:
                world.tell(act())
                world.moment += timedelta(minutes=1)
        # On the first day Tryton's time is ours; what people did took a while.
        world.moment = max(world.moment, datetime.now(UTC)) + timedelta(minutes=30)
        result = sync(here.store, here.programs, here.open(), here.clock)
        problems += [f"{world.today}: {reason}" for reason in result.failed + result.refused]
        noticed.look(outcome_of(here))
    return problems


def _held(here: Installation) -> list[Record]:
    """The commissions as they stand in Tryton, read anew."""
    (connection,) = here.open()
    keys = [entry["key"] for entry in outcome_of(here)["entries"]]
    fields = ("key", "agent_code", "base_amount", "amount", "currency_code", "date", "reason")
    return list(connection.connector.fetch("commission", fields, keys, key_field="key"))


def _show(world: World, outcome: dict[str, Any], held: list[Record], figures: dict[str, Any]) -> None:
    names, out = names_of(world), console()
    out.print("\n[bold]What people did[/] in a real Tryton, and what [cyan]Referee[/] made of it")
    last = None
    for day, text in world.told:
        shown, last = (f"{day:%d %b}" if day != last else ""), day
        out.print(Text(f"  {shown:6}  {text}", style="cyan" if text.startswith("→") else ""))
    rows = [
        (one.fields["agent_code"], one.fields["base_amount"], one.fields["amount"], one.fields["currency_code"],
         one.fields["date"], with_names(str(one.fields["reason"]), names))
        for one in held
    ]  # fmt: skip
    columns = ("agent", "base", "amount", "currency", "due", "reason")
    out.print("\n[bold]Commissions that stand in Tryton now[/], ready for its wizard that invoices them")
    out.print(table("", columns, rows, right=("base", "amount")))
    ours = sum((Decimal(entry["amount"]) for entry in outcome["entries"]), Decimal(0))
    theirs = sum((Decimal(one.fields["amount"]) for one in held), Decimal(0))
    out.print(f"  Referee's ledger says {ours:.2f}, Tryton holds {theirs:.2f}. It took {figures['seconds']} s.")
    for problem in figures["problems"]:
        out.print(f"[red]{problem}[/]")
    out.print(f"\nLook further:\n  referee status --config {Path(figures['folder']) / 'referee.yaml'}", soft_wrap=True)
