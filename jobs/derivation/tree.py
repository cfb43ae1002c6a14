"""A derivation: how one row of the outcome came about, down to versions of records, terms and clauses (G-8).

A tree of plain values that says the same in every rendering. It is made from the outcome, the program and the records,
so that it can be told of a file as of a store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from jobs.derivation.sources import Sources, Version
from rules.clauses import all_statements
from rules.ledger import Entry
from rules.money import EXACT, EXPONENTS, ROUNDINGS, percent, rounded
from rules.money import text as amount_text
from rules.program import Program
from rules.settings import CATALOGUE
from rules.terms import Terms

Kind = Literal["row", "formula", "record", "terms", "setting", "clause", "note"]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a derivation: what it is called, what it says, and what it stands on."""

    kind: Kind
    title: str
    says: str = ""
    stands_on: tuple[Node, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The tree as plain values."""
        return asdict(self)


class Derivations:
    """Trees of the rows of one program's outcome.

    ``posted`` gives the entries as they were posted: their records are shown as they read then. Where it is not known they
    are shown as they read now.
    """

    def __init__(
        self, program: Program, outcome: Row, sources: Sources, posted: Mapping[str, Entry] | None = None
    ) -> None:
        self._program = program
        self._outcome = outcome
        self._sources = sources
        self._posted = posted or {}
        self._zone = ZoneInfo(program.time_zone)

    def of(self, name: str, row: Row) -> Node:
        """The tree of a row of the outcome's list ``name``."""
        make = {
            "entries": self._entry, "statements": self._statement, "claims": self._claim, "tiers": self._tier,
            "support": self._support, "tasks": self._task,
        }[name]  # fmt: skip
        return make(row)

    def _posted_at(self, row: Row) -> datetime | None:
        posted = self._posted.get(row["key"])
        return posted.posted_at if posted is not None else None

    def _entry(self, row: Row) -> Node:
        at = self._posted_at(row)
        below = [
            self._formula(row),
            *self._entry_records(row, at),
            *self._terms_of_entry(row, at),
            *_clauses(row["clauses"]),
            *self._corrections(row),
        ]
        return self._entry_node(row, below)

    def _brief(self, row: Row) -> Node:
        """An entry with its arithmetic and its source only: as a part of another row."""
        source = row["source"]
        at = self._posted_at(row)
        version = self._sources.read(source["type"], source["id"], at)
        return self._entry_node(row, [self._formula(row), *([self._record(version, at)] if version else [])])

    def _entry_node(self, row: Row, below: Sequence[Node]) -> Node:
        title = f"entry {row['key']}: {row['amount']} {row['currency']}, {row['state']}"
        return Node("row", title, f"{row['kind']} earned on {row['earned_on']}: {row['because']}", tuple(below))

    def _formula(self, row: Row) -> Node:
        """The arithmetic with its rounding; a part of a running total is told as such."""
        currency, amount = row["currency"], Decimal(row["amount"])
        if row["basis"] is None or row["rate"] is None:
            return Node("formula", f"{row['amount']} {currency}", "an amount that a person set")
        basis, rate = Decimal(row["basis"]), Decimal(row["rate"])
        product = EXACT.multiply(basis, rate)
        how = str(self._terms(None).values["rounding"])
        result = rounded(product, currency, ROUNDINGS[how])
        title = f"{row['basis']} {currency} x {percent(rate)} = {product.normalize():f}"
        said = f"rounded once, {how}, to {EXPONENTS[currency]} digits: {amount_text(result, currency)} {currency}"
        if result != amount:
            said += (
                f"; posted is {row['amount']}, the difference between what was due after this and what was posted before,"
                " so that parts add up to the whole"
            )
        return Node("formula", title, said)

    def _entry_records(self, row: Row, at: datetime | None) -> Iterator[Node]:
        source = self._sources.read(row["source"]["type"], row["source"]["id"], at)
        shown = set()
        if source is not None:
            yield self._record(source, at, deep=True)
            shown.add((source.type, source.id))
        else:
            yield Node(
                "note",
                f"{row['source']['type']} {row['source']['id']}",
                "the passing of time, or a record that is held no more",
            )
        contract = self._sources.read("contract", row["contract"], at)
        referral = self._sources.read("referral", row["referral"], at)
        subjects = (row["contract"], row["referral"])
        records = [
            contract,
            referral,
            *self._sources.naming("review", "referral", [row["referral"]], at),
            *self._enrollments(row["partner"], at),
            *self._decisions(subjects, at),
        ]
        for version in records:
            if version is not None and (version.type, version.id) not in shown:
                shown.add((version.type, version.id))
                yield self._record(version, at)

    def _record(self, version: Version, at: datetime | None, *, deep: bool = False) -> Node:
        """A record as it read at an instant; ``deep``: with the invoice it belongs to and what moves that invoice."""
        known = "from the beginning"
        if version.known_at is not None:
            known = f"since {version.known_at.astimezone(self._zone).isoformat()}"
        later = self._sources.count(version.type, version.id) - version.number
        title = f"{version.type} {version.id}, version {version.number}, known {known}"
        if later > 0:
            title += f" ({later} later version{'s' if later > 1 else ''})"
        says = "withdrawn" if version.body is None else _content(version.body)
        below: list[Node] = []
        if deep and version.body is not None:
            invoice_id = version.id if version.type == "invoice" else version.body.get("invoice")
            invoice = self._sources.read("invoice", invoice_id, at)
            moves = [
                move
                for kind in ("payment", "credit_note", "refund")
                for move in self._sources.naming(kind, "invoice", [invoice_id], at)
                if (move.type, move.id) != (version.type, version.id)
            ]
            if invoice is not None and version.type != "invoice":
                below.append(self._record(invoice, at))
            below += [self._record(move, at) for move in moves]
        return Node("record", title, says, tuple(below))

    def _terms(self, day: Any) -> Terms:
        return self._program.versions[-1] if day is None else self._program.on(day)

    def _terms_of_entry(self, row: Row, at: datetime | None) -> Iterator[Node]:
        """The terms that the deal is pinned to: the commission terms and settings behind the entry's clauses."""
        pin_at, day = self._pinned(row, at)
        terms = self._terms(day)
        named = set(row["clauses"])
        below = [
            Node("terms", f"commission: {term.kind}", ", ".join(term.clauses))
            for term in terms.commission
            if set(term.clauses) <= named and all(terms.settings[k].value == v for k, v in term.when.items())
        ]
        wanted = {"terms_pin_at", "rounding", "net_excludes"}
        below += [
            Node("setting", f"{key} = {term.value}", f"{CATALOGUE[key].meaning} ({', '.join(term.clauses)})")
            for key, term in terms.settings.items()
            if key in wanted or named & set(term.clauses)
        ]
        label = f"{self._program.id}@{terms.effective_from.isoformat()}"
        since = f"in force on {day.isoformat()} ({pin_at})" if day else pin_at
        yield Node("terms", f"terms {label}", since, tuple(below))

    def _pinned(self, row: Row, at: datetime | None) -> tuple[str, Any]:
        """Which moment pins the deal's terms, and its local day where the records tell it."""
        date_of = self._program.calendar.date_of
        pin_at = str(self._program.versions[0].values["terms_pin_at"])
        referral = self._sources.read("referral", row["referral"], at)
        contract = self._sources.read("contract", row["contract"], at)
        if pin_at == "submission" and referral and referral.body:
            return pin_at, date_of(datetime.fromisoformat(referral.body["submitted_at"]))
        if pin_at == "contract_signed" and contract and contract.body:
            return pin_at, datetime.fromisoformat(contract.body["signed_on"]).date()
        if pin_at == "invoice_date":
            return pin_at, self._issued_on(row, at)
        reviews = [
            date_of(datetime.fromisoformat(review.body["at"]))
            for review in self._sources.naming("review", "referral", [row["referral"]], at)
            if review.body and review.body["outcome"] == "approved"
        ]
        return pin_at, reviews[-1] if pin_at == "claim_approval" and reviews else None

    def _issued_on(self, row: Row, at: datetime | None) -> Any:
        """The issue date of the invoice behind an entry; of the contract's first one where it earned as a whole."""
        source, bodies = row["source"], []
        record = self._sources.read(source["type"], source["id"], at)
        named = record.body.get("invoice") if record and record.body else None
        own = self._sources.read("invoice", source["id"] if source["type"] == "invoice" else named, at)
        if own and own.body:
            bodies = [own.body]
        elif row["contract"]:
            seen = self._sources.naming("invoice", "contract", [row["contract"]], at)
            bodies = [each.body for each in seen if each.body]
        return min((datetime.fromisoformat(body["issued_on"]).date() for body in bodies), default=None)

    def _corrections(self, row: Row) -> Iterator[Node]:
        for other in self._outcome["entries"]:
            if other["key"] == row["corrects"]:
                yield Node("note", "corrects", "its original stands; this is the difference", (self._brief(other),))
            if other["corrects"] == row["key"]:
                yield Node("note", "corrected by", "", (self._brief(other),))
        for statement in self._outcome["statements"]:
            if row["key"] in statement["entries"]:
                yield Node(
                    "note", f"on statement {statement['id']}", f"{statement['state']}, pay by {statement['pay_by']}"
                )
                return
        posted = self._posted.get(row["key"])
        if posted is not None and posted.states_on is not None and self._is_to_come(row, posted.states_on):
            yield Node("note", "on no statement yet", f"the one whose period holds {posted.states_on} takes it up")

    def _is_to_come(self, row: Row, day: date) -> bool:
        """Whether no statement of the entry's partner and currency has come to this day."""
        return not any(
            date.fromisoformat(each["period_to"]) >= day
            for each in self._outcome["statements"]
            if (each["partner"], each["currency"]) == (row["partner"], row["currency"])
        )

    def _statement(self, row: Row) -> Node:
        terms = self._terms(None)
        minimum = terms.statements.minimum
        currency = row["currency"]
        entries = [entry for entry in self._outcome["entries"] if entry["key"] in row["entries"]]
        added = " + ".join(entry["amount"] for entry in entries) or "0"
        balance = Decimal(row["opening"]) + Decimal(row["total"])
        reached = (
            f"reaches the minimum of {minimum}" if balance >= minimum else f"is less than the minimum of {minimum}"
        )
        why = reached if minimum else "is never below zero"
        below = [
            Node("formula", f"total: {added} = {row['total']} {currency}", f"of {len(entries)} entries"),
            Node(
                "formula",
                f"payable: {row['opening']} carried in + {row['total']} = {amount_text(balance, currency)}",
                f"{why}: payable {row['payable']}, carried forward {row['carried_forward']}, withheld {row['withheld']}",
            ),
            *(self._brief(entry) for entry in entries),
        ]
        below += [
            self._record(version, None)
            for kind in ("partner_invoice", "payout")
            for version in self._sources.naming(kind, "statement", [row["id"]])
        ]
        clauses = (*terms.statements.clauses, *terms.statements.minimum_clauses, *terms.statements.invoice_clauses)
        title = f"statement {row['id']}: payable {row['payable']} {currency}, {row['state']}"
        says = f"{row['period_from']} to {row['period_to']}, sent by {row['due_on']}, paid by {row['pay_by']}"
        return Node("row", title, says, (*below, *_clauses(clauses)))

    def _claim(self, row: Row) -> Node:
        rank = f", rank {row['rank']}" if row["rank"] else ""
        title = f"claim {row['referral']} of {row['partner']}: {row['state']}{rank}"
        below: list[Node] = []
        if row["failed"]:
            failed = tuple(_clauses(row["failed"]))
            below.append(Node("note", f"{len(failed)} condition{'s' if len(failed) > 1 else ''} failed", "", failed))
        if row["protected_until"]:
            below.append(Node("note", f"protected {row['protected_from']} to {row['protected_until']}"))
        for other in self._outcome["claims"]:
            same = row["account"] is not None and other["account"] == row["account"]
            if same and other["program"] == row["program"] and other["referral"] != row["referral"]:
                title_of_other = (
                    f"claim {other['referral']} of {other['partner']} to the same prospect: {other['state']}"
                )
                below.append(Node("note", title_of_other, f"rank {other['rank']}: {other['because']}"))
        subjects = (row["referral"], row["account"])
        records = [
            self._sources.read("referral", row["referral"]),
            self._sources.read("account", row["account"]),
            *self._sources.naming("review", "referral", [row["referral"]]),
            *self._sources.naming("introduction", "referral", [row["referral"]]),
            *self._enrollments(row["partner"], None),
            *self._decisions(subjects, None),
            *self._sources.naming("opportunity", "account", [row["account"]]),
            *self._sources.naming("activity", "account", [row["account"]]),
            *self._sources.naming("contract", "account", [row["account"]]),
        ]
        below += [self._record(version, None) for version in records if version is not None]
        entries = [e["key"] for e in self._outcome["entries"] if e["referral"] == row["referral"]]
        if entries:
            below.append(Node("note", f"earned {len(entries)} entries", ", ".join(entries)))
        return Node("row", title, row["because"], tuple(below))

    def _tier(self, row: Row) -> Node:
        terms = self._terms(None).tiers
        won = [
            c
            for c in self._outcome["claims"]
            if c["partner"] == row["partner"] and c["program"] == row["program"] and c["won_on"]
        ]
        below = [
            Node("note", f"won {claim['won_on']}: claim {claim['referral']}")
            for claim in sorted(won, key=lambda c: c["won_on"])
        ]
        below += [self._record(version, None) for version in self._enrollments(row["partner"], None)]
        if terms is not None:
            levels = ", ".join(f"{level.tier} from {level.from_count}" for level in terms.levels)
            below.append(Node("terms", f"tiers: {levels}", f"counts {terms.counts}"))
            below += _clauses((*terms.clauses, *terms.keep_clauses))
        review = f"; looked at again on {row['review_on']}" if row["review_on"] else ""
        title = f"tier of {row['partner']}: {row['tier'] or 'none'}"
        return Node("row", title, f"{row['count']} counted, since {row['since']}{review}", tuple(below))

    def _support(self, row: Row) -> Node:
        title = (
            f"support of {row['account']} by {row['name'] or row['partner']}, {row['since']} to {row['until'] or 'now'}"
        )
        records = [
            *self._sources.naming("contract", "account", [row["account"]]),
            *self._sources.naming("case", "account", [row["account"]]),
            *self._sources.naming("concern", "account", [row["account"]]),
            *self._decisions((row["account"],), None),
        ]
        return Node("row", title, row["reason"], tuple(self._record(version, None) for version in records))

    def _task(self, row: Row) -> Node:
        due = f", due {row['due_on']}" if row["due_on"] else ""
        title = f"task {row['key']}: {row['state']}{due}"
        subject = row["subject"]
        about = [
            self._sources.read(kind, subject)
            for kind in (
                "referral",
                "account",
                "contract",
                "partner",
                "invoice",
                "concern",
                "dispute",
                "application",
                "ticket",
            )
        ]
        records = [each for each in about if each is not None]
        records += self._sources.naming("review", "referral", [subject])
        records += self._decisions((subject, row["key"]), None)
        below = [self._record(version, None) for version in records]
        return Node("row", title, row["because"], (*below, *_clauses(row["clauses"])))

    def _enrollments(self, partner: str, at: datetime | None) -> list[Version]:
        found = self._sources.naming("enrollment", "partner", [partner], at)
        return [each for each in found if each.body and each.body.get("program") == self._program.id]

    def _decisions(self, subjects: Iterable[str | None], at: datetime | None) -> list[Version]:
        keys = [task["key"] for task in self._outcome["tasks"] if task["subject"] in subjects]
        return self._sources.naming("decision", "about", [*subjects, *keys], at)


def _clauses(ids: Iterable[str]) -> Iterator[Node]:
    known = all_statements()
    for name in dict.fromkeys(ids):
        yield Node("clause", name, known.get(name, "a clause of this program's own file"))


def _content(body: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in body.items() if value not in (None, [], {}))


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + _content(value) + "}"
    if isinstance(value, list):
        return "[" + "; ".join(_plain(each) for each in value) + "]"
    return str(value)
