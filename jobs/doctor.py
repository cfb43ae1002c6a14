"""Job: examine this installation: whose packages are imported, versions, settings, store, connectors, clock.

Nothing of ours is imported before a check needs it, so that a package of another owner is reported, not stumbled over.
"""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

if TYPE_CHECKING:
    from jobs.config import Settings

OURS = "referee"
NAMES = ("connectors", "jobs", "rules", "sync")
ROOT = Path(__file__).resolve().parent.parent
_SLACK = timedelta(minutes=5)
"""Clocks of two machines that share a store may differ by so much."""
_OLDEST = datetime(2026, 1, 1, tzinfo=UTC)


def examine(config: Path, *, clock: Callable[[], datetime] | None = None) -> list[dict[str, Any]]:
    """Every check with what was found, what is allowed, and what to do; a failed one never stops the others."""
    found = [*(_owner(name) for name in NAMES), _python(), _dependencies()]
    if not all(one["ok"] for one in found):
        return found
    settings, row = _settings(config)
    found += [row, *_connectors()]
    last: datetime | None = None
    if settings is not None:
        found += [_connection(settings, name) for name in settings.connections]
        row, last = _store(settings)
        found.append(row)
    return [*found, _clock(clock, last)]


def strangers() -> str:
    """Which of our import names others own, in words; for a start that fails because of it."""
    wrong = [row for name in NAMES if not (row := _owner(name))["ok"]]
    return (
        "; ".join(f"{row['check']}: found {row['found']}; {row['hint']}" for row in wrong)
        or "no stranger owns our names"
    )


def show_examination(found: list[dict[str, Any]]) -> None:
    """Print the checks, and what to do about those that failed."""
    from jobs.show import console, table

    out = console()
    rows = [("ok" if one["ok"] else "mend", one["check"], one["found"], one["allowed"]) for one in found]
    out.print(table("", ("", "check", "found", "allowed"), rows))
    for one in found:
        if one["hint"]:
            out.print(f"{one['check']}: {one['hint']}", markup=False)
    failed = sum(not one["ok"] for one in found)
    out.print("everything is well" if not failed else f"{failed} of {len(found)} checks failed")


def _row(check: str, ok: bool, found: str, allowed: str, hint: str = "") -> dict[str, Any]:
    return {"check": check, "ok": ok, "found": found, "allowed": allowed, "hint": hint}


def _owner(name: str) -> dict[str, Any]:
    """An import name is ours when its files lie beside this one and no other distribution claims it."""
    spec = find_spec(name)
    place = Path(spec.origin).resolve().parent if spec and spec.origin else None
    others = sorted({owner for owner in packages_distributions().get(name, ()) if owner.lower() != OURS})
    ok = place == ROOT / name and not others
    found = f"{place or 'not importable'}" + (f"; claimed by {', '.join(others)}" if others else "")
    hint = (
        ""
        if ok
        else f"uninstall {' and '.join(others) or 'what lies there'}, or give referee an environment of its own"
    )
    return _row(f"import name {name}", ok, found, f"{ROOT / name}, of {OURS} alone", hint)


def _metadata() -> tuple[list[str], str]:
    """What is required, and of which Python: from the installed distribution, or from a checkout's pyproject.toml."""
    try:
        installed: Distribution = distribution(OURS)
        return installed.requires or [], installed.metadata["Requires-Python"]
    except PackageNotFoundError:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        return project["dependencies"], project["requires-python"]


def _python() -> dict[str, Any]:
    _, allowed = _metadata()
    found = platform.python_version()
    ok = SpecifierSet(allowed).contains(found, prereleases=True)
    return _row("Python", ok, found, allowed, "" if ok else "install a newer Python and make the environment anew")


def _dependencies() -> dict[str, Any]:
    wanted = [Requirement(text) for text in _metadata()[0]]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [text for one in wanted if (text := _misfit(one))]
    found = "; ".join(wrong) or f"{len(wanted)} distributions that fit"
    hint = "pip install --require-hashes -r requirements.txt brings the versions that were tested" if wrong else ""
    return _row("dependencies", not wrong, found, "what the distribution's metadata asks for", hint)


def _misfit(wanted: Requirement) -> str | None:
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return f"{wanted.name} is missing"
    fits = wanted.specifier.contains(found, prereleases=True)
    return None if fits else f"{wanted.name} {found} (needs {wanted.specifier})"


