"""The commands that work with connections and a store; each calls the job of its name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

Config = Annotated[Path, typer.Option("--config", "-c", help="The settings file.", show_default=True)]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]
Only = Annotated[list[str] | None, typer.Option("--connection", help="Only this connection; repeatable.")]
Allow = Annotated[str | None, typer.Option("--allow", help="Your name: lets a plan past its brakes.", metavar="NAME")]
DEFAULT = Path("referee.yaml")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (init, check, sync, plan, apply, remap, explain, status, trace, run, demo, simulate, doctor):
        app.command()(command)
    ledger = typer.Typer(help="Look into the stored ledger.", no_args_is_help=True)
    ledger.command("verify")(ledger_verify)
    ledger.command("balance")(ledger_balance)
    app.add_typer(ledger, name="ledger")
    letters = typer.Typer(help="Writes that a system rejected and that wait for a person.", no_args_is_help=True)
    letters.command("list")(letters_list)
    letters.command("retry")(letters_retry)
    app.add_typer(letters, name="dead-letters")


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write the files.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write a commented referee.yaml, the mappings, the program and an .env.example to start from."""
    from jobs.init import write_start

    for path in write_start(folder, force=force):
        typer.echo(f"wrote {path}")
    typer.echo("next: put your connections into referee.yaml, then run `referee check`")


def check(config: Config = DEFAULT, connection: Only = None, json: Json = False) -> None:
    """Connect, read what each system says of itself, and report every field that does not fit the mapping."""
    from jobs.check import check_connections, show_check
    from jobs.installation import installation

    with installation(config) as here:
        found = check_connections(here, connection)
    _print_json(found) if json else show_check(found)
    if any(problem["level"] == "error" for one in found for problem in one["problems"]):
        raise typer.Exit(1)


def sync(
    config: Config = DEFAULT,
    connection: Only = None,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Pull and settle, show the plan, write nothing.")
    ] = False,
    allow: Allow = None,
    json: Json = False,
) -> None:
    """Pull what changed, settle it, plan what to write back, and write it."""
    from jobs.installation import installation
    from jobs.reports import show_sync, sync_report
    from jobs.sync import sync as run_sync

    with installation(config) as here, here.progress(quiet=json) as progress:
        result = run_sync(
            here.store,
            here.programs,
            here.open(connection),
            here.clock,
            write=not plan_only,
            allow=allow,
            progress=progress,
        )
    _print_json(sync_report(result)) if json else show_sync(result, plan_only=plan_only)
    if result.refused:
        raise typer.Exit(3)
    if result.failed or result.busy:
        raise typer.Exit(1)


def plan(config: Config = DEFAULT, connection: Only = None, json: Json = False) -> None:
    """Show what would be written: counts, every field before and after, API calls and share of the daily limit."""
    from jobs.installation import installation
    from jobs.reports import plan_report, show_plans
    from jobs.sync import plan_for

    with installation(config) as here:
        now = here.clock()
        plans = [plan_for(here.store, here.programs, each, now) for each in here.writing(connection)]
    _print_json(plan_report(plans)) if json else show_plans(plans)
    if any(not one.may_run for one in plans):
        raise typer.Exit(3)


def apply(config: Config = DEFAULT, connection: Only = None, allow: Allow = None, json: Json = False) -> None:
    """Make the plan and carry it out through the outbox; also sends what an earlier run left."""
    from jobs.installation import installation
    from jobs.reports import show_sync, sync_report
    from jobs.sync import apply_all

    with installation(config) as here:
        result = apply_all(here.store, here.programs, here.writing(connection), here.clock, allow=allow)
    _print_json(sync_report(result)) if json else show_sync(result)
    if result.refused:
        raise typer.Exit(3)
    if result.failed or result.busy:
        raise typer.Exit(1)


def remap(config: Config = DEFAULT, connection: Only = None, json: Json = False) -> None:
    """Make the facts anew from what is stored, after a mapping was changed; nothing is pulled."""
    from jobs.installation import installation
    from jobs.remap import remap_connections, show_remap

    with installation(config) as here:
        found = remap_connections(here, connection)
    _print_json(found) if json else show_remap(found)
    if any(one["unread"] for one in found):
        raise typer.Exit(1)


