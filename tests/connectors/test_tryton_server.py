"""The Tryton connector against a real trytond: documents, payments, commissions, locks, rights, lost answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.base import Change, Query, Record
from connectors.errors import NeedsOperator, RetryLater, WindowTooLarge
from connectors.http import RetryPolicy
from connectors.simulation import Faults, SimRequest
from connectors.tryton.connector import TrytonConnector
from connectors.tryton.server.company import PASSWORD, USER
from sync.mapping import load_mapping
from sync.mapping_check import check
from tests.connectors.tryton_company import Company, running
from tests.faults.proxy import FaultProxy, Trouble

pytestmark = pytest.mark.slow

LINES = (("PLAN", "5000.00"), ("DEVICE", "1200.00"))


ON_BOTH = pytest.mark.parametrize(
    "company", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)], indirect=True
)
"""Where the databases differ, or may: stamps, transactions, exact numbers."""
World = Mapping[str, int]


@dataclass
class Places:
    """Servers by database, each started and filled once, when it is asked for first."""

    folders: pytest.TempPathFactory
    open: ExitStack
    started: dict[str, Company] = field(default_factory=dict)
    worlds: dict[str, World] = field(default_factory=dict)

    def company(self, database: str) -> Company:
        if database not in self.started:
            self.started[database] = self.open.enter_context(running(database, self.folders.mktemp("tryton")))
        return self.started[database]

    def world(self, company: Company) -> World:
        if company.server not in self.worlds:
            self.worlds[company.server] = played(company)
        return self.worlds[company.server]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with ExitStack() as open:
        yield Places(tmp_path_factory, open)


@pytest.fixture
def company(request: pytest.FixtureRequest, places: Places) -> Company:
    found = places.company(getattr(request, "param", "sqlite"))
    found.rest()
    return found


@pytest.fixture
def world(company: Company, places: Places) -> World:
    return places.world(company)


def played(company: Company) -> World:
    """What people did: an agent, a customer, a won lead, an invoice paid in two parts, one that is credited, a void one."""
    office, day = company.office(), company.now.date()
    partner = office.party("P-1", "Northline Advisory")
    agent = office.agent(partner, office.plan("next-technik", "amount * 0.10"))
    customer = office.party("C-1", "Harbour Lift Services", "https://harbourlift.com.au")
    lead = office.lead(customer, "Referred", {"partner": "P-1", "field technicians": "40"})
    office.qualify(lead, LINES)
    sale = office.win(lead, day, LINES)
    paid, credited, void = (office.invoice(customer, LINES, day, sale=sale) for _ in range(3))
    for _ in range(2):
        office.pay(paid, "3410.00", day)
    note = office.credit(credited, [("PLAN", "600.00")], day)
    office.cancel(void, day)
    return {"agent": agent, "customer": customer, "lead": lead, "sale": sale, "paid": paid, "credited": credited,
            "void": void, "note": note, "partner": partner}  # fmt: skip


def read(
    connector: TrytonConnector, kind: str, *fields: str, since: str | None = None
) -> tuple[dict[str, Record], str]:
    """The records of one read by id, and the watermark."""
    pages = list(connector.changes(Query(kind, fields), since=since))
    assert pages[-1].watermark is not None
    return {record.external_id: record for page in pages for record in page.records}, pages[-1].watermark


def is_method(name: str) -> Any:
    return lambda request: json.loads(request.body).get("method") == name


def commission(key: str, **fields: Any) -> Change:
    values = {
        "agent_code": "P-1", "product_code": "COMMISSION", "base_amount": "2500.00", "amount": "250.00",
        "currency_code": "AUD", "date": None, "reason": "10% of 2500.00", **fields,
    }  # fmt: skip
    return Change("commission", "key", key, values)


def held(company: Company, agent: int) -> list[Decimal]:
    """Amounts of an agent's commissions, as an administrator sees them."""
    rows = company.admin().search_read("commission", [["agent", "=", agent]], 1000, [("id", "ASC")], ["amount"])
    return [Decimal(row["amount"]["decimal"]) for row in rows]


# ---- reading


