"""Linking companies of two connections: hard evidence proposes, a person accepts, and facts name one id from then on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Record
from sync.links import BY_HAND, Candidate, Proposal, accept, follow_links, proposals, records_following, unlink
from sync.mapping import Mapping, load_mapping
from sync.redirects import follow_redirects
from sync.store import Store
from tests.sync.empty_store import empty_store
from tests.sync.mapped_again import mapped_again

START = datetime(2026, 3, 2, tzinfo=UTC)
CRM = load_mapping(
    "crm.yaml",
    """
system: memory
objects:
  - {object: Account, record: account, fields: {name: Name, website: Web, country: Land, tax_id: Tax}}
  - {object: Agency, record: partner, fields: {name: Name, website: Web}}
""",
)
ERP = load_mapping(
    "erp.yaml",
    """
system: memory
objects:
  - {object: Customer, record: account, fields: {name: Name, website: Web, country: Land, tax_id: Tax}}
  - {object: Vendor, record: partner, fields: {name: Name, website: Web}}
  - {object: Person, record: contact, fields: {account: Customer, name: Name}}
  - object: Bill
    record: partner_invoice
    fields:
      partner: Vendor
      statement: Statement
      received_on: {value: "2026-03-01"}
      amount: {value: "10.00"}
      currency: {value: AUD}
""",
)
CONTACTS = load_mapping(
    "contacts.yaml",
    """
system: memory
objects: [{object: Contact, record: contact, fields: {account: Account, name: Name}}]
""",
)


def land(store: Store, connection: str, mapping: Mapping, kind: str, **records: dict[str, Any]) -> None:
    """Records as a pull lands them."""
    some = [Record(kind, number, "1", fields) for number, fields in records.items()]
    store.take(store.stream(connection, kind), some, mapping.object(kind).facts, seen_at=START, run_id=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(empty_store(tmp_path / "referee.db"))
    land(
        opened, "crm", CRM, "Account",
        A1={"Name": "Harbour Lift Services", "Web": "harbour-lift.example"},
        A2={"Name": "Vexolar Networks GmbH", "Tax": "DE123456788"},
        A3={"Name": "Tallow Works", "Land": "AU"},
        A4={"Name": "Quoin Pumps", "Web": "quoin.example"},
        shared={"Name": "Shared Ltd"},
    )  # fmt: skip
    land(opened, "crm", CRM, "Agency", P1={"Name": "Northline", "Web": "northline.example"})
    land(
        opened, "erp", ERP, "Customer",
        c1={"Name": "HARBOUR LIFT", "Web": "https://www.harbour-lift.example/au"},
        c2={"Name": "Vexolar", "Tax": "DE 123 456 788"},
        c3={"Name": "Tallow Works", "Land": "NZ"},
        c4={"Name": "Quoin", "Web": "quoin.example"},
        c5={"Name": "Quoin Pumps Service", "Web": "quoin.example"},
        c6={"Name": "Nobody Knows"},
        shared={"Name": "Shared Limited"},
    )  # fmt: skip
    land(opened, "erp", ERP, "Vendor", v1={"Name": "Northline Pty Ltd", "Web": "northline.example"})
    land(opened, "erp", ERP, "Person", k1={"Customer": "c1", "Name": "Ann"}, k6={"Customer": "c6", "Name": "Bo"})
    land(opened, "erp", ERP, "Bill", b1={"Vendor": "v1", "Statement": "s1"})
    yield opened
    opened.close()


def found(store: Store) -> dict[str, Proposal]:
    with store.reading() as db:
        return {one.id: one for one in proposals(db, "erp")}


def current(store: Store, kind: str) -> dict[str, Any]:
    facts: dict[str, Any] = {fact["id"]: fact for fact in store.facts(types=[kind])}
    return {key: fact for key, fact in facts.items() if not fact.get("deleted")}


def follow(store: Store) -> int:
    with store.transaction() as db:
        return follow_links(db, at=START, run_id=2)


def link_proposed(store: Store) -> int:
    with store.transaction() as db:
        some = [one for one in proposals(db, "erp") if one.state == "proposed"]
        return accept(db, "erp", some, by="Mara Lind", at=START)


def test_hard_evidence_proposes_and_everything_else_is_for_a_person(store: Store) -> None:
    states = {key: (one.state, [hit.id for hit in one.candidates]) for key, one in found(store).items()}
    assert states == {
        "c1": ("proposed", ["A1"]),
        "c2": ("proposed", ["A2"]),
        "c3": ("ambiguous", ["A3"]),
        "c4": ("ambiguous", ["A4"]),
        "c5": ("ambiguous", ["A4"]),
        "c6": ("none", []),
        "shared": ("same id", []),
        "v1": ("proposed", ["P1"]),
    }
    assert "countries differ" in found(store)["c3"].candidates[0].evidence
    assert "2 records here match it" in found(store)["c4"].candidates[0].evidence


def test_looking_changes_nothing(store: Store) -> None:
    before = list(store.fact_lines())
    found(store)
    assert follow(store) == 0
    assert list(store.fact_lines()) == before


def test_what_is_accepted_is_named_by_the_other_id_and_nothing_else_moves(store: Store) -> None:
    assert link_proposed(store) == 3
    assert follow(store) > 0
    assert {key: fact["account"] for key, fact in current(store, "contact").items()} == {"k1": "A1", "k6": "c6"}
    assert current(store, "partner_invoice")["b1"]["partner"] == "P1"
    assert current(store, "account").keys() == {"A1", "A2", "A3", "A4", "shared", "c3", "c4", "c5", "c6"}
    assert current(store, "partner").keys() == {"P1"}
    assert follow(store) == 0, "done once"
    assert found(store)["c1"].state == "linked"
    land(store, "erp", ERP, "Person", k2={"Customer": "c1", "Name": "Cleo"})
    follow(store)
    assert current(store, "contact")["k2"]["account"] == "A1", "also what comes later"


FORMER = load_mapping(
    "former.yaml",
    """
