"""Facts: versions of records, when each becomes visible, and how a record read at any instant.

A version is visible from the later of its ``known_at`` and its own date, and no longer than until the next one is
known: a record whose date moved ahead is absent until then. A field that reports an event reads as absent before its own
date even when the line that carries it is known earlier.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, TypeVar

from rules.calendar import BEGINNING, Calendar
from rules.errors import RecordError
from rules.records import RECORDS, Fact, Referral, Withdrawal, changed, parse
from rules.repeated_keys import check_repeated_keys

F = TypeVar("F", bound=Fact)


@dataclass(slots=True)  # not frozen, as it should be: there are millions, as of views
class Version:
    """One version of a record; ``fact`` is ``None`` when it withdraws the record. ``line`` is where it stood."""

    known_at: datetime | None
    fact: Any
    line: int


@dataclass(
    slots=True
)  # not frozen, as it should be: there are millions, and a frozen one takes three times as long to make
class View(Generic[F]):
    """From ``at`` on (until the next view) the record reads as ``fact``; ``None``: absent. ``number`` counts versions."""

    at: datetime
    fact: F | None
    number: int = 1


Reading = tuple[datetime, Any]
"""A view without its number, for records of which there are millions."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A bad record: where it stood, what was found, what is allowed."""

    file: str
    line: int
    type: str | None
    id: str | None
    field: str
    found: str
    allowed: str

    def __str__(self) -> str:
        name = f" ({self.type} {self.id})" if self.type and self.id else ""
        return f"{self.file}:{self.line}{name}: {self.field or 'record'}: found {self.found}; allowed: {self.allowed}"


@dataclass(slots=True)
class Facts:
    """All versions of all records, by type and id; within a record in the order they became known."""

    versions: dict[str, dict[str, list[Version]]] = field(default_factory=lambda: {name: {} for name in RECORDS})

    def add(self, fact: Fact | Withdrawal, line: int = 0) -> None:
        """Add one version; order does not matter until :func:`arrange`."""
        absent = isinstance(fact, Withdrawal)
        version = Version(fact.known_at, None if absent else fact, line)
        self.versions[fact.type].setdefault(fact.id, []).append(version)  # type: ignore[union-attr]

    def of(self, kind: str) -> Mapping[str, list[Version]]:
        """All records of one type."""
        return self.versions[kind]

    def __len__(self) -> int:
        return sum(len(versions) for records in self.versions.values() for versions in records.values())


def read_facts(lines: Iterable[bytes | str], *, file: str) -> tuple[Facts, list[Rejected]]:
    """Read JSON Lines into facts; blank lines are allowed.

    Returns the facts and the bad lines. A bad line is left out, and so is what points at a record of which no good line
    remains; a record's other versions stand. Whether the rest may be used is the caller's choice.
    """
    facts, rejected = Facts(), []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fact = parse(line)
            check_repeated_keys(line, fact)
            facts.add(fact, number)
        except RecordError as error:
            rejected.append(_rejected(file, number, line, error))
    rejected += arrange(facts, file=file)
    rejected.sort(key=lambda bad: (bad.line, bad.field))
    return facts, rejected


def without(facts: Facts, bad: Iterable[Rejected]) -> None:
    """Take lines out that were found bad later (a payout for a statement that never was)."""
    for each in bad:
        if each.type is None or each.id is None:
            continue
        records = facts.versions[each.type]
        records[each.id] = [version for version in records.get(each.id, ()) if version.line != each.line]
        if not records[each.id]:
            del records[each.id]


def arrange(facts: Facts, *, file: str) -> list[Rejected]:
    """Order versions, check that they agree and that every id points at something; bad lines are taken out."""
    bad = list(_order_versions(facts, file))
    while dangling := list(_take_out_dangling(facts, file)):
        bad += dangling
        bad += _order_versions(facts, file)  # a withdrawal may have lost what it withdraws
    return bad