@ON_BOTH
def test_an_invoice_comes_with_lines_payments_and_credits(company: Company, world: World) -> None:
    fields = ("state", "sales", "untaxed_amount", "tax_amount", "currency.code", "party.code", "lines.amount",
              "lines.product.type", "payments", "credits", "credit", "cancel_move.date")  # fmt: skip
    found, _ = read(company.connect(), "account.invoice", *fields)

    paid = found[str(world["paid"])].fields
    assert (paid["state"], paid["untaxed_amount"], paid["tax_amount"]) == ("paid", "6200.00", "620.00")
    assert (paid["party"]["code"], paid["currency"]["code"], paid["sales"]) == ("C-1", "AUD", [world["sale"]])
    assert [(line["amount"], line["product"]["type"]) for line in paid["lines"]] == [("5000.00", "service"), ("1200.00", "goods")]  # fmt: skip
    assert [payment["amount"] for payment in paid["payments"]] == ["3410.00", "3410.00"]
    assert paid["credits"] == [] and paid["credit"] is False

    note = found[str(world["note"])].fields
    assert note["credit"] is True and note["payments"] == []
    [lowered] = note["credits"]
    assert (lowered["invoice"], lowered["net"], lowered["tax"]) == (world["credited"], "600.00", "60.00")
    assert [(line["amount"], line["product"]["code"]) for line in lowered["lines"]] == [("600.00", "PLAN")]

    void = found[str(world["void"])].fields
    assert void["state"] == "cancelled" and void["cancel_move"]["date"] == company.now.date().isoformat()
    assert void["payments"] == []


def test_what_people_note_in_a_lead_is_read_by_name(company: Company, world: World) -> None:
    found, _ = read(company.connect(), "sale.opportunity", "notes", "state", "party.website")
    lead = found[str(world["lead"])].fields
    assert lead["notes"] == {"partner": "P-1", "field_technicians": "40"}
    assert lead["state"] == "won" and lead["party"]["website"] == "https://harbourlift.com.au"
    sales, _ = read(company.connect(), "sale.sale", "opportunity")
    assert sales[str(world["sale"])].fields["opportunity"] == str(world["lead"])


def test_the_contact_of_a_lead_is_an_address_or_a_number_by_its_kind(company: Company, world: World) -> None:
    from connectors.tryton import PLUGIN

    assert PLUGIN.mapping is not None
    [plan] = [one for one in load_mapping(PLUGIN.mapping).objects if one.kind == "sale.opportunity"]
    office, contacts = company.office(), []
    for kind, value in (("email", "mia@harbourlift.com.au"), ("phone", "+61 2 5550 1299")):
        mechanism = {"party": world["customer"], "type": kind, "value": value, "name": "Mia"}
        [made] = office.rpc.call("party.contact_mechanism", "create", [mechanism], idempotent=False)
        lead = office.lead(world["customer"], f"By {kind}", {"partner": "P-1"})
        office.rpc.call("sale.opportunity", "write", [lead], {"contact": made})
        contacts.append(str(lead))
    found, _ = read(company.connect(), "sale.opportunity", *plan.query.fields)
    facts = [fact for one in plan.facts([found[key] for key in contacts], NOTHING) for fact in one.facts]
    assert [fact["contact"] for fact in facts if fact["type"] == "referral"] == [
        {"name": "Mia", "email": "mia@harbourlift.com.au"}, {"name": "Mia", "phone": "+61 2 5550 1299"},
    ]  # fmt: skip


class Nothing:
    """Look-ups of a store in which nothing is."""

    def get(self, kind: str, external_id: str) -> None:
        return None


NOTHING = Nothing()


@ON_BOTH
def test_a_part_that_changes_brings_its_record_again(company: Company, world: World) -> None:
    connector = company.connect(overlap_seconds=5)
    fields = ("code", "contact_mechanisms.value")
    company.advance(3600)
    _, watermark = read(connector, "party.party", *fields)
    company.advance(3600)
    office = company.office()
    values = {"party": world["customer"], "type": "phone", "value": "+61255501234"}
    office.rpc.call("party.contact_mechanism", "create", [values], idempotent=False)
    found, _ = read(connector, "party.party", *fields, since=watermark)
    assert list(found) == [str(world["customer"])]
    numbers = found[str(world["customer"])].fields["contact_mechanisms"]
    assert "+61255501234" in [contact["value"] for contact in numbers]


