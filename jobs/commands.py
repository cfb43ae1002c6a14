"""The commands that work with connections and a store; each calls the job of its name."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from jobs import connector_commands, mapping_commands, notification_commands, secret_commands
from jobs.printing import DEFAULT, Config, Json
from jobs.printing import print_json as _print_json

Only = Annotated[list[str] | None, typer.Option("--connection", help="Only this connection; repeatable.")]
Allow = Annotated[str | None, typer.Option("--allow", help="Your name: lets a plan past its brakes.", metavar="NAME")]
Programs = Annotated[
    list[str] | None, typer.Option("--program", "-p", help="A shipped program or a program file; repeatable.")
]
Records = Annotated[str | None, typer.Option("--records", "-r", help="JSON Lines file, or - for standard input.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Local date of the program, YYYY-MM-DD.", metavar="DATE")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Override one setting: key=value.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write here, not to standard output.")]


class Side(StrEnum):
    """Whose value stands in a conflict."""

    theirs = "theirs"
    ours = "ours"


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (
        init,
        check,
        sync,
        plan,
        apply,
        remap,
        reconcile,
        match,
        explain,
        what_if,
        test,
        status,
        trace,
        run,
        prune,
        listen,
        demo,
        simulate,
        doctor,
    ):
        app.command()(command)
    ledger = typer.Typer(help="Look into the stored ledger.", no_args_is_help=True)
    ledger.command("verify")(ledger_verify)
    ledger.command("balance")(ledger_balance)
    app.add_typer(ledger, name="ledger")
    program = typer.Typer(help="Check a program file; compare two.", no_args_is_help=True)
    program.command("check")(program_check)
    program.command("diff")(program_diff)
    app.add_typer(program, name="program")
    letters = typer.Typer(help="Writes that a system rejected and that wait for a person.", no_args_is_help=True)
    letters.command("list")(letters_list)
    letters.command("retry")(letters_retry)
    letters.command("release")(letters_release)
    letters.command("edit")(letters_edit)
    app.add_typer(letters, name="dead-letters")
    connector_commands.register(app)
    mapping_commands.register(app)
    conflicts = typer.Typer(help="Fields that we and a system hold differently.", no_args_is_help=True)
    conflicts.command("list")(conflicts_list)
    conflicts.command("show")(conflicts_show)
    conflicts.command("resolve")(conflicts_resolve)
    app.add_typer(conflicts, name="conflicts")
    secret_commands.register(app)
    notification_commands.register(app)


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write the files.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write a commented referee.yaml, mappings, programs with three scenarios, and an .env.example to start from."""
    from jobs.init import write_start

    for path in write_start(folder, force=force):
        typer.echo(f"wrote {path}")
    typer.echo(
        "next: put your connections into referee.yaml, then run `referee check`; `referee test` runs the scenarios"
    )


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
            notifier=here.notifier(),
            every=here.open,
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
        _print_json(plan_report(plans, here.store)) if json else show_plans(plans, here.store)
    if any(not one.may_run for one in plans):
        raise typer.Exit(3)


def apply(
    config: Config = DEFAULT,
    connection: Only = None,
    approved: Annotated[
        list[str] | None,
        typer.Option(
            "--plan", help="Only the plan of this hash, as `referee plan` shows it; repeatable.", metavar="HASH"
        ),
    ] = None,
    allow: Allow = None,
    json: Json = False,
) -> None:
    """Make the plan and carry it out through the outbox; also sends what an earlier run left."""
    from jobs.installation import installation
    from jobs.problems import UserError
    from jobs.reports import show_sync, sync_report
    from jobs.sync import apply_all

    hashes = [each.lower() for each in approved or ()]
    if wrong := [each for each in hashes if len(each) < 8 or set(each) - set("0123456789abcdef")]:
        raise UserError(
            f"--plan: found {wrong[0]!r}; allowed: the hash that `referee plan` shows, or its first 8 digits or more"
        )
    with installation(config) as here:
        result = apply_all(
            here.store, here.programs, here.writing(connection), here.clock, allow=allow, approved=hashes
        )
    _print_json(sync_report(result)) if json else show_sync(result)
    if result.refused:
        raise typer.Exit(3)
    if result.failed or result.busy:
        raise typer.Exit(1)


