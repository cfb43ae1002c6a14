"""Merged accounts and leads: nothing that names the one that is gone is lost, and no claim loses its rank."""

from __future__ import annotations

from collections.abc import Mapping as Fields
from datetime import UTC, datetime, timedelta

import orjson
from msgspec.structs import replace

from connectors.base import Record
from sync import tables
from sync.brakes import Limits
from sync.mapping import Mapping, load_mapping
from sync.redirects import follow_redirects, restore_unmerged, surviving
from sync.store import Store
from tests.sync.mapped_again import mapped_again

START = datetime(2026, 1, 5, tzinfo=UTC)


def redirect(store: Store, loser: str, winner: str) -> None:
    stream = store.stream("crm", "Account")
    with store.transaction() as db:
        values = {"stream_id": stream.id, "loser": loser, "winner": winner, "seen_at": START}
        db.execute(tables.redirect.insert().values(values))


def invoice(account: str) -> dict[str, object]:
    return {"type": "invoice", "id": "i1", "account": account, "issued_on": "2026-01-05", "currency": "AUD",
            "lines": [{"kind": "saas", "amount": "10.00"}]}  # fmt: skip


def test_an_invoice_of_a_merged_account_follows_the_chain_once(store: Store) -> None:
    run = store.start_run("test", None, at=START)
    store.put_facts([invoice("a1")], known_at=START, run_id=run)
    redirect(store, "a1", "a2")
    redirect(store, "a2", "a3")
    later = START + timedelta(days=1)
    with store.transaction() as db:
        assert follow_redirects(db, at=later, run_id=run) == 1
    with store.transaction() as db:
        assert follow_redirects(db, at=later, run_id=run) == 0
    versions = [orjson.loads(line) for line in store.fact_lines(types=["invoice"])]
    assert [version["account"] for version in versions] == ["a1", "a3"]


DEALS_BILLED = """
system: memory
objects:
- object: Deal
  record: contract
  fields: {account: Account, kind: {value: saas}, signed_on: Signed, renews: Renews, currency: {value: AUD}}
"""
BILLS = """
system: memory
objects:
- object: Bill
  record: invoice
  fields:
    account: Account
    contract: Deal
    issued_on: {value: "2026-01-05"}
    currency: {value: AUD}
    lines: {list: Lines, as: line, fields: {kind: {value: saas}, amount: line.Amount}}
"""


def test_an_invoice_names_the_deal_that_is_left_of_those_that_were_merged(store: Store) -> None:
    """Two deals become a third, which becomes a fourth with another one; the ERP knows the first one for ever."""
    crm, erp = load_mapping("crm.yaml", DEALS_BILLED), load_mapping("erp.yaml", BILLS)
    deal = {"Account": "a1", "Signed": "2026-01-04", "Renews": None}
    bill = Record("Bill", "b1", "1", {"Account": "a1", "Deal": "d1", "Lines": [{"Amount": "10.00"}]})
    landed(store, "crm", crm, *(Record("Deal", f"d{n}", "1", deal) for n in (1, 2)))
    landed(store, "crm", crm, Record("Deal", "d9", "1", {**deal, "Renews": "d2"}))
    landed(store, "erp", erp, bill)
    landed(store, "crm", crm, Record("Deal", "d3", "2", deal))
    landed(store, "crm", crm, *(Record("Deal", f"d{n}", "2", {}, deleted=True, merged_into="d3") for n in (1, 2)))

    def contract_of(kind: str, number: str, name: str) -> str:
        return str([fact for fact in store.facts(types=[kind]) if fact["id"] == number][-1][name])

    follow(store)
    assert (contract_of("invoice", "b1", "contract"), contract_of("contract", "d9", "renews")) == ("d3", "d3")
    versions = len(list(store.fact_lines()))
    follow(store)
    assert len(list(store.fact_lines())) == versions, "done once"
    landed(
        store,
        "crm",
        crm,
        Record("Deal", "d4", "3", deal),
        Record("Deal", "d3", "3", {}, deleted=True, merged_into="d4"),
    )
    landed(store, "erp", erp, replace(bill, version="2", fields={**bill.fields, "Lines": [{"Amount": "20.00"}]}))
    follow(store)
    assert contract_of("invoice", "b1", "contract") == "d4", "also when the ERP names the first one again"


def test_two_accounts_that_were_merged_into_each_other_are_left_alone(store: Store) -> None:
    redirect(store, "a1", "a2")
    redirect(store, "a2", "a1")
    with store.reading() as db:
        assert surviving(db) == {}


CRM = load_mapping(
    "crm.yaml",
    "system: memory\nobjects:\n- {object: Account, record: account, fields: {name: {field: Name, required: true}}}",
)
ERP = load_mapping(
    "erp.yaml", "system: memory\nobjects:\n- {object: Person, record: contact, fields: {account: Account, name: Name}}"
)