def test_a_record_that_is_put_away_still_comes(company: Company) -> None:
    office = company.office()
    party = office.party("OLD", "Old Customer")
    office.rpc.call("party.party", "write", [party], {"active": False})
    found, _ = read(company.connect(), "party.party", "active")
    assert found[str(party)].fields["active"] is False


def test_a_party_that_was_merged_names_the_one_it_became(company: Company) -> None:
    """E41: what named it names the other; we hear of both."""
    office, connector = company.office(), company.connect()
    winner, loser = office.party("WINNER", "Harbour Lifts"), office.party("LOSER", "Harbour Lift")
    lead = office.lead(loser, "Referred", {"partner": "P-1"})
    _, parties = read(connector, "party.party", "code")
    _, leads = read(connector, "sale.opportunity", "party")
    company.advance(3600)
    office.merge(loser, winner)
    found, _ = read(connector, "party.party", "code", since=parties)
    assert (found[str(loser)].deleted, found[str(loser)].merged_into) == (True, str(winner))
    moved = read(connector, "sale.opportunity", "party", since=leads)[0][str(lead)]
    assert moved.fields["party"] == winner


def test_deletions_are_seen_when_it_is_time_to_compare_ids(company: Company) -> None:
    connector = company.connect(deleted_hours=24)
    office = company.office()
    party = office.party("GONE", "Gone Tomorrow")
    _, watermark = read(connector, "party.party", "code")
    office.rpc.call("party.party", "delete", [party], idempotent=False)
    company.advance(3600)
    found, watermark = read(connector, "party.party", "code", since=watermark)
    assert str(party) not in found
    company.advance(24 * 3600)
    found, watermark = read(connector, "party.party", "code", since=watermark)
    assert found[str(party)].deleted
    company.advance(24 * 3600)
    assert str(party) not in read(connector, "party.party", "code", since=watermark)[0]


def test_a_broken_reference_spoils_one_record_and_not_its_page(company: Company, world: World) -> None:
    """SQLite keeps no foreign keys: Tryton takes a party that does not exist, and then refuses each page with that row."""
    leads = [{"description": "broken", "party": 1_000_000}, {"description": "after it"}]
    broken, after = company.admin().call("sale.opportunity", "create", leads, idempotent=False)
    found, _ = read(company.connect(), "sale.opportunity", "description", "party.code", "notes")
    assert {str(world["lead"]), str(broken), str(after)} <= set(found)
    assert found[str(broken)].fields == {"id": broken, "description": "broken", "party": None, "notes": None}
    assert found[str(world["lead"])].fields["party"]["code"] == "C-1"
    company.admin().call("sale.opportunity", "write", [broken], {"party": world["customer"]})
    found, _ = read(company.connect(), "sale.opportunity", "party.code")
    assert found[str(broken)].fields["party"]["code"] == "C-1"


def test_both_logins_read_the_same(company: Company) -> None:
    session, basic = (read(company.connect(auth=auth), "party.party", "name")[0] for auth in ("session", "basic"))
    assert session == basic


def test_a_session_that_has_ended_is_renewed_unseen(company: Company) -> None:
    connector = company.connect()
    before, _ = read(connector, "party.party", "name")
    admin = company.admin()
    user = admin.call("res.user", "search", [["login", "=", USER]], 0, 1, None)
    admin.call("res.user", "write", user, {"password": PASSWORD})  # which ends the user's sessions
    assert read(connector, "party.party", "name")[0] == before


def test_a_wrong_password_asks_for_a_person_once(company: Company) -> None:
    before = company.door.total_requests
    with pytest.raises(NeedsOperator, match="check user and password"):
        read(company.connect(password="not-the-password"), "party.party", "name")
    assert company.door.total_requests - before == 1