def remap(
    config: Config = DEFAULT,
    connection: Only = None,
    diff: Annotated[bool, typer.Option("--diff", help="Only show what would change; writes nothing.")] = False,
    mapping: Annotated[str | None, typer.Option("--mapping", help="With --diff: a version or a file instead.")] = None,
    run: Annotated[
        int | None, typer.Option("--run", help="With --diff: what this run read, beside what it made.")
    ] = None,
    allow: Allow = None,
    json: Json = False,
) -> None:
    """Make the facts anew from what is stored, after a mapping was changed; nothing is pulled."""
    from jobs.installation import installation
    from jobs.problems import UserError
    from jobs.remap import differences, remap_connections, show_differences, show_remap

    if not diff and (mapping is not None or run is not None):
        raise UserError("remap: found --mapping or --run; allowed: together with --diff, which writes nothing")
    if diff:
        with installation(config) as here:
            found = differences(here, connection, mapping, run)
        _print_json(found) if json else show_differences(found)
        return
    with installation(config) as here:
        found = remap_connections(here, connection, allow=allow)
    _print_json(found) if json else show_remap(found)
    if any(one["refused"] for one in found):
        raise typer.Exit(3)
    if any(one["unread"] for one in found):
        raise typer.Exit(1)


def reconcile(
    config: Config = DEFAULT,
    connection: Only = None,
    repair: Annotated[bool, typer.Option("--repair", help="Take over what the systems hold.")] = False,
    allow: Allow = None,
    json: Json = False,
) -> None:
    """List every record of each system once more: counts and sums of money by day, and each record that differs."""
    from jobs.installation import installation
    from jobs.reconcile import reconcile_connections, show_reconciled

    with installation(config) as here:
        found = reconcile_connections(here, connection, repair=repair, allow=allow)
    _print_json(found) if json else show_reconciled(found)
    states = {one["state"] for one in found}
    if "refused" in states:
        raise typer.Exit(3)
    if not states <= {"equal", "repaired"}:
        raise typer.Exit(1)


