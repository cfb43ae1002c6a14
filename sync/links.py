"""Companies that two connections hold under different ids: proposing who is who, and naming one id from then on.

Nothing is linked that no person accepted. A linked company's own record gives no company of its own any more, and
whatever is said of it (invoices, contracts, payouts) names the other id, or where that one is linked in its turn, the last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, get_args

import orjson
from sqlalchemy import Connection, Row, select

from rules.records import RECORDS
from sync import tables
from sync.fact_rows import FactWriter, Source, written
from sync.link_tables import link
from sync.matching import Company, Index
from sync.redirects import ends_of, surviving
from sync.tables import micros

Type = Literal["account", "partner"]
TYPED: tuple[Type, ...] = get_args(Type)
State = Literal["linked", "same id", "proposed", "ambiguous", "none"]
BY_HAND = "by hand"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A company elsewhere that may be the same: by which rule, how sure (0 to 1), and what agrees or does not."""

    id: str
    name: str
    rule: str
    score: float
    evidence: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """One company of the connection. ``proposed`` has exactly one candidate, on hard evidence; ``ambiguous`` ones are
    for a person; ``linked`` ones name what they are linked to."""

    type: Type
    id: str
    name: str
    state: State
    candidates: tuple[Candidate, ...] = ()


def proposals(db: Connection, connection: str) -> list[Proposal]:
    """Who of the connection's accounts and partners is who elsewhere; reads only, so it can be run again at any time."""
    links = {(row.type, row.id): row for row in db.execute(select(link).where(link.c.connection == connection))}
    found: list[Proposal] = []
    for kind in TYPED:
        mine, others = _companies(db, kind, connection)
        index = Index()
        for company in others.values():
            index.add(company)
        shared = _stated_elsewhere(db, kind, connection)
        some = [_proposal(kind, one, links.get((kind, one.id)), index, others, shared) for one in mine.values()]
        taken = Counter(one.candidates[0].id for one in some if one.state == "proposed")
        found += [_unless_shared(one, taken) for one in some]
        named = {one.id for one in some}
        found += [_of_link(row, others) for (type_, id_), row in links.items() if type_ == kind and id_ not in named]
    return sorted(found, key=lambda one: (one.type, one.id))


def accept(db: Connection, connection: str, chosen: Iterable[Proposal], *, by: str, at: datetime) -> int:
    """Link these companies, each with its first candidate; returns how many."""
    rows = [
        {"connection": connection, "type": one.type, "id": one.id, "other": one.candidates[0].id,
         "rule": one.candidates[0].rule, "evidence": one.candidates[0].evidence, "linked_by": by, "linked_at": at}
        for one in chosen
    ]  # fmt: skip
    if rows:
        db.execute(link.insert(), rows)
    return len(rows)


def unlink(db: Connection, connection: str, kind: Type, company: str) -> bool:
    """Take a link back; what had followed it is to be mapped again. False when there is none."""
    mine = (link.c.connection == connection) & (link.c.type == kind) & (link.c.id == company)
    return bool(db.execute(link.delete().where(mine)).rowcount)


def follow_links(db: Connection, *, at: datetime, run_id: int) -> int:
    """Let facts that name a linked company name the other id, and withdraw linked companies; returns how many changed.

    Facts of other connections follow too, unless one of them states a company of that id itself. Idempotent: what
    follows already is left alone.
    """
    links = db.execute(select(link).order_by(link.c.connection, link.c.type, link.c.id)).all()
    if not links:
        return 0
    ends = _ends(links)
    linked = {(row.connection, row.type, row.id) for row in links}
    facts = _facts_of_linked(db)
    named = [(row.type, row.fact_id) for row in facts if (row.connection, row.type, row.fact_id) not in linked]
    stated = ends.keys() & set(named)
    writer = FactWriter(db, run_id)
    writer.prepare([(row.type, row.fact_id) for row in facts])
    for row in facts:
        source = Source(row.stream_id, row.external_id, row.record_seq, micros(at), micros(at))
        if (row.connection, row.type, row.fact_id) in linked:
            writer.withdraw((row.type, row.fact_id), source)
            continue
        body = orjson.loads(row.body)
        moved = {
            name: ends[kind, body[name]]
            for name, kind in _references(row.type)
            if isinstance(body.get(name), str)
            and (kind, body[name]) in ends
            and ((row.connection, kind, body[name]) in linked or (kind, body[name]) not in stated)
        }
        if moved:
            writer.state(written({**body, **moved}), source)
    return writer.flush()


def _ends(links: Sequence[Row[Any]]) -> dict[tuple[str, str], str]:
    """For every linked company the id that is named in its stead, at the end of the chain."""
    ends = ends_of({(row.type, row.id): (row.type, row.other) for row in links})
    return {company: other for company, (_, other) in ends.items()}