def test_what_cannot_be_read_is_named(company: Company) -> None:
    connector = company.connect()
    with pytest.raises(NeedsOperator, match="party.party has no field 'nmae'"):
        read(connector, "party.party", "nmae")
    with pytest.raises(NeedsOperator, match="no model 'party.prty' that the integration user may read"):
        read(connector, "party.prty", "name")
    with pytest.raises(NeedsOperator, match="no such database"):
        read(company.connect(database="elsewhere"), "party.party", "name")


def test_the_shipped_mapping_fits(company: Company, world: World) -> None:
    from connectors.tryton import PLUGIN

    assert PLUGIN.mapping is not None
    connector = company.connect()
    assert check(load_mapping(PLUGIN.mapping), connector) == []
    assert connector.probe().problems == ()
    assert connector.probe().identity == "referee in Vendor Pty Ltd"


# ---- writing


@ON_BOTH
def test_a_commission_is_written_read_and_written_again(company: Company, world: World) -> None:
    connector = company.connect()
    before = len(held(company, world["agent"]))
    [first] = connector.write([commission("k:1")])
    assert (first.state, first.created) == ("done", True)
    [again] = connector.write([commission("k:1", amount="-24.20", date="2027-01-01", reason="corrected")])
    assert (again.state, again.created, again.external_id) == ("done", False, first.external_id)
    assert len(held(company, world["agent"])) == before + 1

    fields = ("key", "agent_code", "product_code", "amount", "currency_code", "date", "reason")
    [record] = connector.fetch("commission", fields, ["k:1", "no such key"], key_field="key")
    found = {name: record.fields[name] for name in fields}
    assert Decimal(found.pop("amount")) == Decimal("-24.20")
    assert found == {
        "key": "k:1", "agent_code": "P-1", "product_code": "COMMISSION", "currency_code": "AUD", "date": "2027-01-01",
        "reason": "corrected",
    }  # fmt: skip
    assert read(connector, "commission", "key", "reason")[0][record.external_id].fields["reason"] == "corrected"


@pytest.mark.parametrize("lost", ["ir.attachment.create", "commission.create", "ir.attachment.write"])
def test_a_commission_is_made_once_whichever_answer_is_lost(company: Company, world: World, lost: str) -> None:
    connector, key = company.connect(), f"lost:{lost}"
    connector.write([commission("k:1")])
    before = len(held(company, world["agent"]))
    company.door.faults.add(Faults.lose_answer(1, is_method(f"model.{lost}")))
    [result] = connector.write([commission(key, amount="77.00")])
    assert result.state in ("done", "unknown")
    for _ in range(2):
        [result] = company.connect().write([commission(key, amount="77.00")])
        assert result.state == "done"
    assert len(held(company, world["agent"])) == before + 1
    assert len(list(connector.fetch("commission", ("key",), [key], key_field="key"))) == 1


def test_a_create_that_a_network_delivers_twice_leaves_one_commission(company: Company, world: World) -> None:
    """The copy is deleted and told; so is that of the attachment's request of no consequence."""
    before = len(held(company, world["agent"]))
    twice = ("model.commission.create", "model.ir.attachment.create")

    def choose(request: bytes) -> Trouble | None:
        return "twice" if any(name.encode() in request for name in twice) else None

    with FaultProxy(int(company.door.url.rpartition(":")[2]), choose) as proxy:
        connector = company.connect(url=proxy.url)
        results = connector.write([commission("twice:1", amount="31.00"), commission("twice:2", amount="31.00")])
        assert proxy.hit["twice"] == 4
    assert [result.state for result in results] == ["done", "done"]
    assert any("came twice" in str(result.message) for result in results)
    assert len(held(company, world["agent"])) == before + 2
    records = list(company.connect().fetch("commission", ("key",), ["twice:1", "twice:2"], key_field="key"))
    assert {record.external_id for record in records} == {result.external_id for result in results}