def explain(
    key: Annotated[
        str, typer.Argument(help="An entry key, referral, statement, task or account, or CONNECTION:OBJECT:ID.")
    ],
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Say why: down to the records, their versions, and the clauses."""
    from jobs.explain import explain_key, show_explanation
    from jobs.installation import installation

    with installation(config) as here:
        found = explain_key(here, key)
    _print_json(found) if json else show_explanation(found)


def status(config: Config = DEFAULT, json: Json = False) -> None:
    """How things stand: streams, last runs, quarantined records, waiting writes, money by state."""
    from jobs.installation import installation
    from jobs.status import show_status, status_of

    with installation(config) as here:
        found = status_of(here)
    _print_json(found) if json else show_status(found)


def trace(
    record: Annotated[str, typer.Argument(help="CONNECTION:OBJECT:ID, such as crm:Lead:00Q…")],
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Everything held about one external record: versions seen, facts made, rejections."""
    from jobs.explain import show_explanation, trace_record
    from jobs.installation import installation

    with installation(config) as here:
        found = trace_record(here, record)
    _print_json(found) if json else show_explanation(found)


def run(
    config: Config = DEFAULT,
    once: Annotated[
        bool, typer.Option("--once", help="Sync each connection that has a schedule, once, then stop.")
    ] = False,
) -> None:
    """Run the schedules of referee.yaml in this process, until it is told to stop."""
    from jobs.installation import installation
    from jobs.schedule import run_schedules

    with installation(config) as here:
        if not run_schedules(here, once=once):
            raise typer.Exit(1)


def demo(
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Folder in which the demo's store and settings stay.")
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="A shorter story on a real Tryton server instead of simulated systems.")
    ] = False,
    install: Annotated[
        bool,
        typer.Option("--install", help="With --real: let uv or pip make the server's environment, if it is not there."),
    ] = False,
    json: Json = False,
) -> None:
    """Two simulated systems, three partners, two months of syncs: watch a contested company being settled."""
    if real:
        from jobs.demo_real import run_real_demo

        run_real_demo(keep, install=install, json=json)
        return
    if install:
        raise typer.BadParameter("goes with --real only", param_hint="--install")
    from jobs.demo import run_demo

    run_demo(keep, json=json)


def simulate(
    system: Annotated[str, typer.Argument(help="salesforce or netsuite")],
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 0,
    seed: Annotated[int, typer.Option(help="Same seed, same companies.")] = 1,
    companies: Annotated[int, typer.Option(help="How many companies to make up.")] = 1000,
) -> None:
    """Start a simulated system on this machine, to try mappings against; prints the settings to connect with."""
    from jobs.simulate import serve

    serve(system, port=port, seed=seed, companies=companies)


def doctor(config: Config = DEFAULT, json: Json = False) -> None:
    """Check this installation: whose packages are imported, versions, settings, store."""
    from jobs.doctor import examine, show_examination

    found = examine(config)
    _print_json(found) if json else show_examination(found)
    if any(not one["ok"] for one in found):
        raise typer.Exit(1)


def ledger_verify(config: Config = DEFAULT, json: Json = False) -> None:
    """Check the hash chain of the journal, and that every currency's postings sum to zero."""
    from jobs.installation import installation
    from jobs.ledger import show_verified, verify

    with installation(config) as here:
        found = verify(here.store)
    _print_json(found) if json else show_verified(found)
    if not found["ok"]:
        raise typer.Exit(1)


def ledger_balance(config: Config = DEFAULT, json: Json = False) -> None:
    """Balances of every account of the ledger, by currency."""
    from jobs.installation import installation
    from jobs.ledger import balances, show_balances

    with installation(config) as here:
        found = balances(here.store)
    _print_json(found) if json else show_balances(found)


def letters_list(config: Config = DEFAULT, connection: Only = None, json: Json = False) -> None:
    """List rejected writes with their cause and what to do."""
    from jobs.installation import installation
    from jobs.letters import letters, show_letters

    with installation(config) as here:
        found = letters(here, connection)
    _print_json(found) if json else show_letters(found)


def letters_retry(
    numbers: Annotated[list[int], typer.Argument(help="Numbers as listed.")],
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Let rejected writes be tried again with the next apply."""
    from jobs.installation import installation
    from jobs.letters import retry_letters

    with installation(config) as here:
        count = retry_letters(here, numbers)
    _print_json({"revived": count}) if json else typer.echo(
        f"{count} of {len(numbers)} will be tried again; run `referee apply`"
    )


def _print_json(value: Any) -> None:
    import orjson

    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str))
    sys.stdout.buffer.flush()