def match(
    connection: Annotated[
        str, typer.Argument(help="The connection whose accounts and partners are looked for elsewhere.")
    ],
    accept: Annotated[bool, typer.Option("--accept", help="Link every pair that hard evidence ties.")] = False,
    link: Annotated[
        list[str] | None, typer.Option("--link", help="Link by hand: TYPE:ID=OTHER; repeatable.", metavar="PAIR")
    ] = None,
    unlink: Annotated[
        list[str] | None, typer.Option("--unlink", help="Take a link back: TYPE:ID; repeatable.", metavar="ONE")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who decides; the login name without it.")] = None,
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Find which accounts and partners of two systems are the same; nothing is linked before you accept it.

    Exit code 1 while a pair is ambiguous.
    """
    import getpass

    from jobs.installation import installation
    from jobs.match import match_connection, show_matches

    with installation(config) as here:
        found = match_connection(
            here, connection, accept=accept, pairs=link or (), undo=unlink or (), by=by or getpass.getuser()
        )
    _print_json(found) if json else show_matches(found)
    if any(one["state"] == "ambiguous" for one in found):
        raise typer.Exit(1)


def explain(
    key: Annotated[
        str,
        typer.Argument(help="An entry key, referral, statement, task, partner or account, or CONNECTION:OBJECT:ID."),
    ],
    config: Config = DEFAULT,
    program: Programs = None,
    records: Records = None,
    as_of: AsOf = None,
    sets: Sets = None,
    format: Annotated[str, typer.Option(help="text, json, html, mermaid, png or svg.")] = "text",
    output: Output = None,
    json: Json = False,
) -> None:
    """Say why: the records, their versions, the terms, the arithmetic and the clauses behind a row, as a tree.

    Of the store, or with --program, --records and --as-of of a file.
    """
    from jobs.explain import explain_file, explain_key, show_explanation
    from jobs.installation import installation
    from jobs.trace import names_a_record, show_trace, trace_record

    if records is not None:
        found = explain_file(key, _given("--program", program), records, _given("--as-of", as_of), sets or [])
    else:
        _only_with_records(program, as_of, sets)
        with installation(config) as here:
            if names_a_record(here, key):
                record = trace_record(here, key)
                _print_json(record) if json else show_trace(record)
                return
            found = explain_key(here, key)
    show_explanation(found, "json" if json else format, output)


def what_if(
    sets: Annotated[list[str] | None, typer.Option("--set", help="A changed setting: key=value; repeatable.")] = None,
    program_file: Annotated[str | None, typer.Option("--program-file", help="Take the terms of this file.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Local date from which they hold; all of history without it.", metavar="DATE"),
    ] = None,
    config: Config = DEFAULT,
    program: Annotated[str | None, typer.Option("--program", "-p", help="A shipped program or a program file.")] = None,
    records: Records = None,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    """Replay history under other terms: the difference for each partner and clause. Nothing is changed.

    Over the store, or with --program, --records and --as-of over a file.
    """
    from jobs.installation import installation
    from jobs.settle_file import date_option, load_programs, read_records
    from jobs.what_if import other_terms, show_what_if, what_if_of_file, what_if_of_store

    terms = other_terms(sets or [], program_file, date_option("--since", since) if since else None)
    if records is not None:
        (loaded,) = load_programs([_given("--program", program)], [])
        day = date_option("--as-of", _given("--as-of", as_of))
        found = what_if_of_file(loaded, terms, read_records(records)[0], day, file=records)
    else:
        with installation(config) as here:
            found = what_if_of_store(here, program, terms, date_option("--as-of", as_of) if as_of else None)
    _print_json(found) if json else show_what_if(found)


def status(config: Config = DEFAULT, json: Json = False) -> None:
    """How things stand: streams, last runs, quarantined records, waiting writes, money by state."""
    from jobs.installation import installation
    from jobs.status import show_status, status_of

    with installation(config) as here:
        found = status_of(here)
    _print_json(found) if json else show_status(found)


def trace(
    record: Annotated[
        str,
        typer.Argument(
            help="CONNECTION:OBJECT:ID, such as crm:Lead:00Q…; a system's name will do where one connection has it."
        ),
    ],
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Everything that happened to one external record: seen, mapped, decided, planned, written, answered, read back."""
    from jobs.installation import installation
    from jobs.trace import show_trace, trace_record

    with installation(config) as here:
        found = trace_record(here, record)
    _print_json(found) if json else show_trace(found)


def test(
    path: Annotated[
        Path | None,
        typer.Argument(help="A scenario file or a folder of them; programs/scenarios without it; `shipped` for ours."),
    ] = None,
    json: Json = False,
) -> None:
    """Run scenarios, the worked examples of a program, and show what does not come out as they say."""
    from jobs.trial import run_scenarios, show_results

    results = run_scenarios(path)
    _print_json(results) if json else show_results(results)
    if any(not result["passed"] for result in results):
        raise typer.Exit(1)


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


def prune(
    config: Config = DEFAULT,
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would go; deletes nothing.")] = False,
    json: Json = False,
) -> None:
    """Let go of operational history older than `retention` in referee.yaml; `referee run` does it once a day."""
    from jobs.installation import installation
    from jobs.prune import prune_history, show_pruned

    with installation(config) as here:
        found = prune_history(here, only_plan=plan)
    _print_json(found) if json else show_pruned(found)


def listen(config: Config = DEFAULT) -> None:
    """Only take in webhooks and change events, and pull early on them, until told to stop; `run` does it too."""
    from jobs.installation import installation
    from jobs.schedule import run_listening

    with installation(config) as here:
        run_listening(here)


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
    system: Annotated[str, typer.Argument(help="salesforce, netsuite or hubspot")],
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 0,
    seed: Annotated[int, typer.Option(help="Same seed, same companies.")] = 1,
    companies: Annotated[int, typer.Option(help="How many companies to make up.")] = 1000,
    crm: Annotated[str, typer.Option(help="Whose ids an ERP's customers carry: salesforce or hubspot.")] = "salesforce",
    webhooks: Annotated[
        str | None, typer.Option(help="hubspot: post what changes to this address, such as http://127.0.0.1:8089/crm.")
    ] = None,
) -> None:
    """Start a simulated system on this machine, to try mappings against; prints the settings to connect with."""
    from jobs.simulate import serve

    serve(system, port=port, seed=seed, companies=companies, crm=crm, webhooks=webhooks)


def doctor(config: Config = DEFAULT, json: Json = False) -> None:
    """Check this installation: whose packages are imported, versions, settings, store."""
    from jobs.doctor import examine, show_examination

    found = examine(config)
    _print_json(found) if json else show_examination(found)
    if any(not one["ok"] for one in found):
        raise typer.Exit(1)


def program_check(
    program: Annotated[str, typer.Argument(help="A program file, or a shipped program.")], json: Json = False
) -> None:
    """Find terms that cannot apply, contradict one another or leave something out; each with its line and what to do."""
    from jobs.programs import check_file, show_check

    found = check_file(program)
    _print_json(found) if json else show_check(program, found)
    if any(each["level"] == "error" for each in found):
        raise typer.Exit(1)


def program_diff(
    before: Annotated[str, typer.Argument(help="A program file, or a shipped program.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
    json: Json = False,
) -> None:
    """Say in words how two programs differ, term by term and setting by setting."""
    from jobs.programs import diff_files, show_diff

    found = diff_files(before, after)
    _print_json(found) if json else show_diff(found)


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


def conflicts_list(
    config: Config = DEFAULT,
    connection: Only = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are settled or past.")] = False,
    json: Json = False,
) -> None:
    """List fields that a person changed in a system and that we want otherwise; exit code 1 while some are open."""
    from jobs.conflicts import conflicts_of, show_conflicts
    from jobs.installation import installation

    with installation(config) as here:
        found = conflicts_of(here, connection, everything=everything)
    _print_json(found) if json else show_conflicts(found)
    if any(one["state"] == "open" for one in found):
        raise typer.Exit(1)


def conflicts_show(
    key: Annotated[str, typer.Argument(help="Number or name as listed.")], config: Config = DEFAULT, json: Json = False
) -> None:
    """Show one conflict: both values, what both last held, when, who, and what became of the field before."""
    from jobs.conflicts import conflict_of, show_conflict
    from jobs.installation import installation

    with installation(config) as here:
        found = conflict_of(here, key)
    _print_json(found) if json else show_conflict(found)


def conflicts_resolve(
    keys: Annotated[list[str], typer.Argument(help="Numbers or names as listed.")],
    take: Annotated[Side, typer.Option("--take", help="Whose value stands.")],
    by: Annotated[str | None, typer.Option("--by", help="Who decides; the login name without it.")] = None,
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Say whose value stands: ours is written with the next apply, theirs is left until one side changes again."""
    import getpass

    from jobs.conflicts import resolve, show_conflicts
    from jobs.installation import installation

    with installation(config) as here:
        found = resolve(
            here, keys, "theirs" if take is Side.theirs else "ours", getpass.getuser() if by is None else by
        )
    _print_json(found) if json else show_conflicts(found)


def letters_release(
    kind: Annotated[str, typer.Option("--kind", help="data, permission, parent, lock, limit or schema.")],
    config: Config = DEFAULT,
    connection: Only = None,
    json: Json = False,
) -> None:
    """Let all rejected writes of one kind be tried again, once their cause is mended."""
    from jobs.installation import installation
    from jobs.letters import release_letters

    with installation(config) as here:
        count = release_letters(here, kind, connection)
    _print_json({"revived": count}) if json else typer.echo(f"{count} will be tried again; run `referee apply`")


def letters_edit(
    which: Annotated[str, typer.Argument(help="Number as listed, or key of the record.", metavar="KEY")],
    sets: Annotated[list[str], typer.Option("--set", help="field=value; null empties it; repeatable.")],
    by: Annotated[str, typer.Option("--by", help="Your name; it is kept with the write.", metavar="NAME")],
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Replace values of one rejected write and let it be tried again with the next apply."""
    from jobs.installation import installation
    from jobs.letters import edit_letter

    with installation(config) as here:
        letter = edit_letter(here, which, sets, by)
    _print_json(letter) if json else typer.echo(
        f"{letter['object']} {letter['key']} will be tried again as edited; run `referee apply`"
    )


T = TypeVar("T")


def _given(option: str, value: T | None) -> T:
    """An option that goes with --records. Raises: ``UserError`` when it is not given."""
    from jobs.problems import UserError

    if not value:
        raise UserError(f"{option}: found nothing; allowed: with --records also {option}")
    return value


def _only_with_records(program: list[str] | None, as_of: str | None, sets: list[str] | None) -> None:
    from jobs.problems import UserError

    for option, value in (("--program", program), ("--as-of", as_of), ("--set", sets)):
        if value:
            raise UserError(f"{option}: found without --records; allowed: with --records FILE")