def test_a_copy_that_comes_later_is_told_with_its_key_and_goes_with_the_next_batch(
    company: Company, world: World
) -> None:
    """A request that a network held back until our run was over."""
    connector = company.connect()
    before = len(held(company, world["agent"]))
    late: list[bytes] = []

    def choose(request: bytes) -> Trouble | None:
        if b"model.commission.create" in request and not late:
            late.append(request)
        return None

    proxy = FaultProxy(int(company.door.url.rpartition(":")[2]), choose)
    with proxy:
        [kept] = company.connect(url=proxy.url).write([commission("later:1", amount="32.00")])
        proxy.send(late[0])
    assert len(held(company, world["agent"])) == before + 2
    records = list(connector.fetch("commission", ("key", "amount"), ["later:1"], key_field="key"))
    assert [record.fields["key"] for record in records] == ["later:1", "later:1"], "a plan blocks it: make it unique"
    connector.write([commission("later:2", amount="33.00")])
    [record] = connector.fetch("commission", ("key",), ["later:1"], key_field="key")
    assert record.external_id == kept.external_id
    assert len(held(company, world["agent"])) == before + 2


def test_a_later_change_of_a_record_waits_while_the_outcome_of_the_earlier_one_is_not_known(
    company: Company, world: World
) -> None:
    connector = company.connect()
    company.door.faults.add(Faults.lose_answer(1, is_method("model.commission.create")))
    changes = [commission("waits", amount="1.00"), commission("other"), commission("waits", amount="2.00")]
    results = connector.write(changes)
    assert [result.state for result in results] == ["unknown", "done", "retry"]
    assert results[0].code and results[2].code == "WAITS"
    assert [result.state for result in connector.write([changes[0], changes[2]])] == ["done", "done"]
    [record] = connector.fetch("commission", ("amount",), ["waits"], key_field="key")
    assert Decimal(record.fields["amount"]) == Decimal("2.00")


def test_a_commission_that_somebody_deleted_is_made_again(company: Company, world: World) -> None:
    connector = company.connect()
    [made] = connector.write([commission("deleted", amount="13.00")])
    assert made.external_id is not None
    company.admin().call("commission", "delete", [int(made.external_id)], idempotent=False)
    assert list(connector.fetch("commission", ("key",), ["deleted"], key_field="key")) == []
    [again] = connector.write([commission("deleted", amount="13.00")])
    assert again.state == "done" and again.external_id != made.external_id


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"agent_code": "nobody"}, "REFERENCE_NOT_FOUND"),
        ({"currency_code": "EUR"}, "CURRENCY"),
        ({"amount": "much"}, "INVALID_VALUE"),
        ({"amount": "0.00"}, "INVALID_VALUE"),
        ({"amount": None}, "REQUIRED"),
        ({"amount": "1.23456789"}, "TOO_MANY_DIGITS"),
        ({"no_such_field": "x"}, "NO_SUCH_FIELD"),
        ({"reason": "be\0fore"}, "INVALID_TEXT"),
    ],
)
def test_a_commission_that_tryton_would_not_take_is_rejected_with_the_reason(
    company: Company, world: World, fields: dict[str, Any], code: str
) -> None:
    connector = company.connect()
    before = held(company, world["agent"])
    results = connector.write([commission("bad", **fields), commission("good")])
    assert [(result.state, result.code) for result in results] == [("rejected", code), ("done", None)]
    connector.write([commission("good")])
    assert len(held(company, world["agent"])) <= len(before) + 1
    assert list(connector.fetch("commission", ("key",), ["bad"], key_field="key")) == []


@ON_BOTH
def test_a_record_that_changed_since_it_was_read_is_not_overwritten(company: Company) -> None:
    connector, office = company.connect(), company.office()
    party = office.party("LOCKED", "As it was read")
    [read_before] = connector.fetch("party.party", ("name",), [str(party)])
    office.rpc.call("party.party", "write", [party], {"name": "Changed by a person"})
    stale = Change("party.party", None, str(party), {"name": "ours"}, expected_version=read_before.version)
    [result] = connector.write([stale])
    assert (result.state, result.code) == ("rejected", "RECORD_CHANGED")
    [now] = connector.fetch("party.party", ("name",), [str(party)])
    assert now.fields["name"] == "Changed by a person"
    fresh = Change("party.party", None, str(party), {"name": "ours"}, expected_version=now.version)
    assert connector.write([fresh])[0].state == "done"