def records_following(db: Connection, kind: Type, other: str) -> dict[int, set[str]]:
    """Ids, by stream, of the records whose facts name this company, or the one that it was linked or merged into since."""
    ends = _ends(db.execute(select(link)).all())
    merged = surviving(db) if kind == "account" else {}
    names = {other}
    while new := {one for name in names for one in (ends.get((kind, name)), merged.get(name)) if one} - names:
        names |= new
    found: dict[int, set[str]] = {}
    for row in db.execute(_FACTS.where(tables.fact.c.account.in_(names) | _NAMES_PARTNER)):
        if any(orjson.loads(row.body).get(name) in names for name, _ in _references(row.type)):
            found.setdefault(row.stream_id, set()).add(row.external_id)
    return found


_FACTS = (
    select(
        tables.fact.c.type, tables.fact.c.fact_id, tables.fact.c.body, tables.fact.c.stream_id,
        tables.fact.c.external_id, tables.fact.c.record_seq, tables.stream.c.connection,
    )
    .join(tables.fact_head, tables.fact_head.c.row_id == tables.fact.c.id)
    .join(tables.stream, tables.stream.c.id == tables.fact.c.stream_id)
    .where(tables.fact.c.deleted.is_(False))
    .order_by(tables.fact.c.type, tables.fact.c.fact_id)
)  # fmt: skip
"""The current facts that records gave."""
# An account is a column of its own; few types name a partner, and few facts are of them.
_NAMES_PARTNER = tables.fact.c.type.in_(
    sorted(
        {*TYPED, *(name for name, model in RECORDS.items() if any(kind == "partner" for _, kind in model.references))}
    )
)


@cache
def _references(kind: str) -> tuple[tuple[str, str], ...]:
    """The fields of a record type that name one account or partner."""
    return tuple((name, type_) for name, type_ in RECORDS[kind].references if type_ in TYPED)


def _facts_of_linked(db: Connection) -> list[Any]:
    """The current facts that may name a linked company, and those companies."""
    accounts = select(link.c.id).where(link.c.type == "account")
    return list(db.execute(_FACTS.where(tables.fact.c.account.in_(accounts) | _NAMES_PARTNER)))


def _companies(db: Connection, kind: Type, connection: str) -> tuple[dict[str, Company], dict[str, Company]]:
    """The companies that this connection's records gave, and those of everybody else."""
    f, head, s = tables.fact, tables.fact_head, tables.stream
    query = (
        select(f.c.fact_id, f.c.body, s.c.connection)
        .join(head, head.c.row_id == f.c.id)
        .join(s, s.c.id == f.c.stream_id, isouter=True)
        .where(f.c.type == kind, f.c.deleted.is_(False))
    )
    mine: dict[str, Company] = {}
    others: dict[str, Company] = {}
    for row in db.execute(query):
        body = orjson.loads(row.body)
        company = Company(
            row.fact_id, body.get("name") or "", body.get("website"), body.get("country"), body.get("tax_id"),
            body.get("email"),
        )  # fmt: skip
        (mine if row.connection == connection else others)[row.fact_id] = company
    return mine, others


def _stated_elsewhere(db: Connection, kind: Type, connection: str) -> set[str]:
    """Ids that others ever stated: a record of the connection that has one of them is that company already."""
    f, s = tables.fact, tables.stream
    query = select(f.c.fact_id).join(s, s.c.id == f.c.stream_id, isouter=True).where(f.c.type == kind)
    return set(db.scalars(query.where((s.c.connection != connection) | f.c.stream_id.is_(None)).distinct()))


def _proposal(
    kind: Type, one: Company, linked: Row[Any] | None, index: Index, others: dict[str, Company], shared: set[str]
) -> Proposal:
    if linked is not None:
        return _of_link(linked, others)
    if one.id in shared:
        return Proposal(kind, one.id, one.name, "same id")
    match = index.match(one)
    candidates = tuple(Candidate(hit.id, others[hit.id].name, hit.rule, hit.score, hit.evidence) for hit in match.hits)
    states: dict[str, State] = {"same": "proposed", "review": "ambiguous", "none": "none"}
    return Proposal(kind, one.id, one.name, states[match.outcome], candidates)


def _unless_shared(one: Proposal, taken: Counter[str]) -> Proposal:
    """Two records here that would be one company there: a person says whether that is so."""
    if one.state != "proposed" or taken[one.candidates[0].id] == 1:
        return one
    best = one.candidates[0]
    shared = f"{best.evidence} But {taken[best.id]} records here match it."
    return Proposal(
        one.type, one.id, one.name, "ambiguous", (Candidate(best.id, best.name, best.rule, best.score, shared),)
    )


def _of_link(row: Row[Any], others: dict[str, Company]) -> Proposal:
    known = others.get(row.other)
    candidate = Candidate(row.other, known.name if known else "", row.rule, 1.0, row.evidence)
    return Proposal(row.type, row.id, candidate.name, "linked", (candidate,))