def _settings(config: Path) -> tuple[Settings | None, dict[str, Any]]:
    from jobs.config import load_settings
    from jobs.problems import UserError

    check, allowed = f"settings {config}", "a file that can be read and fits"
    if not config.exists():
        return None, _row(check, True, "not there", allowed, "`referee init` writes one to start from")
    try:
        settings = load_settings(config)
    except UserError as error:
        return None, _row(check, False, str(error), allowed, "mend the line named")
    names = ", ".join(f"{name} ({one.system})" for name, one in settings.connections.items())
    return settings, _row(check, True, f"connections {names}", allowed)


def _connectors() -> Iterable[dict[str, Any]]:
    from connectors.errors import ConnectorError
    from connectors.registry import load, owners

    try:
        known = owners()
    except ConnectorError as error:
        yield _row("connectors", False, str(error), "one owner a name", "uninstall one of them")
        return
    for name, (owner, target) in sorted(known.items()):
        try:
            load(name)
        except ConnectorError as error:
            yield _row(f"connector {name}", False, str(error), "a plugin that loads", f"mend or uninstall {owner}")
        else:
            yield _row(f"connector {name}", True, f"{target} of {owner}", "a plugin that loads")


def _connection(settings: Settings, name: str) -> dict[str, Any]:
    from connectors.errors import ConnectorError
    from connectors.registry import load
    from jobs.connections import connector_config, mapping_of, seals_of
    from jobs.problems import UserError
    from sync.errors import SyncError

    check, allowed = f"connection {name}", "settings and a mapping that fit"
    try:
        plugin = load(settings.connections[name].system)
        config = connector_config(settings, name, plugin)
        if plugin.keeps_refresh_tokens(config):
            seals_of(settings).check("its refresh token is kept in the store")
        mapping = mapping_of(settings, name, plugin)
    except (ConnectorError, UserError, SyncError) as error:
        return _row(check, False, str(error), allowed, "mend what is named; `referee check` then tries to log in")
    return _row(check, True, f"mapping of {len(mapping.objects)} objects, {len(mapping.writes)} written", allowed)


def _store(settings: Settings) -> tuple[dict[str, Any], datetime | None]:
    """Whether the store answers and has this version's tables; and when its last run was."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy.exc import SQLAlchemyError

    from sync.errors import SyncError
    from sync.migrate import FOLDER
    from sync.store import Store, address_of, shown

    wanted = ScriptDirectory(str(FOLDER))
    head, allowed = wanted.get_current_head(), f"tables {wanted.get_current_head()}"
    try:
        url = address_of(settings.store_url)
    except SyncError as error:
        return _row("store", False, str(error), allowed, "mend `store` in the settings"), None
    check = f"store {shown(url)}"
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return _row(check, True, "not there", allowed, "the first command that needs it makes it"), None
    try:
        store = Store.open(settings.store_url)
        try:
            with store.reading() as database:
                found = MigrationContext.configure(database).get_current_revision()
            last = (
                max((run.ended_at or run.started_at for run in store.runs(limit=1)), default=None)
                if found == head
                else None
            )
        finally:
            store.close()
    except (SQLAlchemyError, SyncError, OSError) as error:
        said = str(getattr(error, "orig", None) or error).splitlines()[0]
        return _row(check, False, said, allowed, "start the database, or mend `store` in the settings"), None
    if found == head:
        return _row(check, True, f"tables {found}", allowed), last
    newer = found is not None and found not in {one.revision for one in wanted.walk_revisions()}
    hint = "install the version of referee that made them" if newer else "`referee status` brings them up to date"
    return _row(check, False, f"tables {found or 'missing'}", allowed, hint), None


def _clock(clock: Callable[[], datetime] | None, last: datetime | None) -> dict[str, Any]:
    from jobs.clock import wall_clock

    now = (clock or wall_clock)()
    earliest = max(_OLDEST, last - _SLACK) if last else _OLDEST
    hint = "" if now >= earliest else "set the machine's clock; instants of receipt decide who was first"
    return _row(
        "clock", now >= earliest, f"{now:%Y-%m-%d %H:%M:%S} UTC", f"after {earliest:%Y-%m-%d %H:%M:%S} UTC", hint
    )