def _order_versions(facts: Facts, file: str) -> Iterator[Rejected]:
    for kind, records in facts.versions.items():
        for identity, versions in list(records.items()):
            if len(versions) == 1 and versions[0].fact is not None:
                continue
            while versions and (problem := _version_problem(kind, versions)):
                version, error = problem
                versions.remove(version)
                yield Rejected(file, version.line, kind, identity, error.field, error.found, error.allowed)
            if versions:
                versions.sort(key=lambda version: version.known_at or BEGINNING)
            else:
                del records[identity]


def _version_problem(kind: str, versions: list[Version]) -> tuple[Version, RecordError] | None:
    """The line to blame: of those that cannot stand together the last, since the earlier ones were good on their own."""
    silent = [version for version in versions if version.known_at is None]
    if len(silent) > 1:
        blamed = max(silent, key=lambda version: version.line)
        return blamed, RecordError("known_at", "nothing", "an instant on every version of a record but the first")
    stamped: dict[datetime, Version] = {}
    for version in sorted(versions, key=lambda version: version.line):
        if version.known_at is None:
            continue
        if version.known_at in stamped:
            allowed = "a different instant for each version of a record"
            return version, RecordError("known_at", version.known_at.isoformat(), allowed)
        stamped[version.known_at] = version
    ordered = sorted(versions, key=lambda version: version.known_at or BEGINNING)
    if ordered[0].fact is None:
        return ordered[0], RecordError("deleted", "true", "a withdrawal only after a version that it withdraws")
    if kind == "referral":
        first: Referral = ordered[0].fact
        for version in ordered[1:]:
            if version.fact is not None and version.fact.submitted_at != first.submitted_at:
                allowed = f"the first version's {first.submitted_at.isoformat()}: the instant of receipt never changes"
                return version, RecordError("submitted_at", version.fact.submitted_at.isoformat(), allowed)
    return None


def _take_out_dangling(facts: Facts, file: str) -> Iterator[Rejected]:
    known = facts.versions
    invoices = known["invoice"]
    for kind, model in RECORDS.items():
        references = [(name, target, known[target]) for name, target in model.references]
        has_invoice = "invoice" in {name for name, _ in model.references}
        has_subject = kind in _WITH_SUBJECT
        if not references and not has_subject:
            continue
        for identity, versions in list(known[kind].items()):
            for version in tuple(versions):
                fact = version.fact
                if fact is None:
                    continue
                error = None
                for name, target, there in references:
                    value = getattr(fact, name)
                    if value is None or (value.__class__ is str and value in there):
                        continue
                    if error := _dangling(name, value, target, there):
                        break
                else:
                    if has_invoice and (wrong := _wrong_currency(fact, invoices[fact.invoice])):
                        error = wrong
                    elif kind == "payment" and fact.reverses is not None:
                        error = _wrong_reversal(fact, known["payment"])
                    elif has_subject:
                        error = _unknown_subject(kind, fact, known)
                if error:
                    versions.remove(version)
                    yield Rejected(file, version.line, kind, identity, error.field, error.found, error.allowed)
            if not versions:
                del known[kind][identity]


def _dangling(name: str, value: str | list[str], target: str, known: Mapping[str, Any]) -> RecordError | None:
    for one in value if isinstance(value, list) else (value,):
        if one not in known:
            return RecordError(name, f'"{one}"', f"the id of {_an(target)} {target} record of this input")
    return None