def landed(store: Store, connection: str, mapping: Mapping, *records: Record) -> None:
    """Records as a pull lands them."""
    run = store.start_run("pull", connection, at=START)
    for record in records:
        stream = store.stream(connection, record.kind)
        store.take(stream, [record], mapping.object(record.kind).facts, seen_at=START, run_id=run)


def account_of(store: Store, contact: str) -> str:
    return str([fact for fact in store.facts(types=["contact"]) if fact["id"] == contact][-1]["account"])


def title_of(store: Store, contact: str) -> str | None:
    return [fact for fact in store.facts(types=["contact"]) if fact["id"] == contact][-1].get("title")


def follow(
    store: Store, limits: dict[str, Limits] | None = None, allow: str | None = None, **mappings: Mapping
) -> list[str]:
    """What a sync does about merges, and about those that were taken back; returns what a brake held."""
    held: list[str] = []

    def again(records: Fields[int, set[str]]) -> bool:
        if any(one.connection not in mappings for one in store.streams() if one.id in records):
            return False
        held.extend(mapped_again(store, mappings, records, START, limits=limits, allow=allow))
        return not held

    restore_unmerged(store, again, at=START)
    with store.transaction() as db:
        follow_redirects(db, at=START, run_id=1)
    return held


def test_a_merge_that_is_taken_back_gives_each_account_its_own_again(store: Store) -> None:
    """a1 into a2 into a3; then a1 is undeleted, while a2 stays merged."""
    there = {name: Record("Account", name, "1", {"Name": name}) for name in ("a1", "a2", "a3")}
    landed(store, "crm", CRM, *there.values())
    landed(store, "erp", ERP, *(Record("Person", f"p{n}", "1", {"Name": "Ann", "Account": f"a{n}"}) for n in (1, 2, 3)))
    landed(store, "crm", CRM, *(replace(there[f"a{n}"], deleted=True, merged_into=f"a{n + 1}") for n in (1, 2)))
    follow(store, crm=CRM, erp=ERP)
    assert [account_of(store, f"p{n}") for n in (1, 2, 3)] == ["a3", "a3", "a3"]

    landed(store, "crm", CRM, replace(there["a1"], version="3"))
    assert store.redirects("crm", "Account") == {"a2": "a3"}
    follow(store, crm=CRM)
    assert account_of(store, "p1") == "a3", "it waits for the mapping of the other system"
    follow(store, crm=CRM, erp=ERP)
    assert [account_of(store, f"p{n}") for n in (1, 2, 3)] == ["a1", "a3", "a3"]
    versions = len(list(store.facts(types=["contact"])))
    follow(store, crm=CRM, erp=ERP)
    assert len(list(store.facts(types=["contact"]))) == versions, "done once"

    landed(store, "crm", CRM, replace(there["a1"], version="4", deleted=True, merged_into="a3"))
    follow(store, crm=CRM, erp=ERP)
    assert [account_of(store, f"p{n}") for n in (1, 2, 3)] == ["a3", "a3", "a3"], "merged once more"


def test_records_whose_merge_is_taken_back_pass_the_brake_on_emptied_fields_too(store: Store) -> None:
    """The mapping became wrong meanwhile: it would make no title of any of them."""
    text = "system: memory\nobjects:\n- {object: Person, record: contact, fields: {account: Account, title: %s, name: {value: Ann}}}"
    good = load_mapping("erp.yaml", text % "Title")
    wrong = load_mapping("erp.yaml", text % "{field: Title, values: {Old: Boss}, otherwise: 'null'}")
    limits = {"Person": Limits(emptied_from=5)}
    there = {name: Record("Account", name, "1", {"Name": name}) for name in ("a1", "a2")}
    landed(store, "crm", CRM, *there.values())
    landed(store, "erp", good, *(Record("Person", f"p{n}", "1", {"Title": "Head", "Account": "a1"}) for n in range(8)))
    landed(store, "crm", CRM, replace(there["a1"], deleted=True, merged_into="a2"))
    follow(store, crm=CRM, erp=good)
    landed(store, "crm", CRM, replace(there["a1"], version="3"))

    for _ in range(2):  # it stays so, and is told each time
        (held,) = follow(store, limits, crm=CRM, erp=wrong)
        assert "contact.title became empty in 8 of the 8 records" in held and "referee sync --allow YOUR-NAME" in held
        assert {(account_of(store, f"p{n}"), title_of(store, f"p{n}")) for n in range(8)} == {("a2", "Head")}
    assert follow(store, limits, crm=CRM, erp=good) == []
    assert {(account_of(store, f"p{n}"), title_of(store, f"p{n}")) for n in range(8)} == {("a1", "Head")}

    landed(store, "crm", CRM, replace(there["a1"], version="4", deleted=True, merged_into="a2"))
    follow(store, crm=CRM, erp=good)
    landed(store, "crm", CRM, replace(there["a1"], version="5"))
    assert follow(store, limits, allow="Mara Lind", crm=CRM, erp=wrong) == []
    assert {(account_of(store, f"p{n}"), title_of(store, f"p{n}")) for n in range(8)} == {("a1", None)}
    assert store.runs(job="remap", connection="erp", limit=1)[0].counts["Person"]["allowed_by"] == "Mara Lind"