system: memory
objects: [{object: Firm, record: account, fields: {name: Name, website: Web}}]
""",
)


def link_by_hand(store: Store, connection: str, pair: dict[str, str]) -> None:
    with store.transaction() as db:
        some = [one for one in proposals(db, connection) if one.id in pair]
        chosen = [replace(one, candidates=(Candidate(pair[one.id], "", BY_HAND, 1.0, ""),)) for one in some]
        assert accept(db, connection, chosen, by="Mara Lind", at=START) == len(pair)


def take_back(store: Store, connection: str, company: str, other: str) -> None:
    """Unlink an account, as `referee match --unlink` does."""
    with store.transaction() as db:
        records = records_following(db, "account", other)
        assert unlink(db, connection, "account", company)
    for stream in store.streams(connection):
        records.setdefault(stream.id, set()).add(company)
    assert mapped_again(store, {"erp": ERP, "crm": CRM, "former": FORMER}, records, START) == []
    follow(store)


@pytest.mark.parametrize("first", ["erp", "crm"])
def test_a_company_that_is_linked_in_its_turn_leads_on_to_the_last(store: Store, first: str) -> None:
    """Whichever link comes first, and also for a system that names the company in the middle without a link."""
    land(store, "former", FORMER, "Firm", f1={"Name": "Harbour Lift Services"})
    land(store, "erp", ERP, "Person", k3={"Customer": "A1", "Name": "Dee"})
    pairs = {"erp": {"c1": "A1"}, "crm": {"A1": "f1"}}
    for connection in (first, *(pairs.keys() - {first})):
        link_by_hand(store, connection, pairs[connection])
        follow(store)
    assert {key: fact["account"] for key, fact in current(store, "contact").items()} == {
        "k1": "f1",
        "k3": "f1",
        "k6": "c6",
    }
    assert current(store, "account").keys() & {"A1", "c1", "f1"} == {"f1"}
    assert follow(store) == 0
    take_back(store, "crm", "A1", "f1")
    assert {key: fact["account"] for key, fact in current(store, "contact").items()} == {
        "k1": "A1",
        "k3": "A1",
        "k6": "c6",
    }
    assert current(store, "account").keys() & {"A1", "c1", "f1"} == {"A1", "f1"}


def test_a_company_of_the_same_id_elsewhere_keeps_what_is_said_of_it_there(store: Store) -> None:
    link_proposed(store)
    land(store, "crm", CRM, "Account", c1={"Name": "Another one"})
    land(store, "crm", CONTACTS, "Contact", k9={"Account": "c1", "Name": "Eve"})
    follow(store)
    assert {key: fact["account"] for key, fact in current(store, "contact").items()} == {
        "k1": "A1",
        "k6": "c6",
        "k9": "c1",
    }
    assert "c1" in current(store, "account")


def test_a_link_is_taken_back_also_when_the_other_company_was_merged_away_since(store: Store) -> None:
    link_proposed(store)
    follow(store)
    gone = [Record("Account", "A1", "2", {"Name": "Harbour Lift Services"}, deleted=True, merged_into="A3")]
    store.take(store.stream("crm", "Account"), gone, CRM.object("Account").facts, seen_at=START, run_id=2)
    with store.transaction() as db:
        assert follow_redirects(db, at=START, run_id=2)
    assert current(store, "contact")["k1"]["account"] == "A3"
    take_back(store, "erp", "c1", "A1")
    assert current(store, "contact")["k1"]["account"] == "c1"


def test_a_link_that_is_taken_back_gives_each_its_own_again(store: Store) -> None:
    link_proposed(store)
    follow(store)
    with store.transaction() as db:
        records = records_following(db, "account", "A1")
        assert unlink(db, "erp", "account", "c1")
        assert not unlink(db, "erp", "account", "c1")
    records.setdefault(store.stream("erp", "Customer").id, set()).add("c1")
    assert mapped_again(store, {"erp": ERP, "crm": CRM}, records, START) == []
    follow(store)
    assert current(store, "contact")["k1"]["account"] == "c1"
    assert "c1" in current(store, "account")
    assert found(store)["c1"].state == "proposed"
