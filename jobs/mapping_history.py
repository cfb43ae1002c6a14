"""Job: versions of a mapping: those that runs have used, what differs between two, and one of them put back."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping as Map
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs.installation import Installation, known_connection
from jobs.problems import UserError
from jobs.show import console, table
from sync import mapping_versions
from sync.errors import SyncError
from sync.mapping import Mapping, load_mapping
from sync.mapping_versions import MappingVersion

NOW = "file"
"""The name of the mapping as its file says it now, beside the hashes of versions."""


def mapping_versions_of(here: Installation, name: str) -> list[MappingVersion]:
    """The versions that runs of a connection used, the last first. Raises: ``UserError``."""
    known_connection(here, name)
    with here.store.reading() as db:
        return mapping_versions.versions(db, name)


def version_report(here: Installation, name: str, found: Sequence[MappingVersion]) -> list[dict[str, Any]]:
    """The versions as JSON values; which of them the file is now."""
    now = _file_hash(here, name)
    return [
        {"hash": one.hash, "first_used_at": one.first_used_at.isoformat(), "last_used_at": one.last_used_at.isoformat(),
         "runs": one.runs, "is_file": one.hash == now}
        for one in found
    ]  # fmt: skip


def show_versions(name: str, rows: Sequence[Map[str, Any]]) -> None:
    """Print them, and what to do with them."""
    out = console()
    if not rows:
        out.print(f"{name}: no run has used a mapping yet; `referee sync --plan-only` is the first")
        return
    shown = [
        (one["hash"], one["first_used_at"][:19], one["last_used_at"][:19], one["runs"], "yes" if one["is_file"] else "")
        for one in rows
    ]
    out.print(table(name, ("version", "first used", "last used", "runs", "the file now"), shown, right=("runs",)))
    if not any(one["is_file"] for one in rows):
        out.print("the file has been changed since: `referee mapping diff` shows how, `referee remap` carries it out")


def diff_versions(here: Installation, name: str, before: str | None, after: str) -> dict[str, Any]:
    """What differs between two versions (hashes, their beginnings, or ``file``), and what that means for a run.

    ``before``: the version that a run used last, unless given. Raises: ``UserError`` for a version that is not there.
    """
    known = mapping_versions_of(here, name)
    if before is None:
        if not known:
            raise UserError(
                f"mapping diff: no run of {name} has used a mapping yet; run `referee sync --plan-only` first"
            )
        before = known[0].hash
    one, two = (_version(here, name, known, wanted) for wanted in (before, after))
    lines = list(
        difflib.unified_diff(
            one.text.splitlines(), two.text.splitlines(), _label(before, one), _label(after, two), lineterm=""
        )
    )
    old = {part.kind: part for part in one.objects}
    new = {part.kind: part for part in two.objects}
    both = [kind for kind in new if kind in old]
    return {
        "from": one.hash, "to": two.hash, "same": one.hash == two.hash,
        "objects": {
            "added": [kind for kind in new if kind not in old],
            "removed": [kind for kind in old if kind not in new],
            "read_anew": [kind for kind in both if old[kind].query_hash != new[kind].query_hash],
            "mapped_anew": [kind for kind in both if old[kind].hash != new[kind].hash],
        },
        "lines": lines,
    }  # fmt: skip


def _label(wanted: str, mapping: Mapping) -> str:
    return wanted if wanted == NOW else mapping.hash


def show_diff(found: Map[str, Any]) -> None:
    """Print the lines, and what they mean."""
    out = console()
    colours = {"+": "green", "-": "red", "@": "cyan"}
    from rich.text import Text

    for line in found["lines"]:
        out.print(Text(line, style=colours.get(line[:1], "")), soft_wrap=True)
    if found["same"]:
        out.print("both say the same" + (" (only comments or layout differ)" if found["lines"] else ""))
        return
    words = {
        "added": "read from now on",
        "removed": "not read any more",
        "mapped_anew": "facts made anew",
        "read_anew": "read once more from the start",
    }
    for name, kinds in found["objects"].items():
        if kinds:
            out.print(f"{words[name]}: {', '.join(kinds)}")
    out.print("next: `referee remap --diff` shows what that changes in the facts; `referee remap` carries it out")


def roll_back(here: Installation, name: str, to: str | None) -> dict[str, Any]:
    """Put an earlier version into the connection's mapping file; the file as it was is kept beside it.

    ``to``: the hash or its beginning; unless given, the last version used that the file does not say now.
    Raises: ``UserError`` when there is no such version, or the connection has no mapping file of its own.
    """
    known = mapping_versions_of(here, name)
    path = _file(here, name)
    if path is None:
        system = here.settings.connections[name].system
        raise UserError(
            f"{here.settings.place('connections', name)}: mapping: found nothing, so the mapping shipped with {system} is used; "
            f"allowed: a file of yours. `referee init` writes one to start from"
        )
    now = _file_hash(here, name)
    if to is None:
        earlier = next((one for one in known if one.hash != now), None)
        if earlier is None:
            raise UserError(
                f"mapping rollback: {name} has no earlier version; `referee mapping list {name}` shows those there are"
            )
        to = earlier.hash
    wanted = _version(here, name, known, to)
    try:
        kept = _kept_beside(path)
        path.write_text(wanted.text, "utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    return {"connection": name, "file": str(path), "from": now, "to": wanted.hash, "kept": str(kept)}


def _kept_beside(path: Path) -> Path:
    """Keep what a file says beside it, under a name that holds nothing else: an edit that no run used is nowhere else."""
    said = path.read_bytes() if path.exists() else b""
    for number in itertools.count(1):
        kept = path.with_name(f"{path.name}.replaced{'' if number == 1 else f'-{number}'}")
        if not kept.exists():
            kept.write_bytes(said)
        if kept.read_bytes() == said:
            break
    return kept


def show_rollback(found: Map[str, Any]) -> None:
    """Print what was done and what to do next."""
    out = console()
    out.print(f"{found['file']} is version {found['to']} again; as it was, it is in {found['kept']}", markup=False)
    out.print("next: `referee remap --diff` shows what that changes in the facts; `referee remap` carries it out")


def _version(here: Installation, name: str, known: Sequence[MappingVersion], wanted: str) -> Mapping:
    """A version by its hash or the beginning of it, or the file. Raises: ``UserError``."""
    if wanted == NOW:
        return here.open([name])[0].mapping
    found = [one for one in known if one.hash.startswith(wanted)]
    if len(found) != 1:
        what = "no version" if not found else f"{len(found)} versions"
        there = ", ".join(one.hash for one in known) or "none yet"
        raise UserError(f"mapping of {name}: found {what} {wanted!r}; allowed: {NOW}, or one of {there}")
    return load_mapping(f"version {found[0].hash}", found[0].text)


def mapping_for(here: Installation, name: str, wanted: str | None) -> Mapping:
    """A mapping of a connection: a version by its hash, a file, or (``None``) what its settings say. Raises: ``UserError``."""
    if wanted is None:
        return here.open([name])[0].mapping
    if Path(wanted).is_file():
        return load_mapping(Path(wanted))
    return _version(here, name, mapping_versions_of(here, name), wanted)


def _file(here: Installation, name: str) -> Path | None:
    chosen = here.settings.connections[name].mapping
    return None if chosen is None else here.settings.path(chosen)


def _file_hash(here: Installation, name: str) -> str | None:
    """The version that the file says now; nothing when it cannot be read."""
    try:
        return here.open([name])[0].mapping.hash
    except SyncError:
        return None