def _an(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


_STATEMENT = re.compile(r"^[^:]+:(?P<partner>.+):\d{4}-\d{2}-\d{2}:[A-Z]{3}$")
_TASK = re.compile(r"^[^:]+:[^:]+:(?P<subject>.+):\d{4}-\d{2}-\d{2}$")
_ENTRY = re.compile(r"^[^:]+:(?P<referral>.+):[a-z_]+:[a-z_]+:.+:\d+$")


_WITH_SUBJECT = ("payout", "partner_invoice", "decision", "dispute")
"""Records with an id that the program itself makes, or that may be of several types."""


def _unknown_subject(kind: str, fact: Any, known: Mapping[str, Mapping[str, Any]]) -> RecordError | None:
    """Check an id that the program itself makes: by its form and the records that it names."""
    if kind in ("payout", "partner_invoice"):
        if _is_statement(fact.statement, known):
            return None
        allowed = "a statement id, program:partner:period_from:currency, of a known partner"
        return RecordError("statement", f'"{fact.statement}"', allowed)
    if kind == "decision" and not _is_subject(fact.about, known):
        allowed = (
            "a task key (program:kind:subject:opened_on), or the id of an account, referral or contract of this input"
        )
        return RecordError("about", f'"{fact.about}"', allowed)
    if kind == "dispute" and not (_is_subject(fact.subject, known) or _ENTRY.match(fact.subject)):
        return RecordError(
            "subject", f'"{fact.subject}"', "a statement id, a contract id of this input, or an entry key"
        )
    return None


def _is_statement(text: str, known: Mapping[str, Mapping[str, Any]]) -> bool:
    match = _STATEMENT.match(text)
    return match is not None and match["partner"] in known["partner"]


def _is_subject(text: str, known: Mapping[str, Mapping[str, Any]]) -> bool:
    if any(text in records for records in known.values()) or _is_statement(text, known):
        return True
    match = _TASK.match(text)
    return match is not None and (
        any(match["subject"] in records for records in known.values()) or _is_statement(match["subject"], known)
    )


def _wrong_currency(fact: Any, invoice: list[Version]) -> RecordError | None:
    for version in invoice:
        if version.fact is not None:
            if fact.currency == version.fact.currency:
                return None
            return RecordError("currency", fact.currency, f"the invoice's currency, {version.fact.currency}")
    return None  # only a withdrawal is left, which is taken out next


def _wrong_reversal(fact: Any, payments: Mapping[str, list[Version]]) -> RecordError | None:
    """A reversing payment takes back at most what its original brought, on the same invoice."""
    originals = [version.fact for version in payments[fact.reverses] if version.fact is not None]
    if not originals:
        return None
    if any(original.reverses is not None for original in originals):
        return RecordError("reverses", f'"{fact.reverses}"', "the id of a payment that is no reversal itself")
    if all(original.invoice != fact.invoice for original in originals):
        allowed = f'a payment of the same invoice, "{fact.invoice}"'
        return RecordError("reverses", f'"{fact.reverses}" of invoice "{originals[0].invoice}"', allowed)
    most = max(original.amount for original in originals)
    if fact.amount > most:
        return RecordError("amount", f"{fact.amount}", f"at most the original payment's {most}")
    return None


def _rejected(file: str, number: int, line: bytes | str, error: RecordError) -> Rejected:
    import orjson

    try:
        body = orjson.loads(line)
    except orjson.JSONDecodeError:
        body = None
    kind = body.get("type") if isinstance(body, dict) else None
    identity = body.get("id") if isinstance(body, dict) else None
    return Rejected(
        file, number, kind if isinstance(kind, str) else None, identity if isinstance(identity, str) else None,
        error.field, error.found, error.allowed,
    )  # fmt: skip


def views(versions: list[Version], calendar: Calendar, until: datetime) -> list[View[Any]]:
    """How a record read over time: one view from each instant at which something about it became true or known.

    Views at or after ``until`` are left out: they are not seen.
    """
    model = type(versions[0].fact)
    seen: list[View[Any]] = []
    for number, version in enumerate(versions, 1):
        ends = versions[number].known_at if number < len(versions) else None
        if seen and (moved := _moved_ahead(version, calendar)) is not None and moved < until:
            seen.append(View(moved, None, number))
        for view in _views_of(version, number, model, calendar):
            if view.at >= until or (ends is not None and view.at >= ends):
                continue
            if seen and seen[-1].at == view.at:
                seen[-1] = view
            else:
                seen.append(view)
    return seen


def timelines(records: Mapping[str, list[Version]], calendar: Calendar, until: datetime) -> dict[str, list[View[Any]]]:
    """The views of all records of one type; those never seen before ``until`` are left out."""
    found: dict[str, list[View[Any]]] = {}
    for identity, versions in records.items():
        if timeline := timeline_of(versions, calendar, until):
            found[identity] = timeline
    return found


def timeline_of(versions: list[Version], calendar: Calendar, until: datetime) -> list[View[Any]]:
    """The views of one record; none when it is never seen before ``until``."""
    version = versions[0]
    if len(versions) == 1 and not _reports(version.fact):
        at = _seen_from(version.fact, version.known_at, calendar)
        return [View(at, version.fact)] if at < until else []
    timeline = views(versions, calendar, until)
    return timeline if any(view.fact is not None for view in timeline) else []


def readings_of(versions: list[Version], calendar: Calendar, until: datetime) -> list[Reading]:
    """How one record read over time; nothing when it is never seen before ``until``."""
    version = versions[0]
    fact = version.fact
    if len(versions) == 1 and not (fact.events and _reports(fact)):
        at = _seen_from(fact, version.known_at, calendar)
        return [(at, fact)] if at < until else []
    return [(view.at, view.fact) for view in timeline_of(versions, calendar, until)]


def _reports(fact: Fact) -> bool:
    """Whether the record reports an event, before which it may have read otherwise."""
    for name, _ in fact.events:  # noqa: SIM110 - asked of millions, for each of which any() would make a generator
        if getattr(fact, name) is not None:
            return True
    return False


def dates_of(model: type[Fact]) -> list[str]:
    """The fields of a record type that say when the record, or what it reports, happened: until then it is not seen."""
    return [name for name, _ in model.events] + ([model.known_by] if model.known_by else [])


def comes_true(versions: list[Version], calendar: Calendar, after: datetime) -> date | None:
    """The next local date at or after an instant on which the record reads otherwise by the passing of time alone."""
    days = []
    for version in versions:
        if version.fact is None:
            continue
        for happened in (getattr(version.fact, name) for name in dates_of(type(version.fact))):
            if happened is None:
                continue
            starts = happened if isinstance(happened, datetime) else calendar.start_of(happened)
            if starts >= after:
                days.append(calendar.date_of(starts))
    return min(days) if days else None


def _views_of(version: Version, number: int, model: type[Fact], calendar: Calendar) -> Iterator[View[Any]]:
    fact = version.fact
    if fact is None:
        assert version.known_at is not None
        yield View(version.known_at, None, number)
        return
    at = _seen_from(fact, version.known_at, calendar)
    pending = []
    for name, hidden in model.events:
        happened = getattr(fact, name)
        if happened is None:
            continue
        instant = happened if isinstance(happened, datetime) else calendar.start_of(happened)
        if instant > at:
            pending.append((instant, hidden))
    if not pending:
        yield View(at, fact, number)
        return
    pending.sort(key=lambda event: event[0])
    for index in range(len(pending) + 1):
        starts = at if index == 0 else pending[index - 1][0]
        absent: dict[str, Any] = {name: None for _, hidden in pending[index:] for name in hidden}
        yield View(starts, changed(fact, absent), number)


def _moved_ahead(version: Version, calendar: Calendar) -> datetime | None:
    """When a version became known whose own date is still to come: from then on the version before it reads no more."""
    if version.fact is None or version.known_at is None:
        return None
    return version.known_at if _seen_from(version.fact, version.known_at, calendar) > version.known_at else None


def _seen_from(fact: Fact, known_at: datetime | None, calendar: Calendar) -> datetime:
    """The later of a version's ``known_at`` and its own date."""
    if fact.known_by is None:
        return known_at or BEGINNING
    own: date | datetime = getattr(fact, fact.known_by)
    starts = own if isinstance(own, datetime) else calendar.start_of(own)
    return starts if known_at is None or known_at <= starts else known_at


def at(timeline: Sequence[View[F]], instant: datetime) -> F | None:
    """The record as it read at an instant (views from that very instant on are in force)."""
    found: F | None = None
    for view in timeline:
        if view.at > instant:
            break
        found = view.fact
    return found
