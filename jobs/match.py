"""Job: the first matching: which accounts and partners of one connection are those that others hold under other ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from jobs.installation import Installation
from jobs.mapping_again import map_records_again
from jobs.problems import UserError
from jobs.show import console, table
from jobs.sync import follow_merges, settle_stored
from sync.links import BY_HAND, TYPED, Candidate, Proposal, accept, proposals, records_following, unlink


def match_connection(
    here: Installation,
    name: str,
    *,
    accept: bool = False,
    pairs: Sequence[str] = (),
    undo: Sequence[str] = (),
    by: str = "",
) -> list[dict[str, Any]]:
    """Propose links, and carry out what is accepted: all that hard evidence ties, pairs by hand, links taken back.

    Safe to run again at any time; without the options nothing is changed. Returns the proposals as they stand afterwards.
    Raises: ``UserError`` for a connection, pair or link that is not there; then nothing is changed.
    """
    if name not in here.settings.connections:
        raise UserError(f"match: found {name!r}; allowed: {', '.join(here.settings.connections)}")
    with here.store.reading() as db:
        known = proposals(db, name)
    back = [_linked(known, one) for one in undo]
    chosen = [_by_hand(here, known, name, pair) for pair in pairs]
    twice = [key for key, times in Counter((one.type, one.id) for one in chosen).items() if times > 1]
    if twice:
        raise UserError(f"--link: found {':'.join(twice[0])} more than once; allowed: each company once")
    chosen += [one for one in known if accept and one.state == "proposed" and (one.type, one.id) not in _named(chosen)]
    if back:
        _take_back(here, name, back, by)
    if chosen:
        _link(here, name, chosen, by)
    if back or chosen:
        follow_merges(here.store, here.open, here.clock)
        settle_stored(here.store, here.programs, here.clock())
        with here.store.reading() as db:
            known = proposals(db, name)
    return [asdict(one) for one in known]


def _link(here: Installation, name: str, chosen: Sequence[Proposal], by: str) -> None:
    with here.store.transaction() as db:
        accept(db, name, chosen, by=by, at=here.clock())


def _take_back(here: Installation, name: str, back: Sequence[Proposal], by: str) -> None:
    """Unlink, and make the facts that had followed anew; as a person says so, no brake holds them."""
    with here.store.transaction() as db:
        records: dict[int, set[str]] = {}
        for one in back:
            for stream_id, ids in records_following(db, one.type, one.candidates[0].id).items():
                records.setdefault(stream_id, set()).update(ids)
            unlink(db, name, one.type, one.id)
    for stream in here.store.streams(name):
        records.setdefault(stream.id, set()).update(one.id for one in back)
    map_records_again(here.store, here.open(), records, here.clock, allow=by)


def _named(chosen: Sequence[Proposal]) -> set[tuple[str, str]]:
    return {(one.type, one.id) for one in chosen}


def _linked(known: Sequence[Proposal], text: str) -> Proposal:
    found = [one for one in known if one.state == "linked" and f"{one.type}:{one.id}" == text]
    if not found:
        links = ", ".join(f"{one.type}:{one.id}" for one in known if one.state == "linked")
        raise UserError(f"--unlink: found {text!r}; allowed: {links or 'nothing: there are no links'}")
    return found[0]


def _by_hand(here: Installation, known: Sequence[Proposal], name: str, pair: str) -> Proposal:
    one, _, other = pair.partition("=")
    found = [each for each in known if f"{each.type}:{each.id}" == one and each.state not in ("linked", "same id")]
    if not found or not other:
        raise UserError(
            f"--link: found {pair!r}; allowed: TYPE:ID=OTHER, of a company of {name} that is not linked yet"
        )
    company = found[0]
    if other == company.id:
        raise UserError(f"--link: found {pair!r}, a company linked with itself; allowed: the id of another one")
    there = [fact for fact in here.store.facts(types=[company.type]) if fact["id"] == other]
    if not there or there[-1].get("deleted"):
        raise UserError(f"--link: found {other!r} in {pair!r}, which no {company.type} has; allowed: an id of one")
    candidate = Candidate(other, str(there[-1].get("name", "")), BY_HAND, 1.0, "A person said so.")
    return replace(company, candidates=(candidate,))


def show_matches(found: Sequence[dict[str, Any]]) -> None:
    """Print who is who, what is ambiguous and why, and what to do next."""
    out = console()
    counts = Counter((one["type"], one["state"]) for one in found)
    states = ("linked", "same id", "proposed", "ambiguous", "none")
    rows = [(kind, *(counts[kind, state] for state in states)) for kind in TYPED]
    out.print(table("matching", ("type", *states), rows, right=states))
    for one in found:
        if one["state"] in ("proposed", "ambiguous"):
            out.print(f"  {one['state']}: {one['type']}:{one['id']} {one['name']}", markup=False)
            for hit in one["candidates"]:
                out.print(f"      {hit['id']} {hit['name']} ({hit['rule']}): {hit['evidence']}", markup=False)
    if any(one["state"] == "proposed" for one in found):
        out.print("next: run it again with --accept to link what is proposed")
    if any(one["state"] == "ambiguous" for one in found):
        out.print("next: --link TYPE:ID=OTHER links an ambiguous one by hand")