def test_two_records_with_one_key_are_left_for_a_person(company: Company, world: World) -> None:
    connector, office = company.connect(), company.office()
    twin = {"party": world["customer"], "type": "email", "value": "mia@harbourlift.com.au", "comment": "twice"}
    office.rpc.call("party.contact_mechanism", "create", [twin, twin], idempotent=False)
    change = Change("party.contact_mechanism", "comment", "twice", {"value": "other@harbourlift.com.au"})
    [result] = connector.write([change])
    assert (result.state, result.code) == ("rejected", "DUPLICATE_KEY")


def test_a_support_contact_is_kept_under_its_own_key(company: Company, world: World) -> None:
    connector = company.connect()
    for email in ("mia@northline.example", "leo@northline.example"):
        fields = {"party_code": "C-1", "type": "email", "value": email, "name": "Support"}
        [result] = connector.write([Change("party.contact_mechanism", "comment", "support of C-1", fields)])
        assert result.state == "done"
    records = list(
        connector.fetch("party.contact_mechanism", ("value", "party_code"), ["support of C-1"], key_field="comment")
    )
    assert [record.fields["value"] for record in records] == ["leo@northline.example"]
    assert records[0].fields["party_code"] == "C-1"


def test_rights_are_tryton_s(company: Company, world: World) -> None:
    """A user without the group for commissions reads parties, and is told what to give for the rest."""
    admin = company.admin()
    if not admin.call("res.user", "search", [["login", "=", "clerk"]], 0, 1, None):
        values = {
            "name": "Clerk",
            "login": "clerk",
            "password": "clerk-of-tests",
            "companies": [["add", [1]]],
            "company": 1,
        }
        admin.call("res.user", "create", [values], idempotent=False)
    clerk = company.connect(user="clerk", password="clerk-of-tests")
    assert read(clerk, "party.party", "name")[0]
    assert clerk.describe("commission.agent") is None or not clerk.describe("commission.agent").creatable  # type: ignore[union-attr]
    with pytest.raises(NeedsOperator, match="give"):
        clerk.write([commission("clerk")])


def test_a_key_that_is_none_is_refused(company: Company) -> None:
    with pytest.raises(NeedsOperator, match="party.party.name is no key for upserts; allowed: code"):
        company.connect().write([Change("party.party", "name", "x", {})])


# ---- trouble


def test_a_server_that_is_down_is_tried_and_then_left(company: Company) -> None:
    connector = company.connect()
    company.door.faults.add(Faults.status(503, times=None))
    with pytest.raises(RetryLater):
        read(connector, "party.party", "name")
    assert len(company.waits) == RetryPolicy().attempts - 1
    company.door.faults.clear()
    assert read(connector, "party.party", "name")[0]


def test_half_an_answer_is_asked_for_again(company: Company) -> None:
    connector = company.connect()
    whole, _ = read(connector, "party.party", "name")

    def reads(request: SimRequest) -> bool:
        return b"model.party.party.search_read" in request.body

    company.door.faults.add(Faults.truncate(1, reads))
    assert read(connector, "party.party", "name")[0] == whole


def test_dates_and_instants_are_the_server_s_own(company: Company, world: World) -> None:
    [record] = company.connect().fetch("account.invoice", ("invoice_date",), [str(world["paid"])])
    assert date.fromisoformat(record.fields["invoice_date"])
    assert record.created_at is not None and record.modified_at is not None
    assert record.created_at < record.modified_at < datetime.now(UTC)


def test_pages_that_are_not_answered_in_time_shrink_and_a_record_alone_is_named(company: Company, world: World) -> None:
    query = Query("party.party", ("name", "code"))
    calm = [record.external_id for page in company.connect().changes(query, since=None) for record in page.records]
    company.door.records_in_time = {"model.party.party.search_read": 3}
    found = [record.external_id for page in company.connect().changes(query, since=None) for record in page.records]
    assert found == calm and len(calm) > 3
    company.door.records_in_time = {"model.party.party.search_read": 0}
    with pytest.raises(WindowTooLarge, match=r"party.party: one record alone .* timeout_seconds: 60"):
        list(company.connect().changes(query, since=None))