DEALS = load_mapping(
    "deals.yaml", "system: memory\nobjects:\n- {object: Deal, record: contact, fields: {account: Account, name: Name}}"
)


def test_a_merge_of_another_object_with_the_same_ids_moves_no_account(store: Store) -> None:
    """E42: where ids are unique within an object only, a deal's new id is no account's."""
    landed(store, "crm", CRM, *(Record("Account", name, "1", {"Name": name}) for name in ("a1", "a2")))
    landed(store, "erp", ERP, Record("Person", "p1", "1", {"Account": "a1", "Name": "Alex"}))
    landed(store, "crm", DEALS, Record("Deal", "a2", "1", {"Account": "a9", "Name": "of the same number"}))
    landed(store, "crm", DEALS, replace(Record("Deal", "a1", "2", {}), deleted=True, merged_into="a2"))
    follow(store)
    assert account_of(store, "p1") == "a1"


LEADS = """
system: memory
objects:
- {object: Firm, record: account, fields: {name: Name}}
- object: Lead
  records:
  - record: account
    when: {field: Known, present: true}
    fields: {name: Company}
  - record: referral
    fields:
      program: {value: next-technik}
      partner: {field: Partner, required: true}
      submitted_at: $created_at
      channel: {value: portal}
      company: {lookup: {field: Firm, object: Firm, get: Name}}
"""


def claims(store: Store) -> list[str]:
    return [fact.get("partner", "withdrawn") for fact in store.facts(types=["referral"])]


def lead(**fields: str) -> Record:
    return Record("Lead", "L1", "1", {"Partner": None, "Firm": None, "Known": None, "Company": "Quarry", **fields},
                  created_at=START, modified_at=START)  # fmt: skip


def test_a_record_that_comes_merged_away_gives_what_outlives_a_merge_and_nothing_else(store: Store) -> None:
    """E41."""
    mapping = load_mapping("crm.yaml", LEADS)
    landed(store, "crm", mapping, Record("Firm", "f1", "1", {"Name": "Quarry"}))
    merged = replace(lead(Partner="p1", Firm="f1", Known="yes"), deleted=True, merged_into="L2")
    landed(store, "crm", mapping, merged, merged)
    assert claims(store) == ["p1"]
    assert [fact["id"] for fact in store.facts(types=["account"])] == ["f1"]
    landed(store, "crm", mapping, replace(merged, fields={}), replace(merged, version="2"))
    assert claims(store) == ["p1"], "what does not show its values any more takes nothing back"


def test_a_merged_record_says_what_became_of_it_since_it_was_read(store: Store) -> None:
    """E41, G-7: it was completed, and merged, between two polls."""
    mapping = load_mapping("crm.yaml", LEADS)
    landed(
        store, "crm", mapping, Record("Firm", "f1", "1", {"Name": "Quarry"}), Record("Firm", "f2", "1", {"Name": "Q"})
    )
    landed(store, "crm", mapping, lead(Partner="p1", Firm="f1"))
    landed(store, "crm", mapping, replace(lead(Partner="p1", Firm="f2"), version="2", deleted=True, merged_into="L2"))
    assert [fact["company"] for fact in store.facts(types=["referral"])] == ["Quarry", "Q"]


def test_a_merged_record_that_cannot_be_taken_waits_with_its_reason_and_a_deleted_one_does_not(store: Store) -> None:
    """E41: its claim would be lost without a word; a deletion takes the claim back anyway."""
    mapping = load_mapping("crm.yaml", LEADS)
    landed(store, "crm", mapping, replace(lead(Partner="p1", Firm="f1"), deleted=True, merged_into="L2"))
    [held] = store.quarantine("crm")
    assert (held.external_id, held.code) == ("L1", "waiting")
    landed(store, "crm", mapping, Record("Firm", "f1", "1", {"Name": "Quarry"}))
    stream = store.stream("crm", "Lead")
    assert store.waiting("crm") == {"Lead": ["L1"]}
    store.replay(stream, ["L1"], mapping.object("Lead").facts, seen_at=START, run_id=1)
    assert claims(store) == ["p1"] and store.quarantine("crm") == []

    store.set_stream(stream, complete=True)
    gone = replace(lead(Partner="p2", Firm="f9"), external_id="L3", deleted=True)
    landed(store, "crm", mapping, gone)
    assert claims(store) == ["p1"] and store.quarantine("crm") == []
