"""A Tryton company is settled: our commissions beside those that Tryton's own module makes, written back, read again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from connectors.tryton import PLUGIN
from connectors.tryton.server.company import PASSWORD, USER
from jobs.check import check_connections
from jobs.installation import Installation, installation
from jobs.stored import stored_outcome
from jobs.sync import Synced, sync
from sync.outbox import Outbox
from tests.connectors.tryton_company import DATABASE, Company, running
from tests.faults.proxy import TROUBLES, FaultProxy, bad_network

pytestmark = pytest.mark.slow

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Case:
    """A referral with its invoice: Tryton's formula, the prices of its lines, what is paid when, and what is credited."""

    partner: str
    formula: str
    prices: tuple[str, ...]
    payments: tuple[str, ...]
    credit: str | None = None


CASES = (
    Case("TEN", "amount * 0.10", ("5000.00",), ("5500.00",)),
    Case("EIGHT", "amount * 0.08", ("1234.56", "0.44"), ("1358.50",)),
    Case("EIGHTH", "amount * 0.125", ("999.90",), ("500.00", "599.89")),
    Case("CREDITED", "amount * 0.10", ("3200.00",), ("3520.00",), "600.00"),
    Case("OPEN", "amount * 0.10", ("700.00",), ()),
)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with running("sqlite", tmp_path_factory.mktemp("tryton")) as company:
        yield company


@contextmanager
def installed(company: Company, folder: Path, url: str | None = None, **connection: Any) -> Iterator[Installation]:
    """An installation beside the company, on its clock; ``url``: where it finds the server."""
    settings = {
        "url": url or company.door.url,
        "database": DATABASE,
        "user": USER,
        "password": PASSWORD,
        "allow_loopback": True,
    }
    body = {
        "store": "sqlite:///referee.db", "programs": ["next-technik"], "log": {"level": "error"},
        "connections": {"tryton": {"system": "tryton", "settings": settings, **connection}},
    }  # fmt: skip
    config = folder / "referee.yaml"
    with config.open("w", encoding="utf-8") as out:
        YAML().dump(body, out)
    with installation(config, clock=lambda: company.now, sleep=company.waits.append) as here:
        yield here


def synced(here: Installation, **options: Any) -> Synced:
    result = sync(here.store, here.programs, here.open(), here.clock, **options)
    assert (result.failed, result.refused) == ([], [])
    return result


def outcome(here: Installation) -> dict[str, Any]:
    [program] = here.programs
    with here.store.reading() as db:
        return stored_outcome(db, here.programs, {program.id: program.calendar.date_of(here.clock())})


def today(company: Company) -> date:
    """The day in Sydney."""
    return (company.now + timedelta(hours=11)).date()


def play(company: Company, case: Case) -> tuple[int, int]:
    """One referral from the lead to its payments; returns the agent and the invoice. The agent is on the invoice too."""
    office, day = company.office(), today(company)
    agent = office.agent(
        office.party(case.partner, f"{case.partner} Partners"), office.plan("next-technik", case.formula)
    )
    customer = office.party(
        f"C-{case.partner}", f"{case.partner} Customer", f"https://{case.partner.lower()}-customer.com.au"
    )
    notes = {"partner": case.partner, "channel": "portal", "field technicians": "40", "industry": "facilities"}
    lead = office.lead(customer, "Referred", notes)
    lines = [("PLAN", price) for price in case.prices]
    office.qualify(lead, lines)
    sale = office.win(lead, day, lines)
    office.approve(sale, "Priya", company.now.isoformat(timespec="seconds"))
    invoice = office.invoice(customer, lines, day, sale=sale, agent=agent)
    for amount in case.payments:
        office.pay(invoice, amount, day)
    if case.credit:
        office.credit(invoice, [("PLAN", case.credit)], day)
    return agent, invoice


def test_our_commissions_are_those_of_tryton_s_own_module(company: Company, tmp_path: Path) -> None:
    """Percentages of posted and paid invoices, which both can express; Tryton keeps four digits, an entry has two."""
    agents = {case.partner: play(company, case)[0] for case in CASES}
    company.advance(3600)
    with installed(company, tmp_path) as here:
        synced(here, write=False)
        ours: dict[str, list[Decimal]] = {}
        for entry in outcome(here)["entries"]:
            ours.setdefault(entry["partner"], []).append(Decimal(entry["amount"]))
    rows = company.admin().search_read("commission", [], 1000, [("id", "ASC")], ["agent", "amount", "date"])
    for case in CASES:
        theirs = [row for row in rows if row["agent"] == agents[case.partner]]
        total = sum((Decimal(row["amount"]["decimal"]) for row in theirs), Decimal(0)).quantize(CENT, ROUND_HALF_EVEN)
        if case.payments:
            off = abs(sum(ours[case.partner], Decimal(0)) - total)
            # Each payment is an entry of its own, rounded by itself.
            assert off <= CENT / 2 * (len(case.payments) - 1), case
        else:
            # Posted and not paid: Tryton holds a commission without a date, we owe nothing yet.
            assert case.partner not in ours
            assert [row["date"] for row in theirs] == [None]


def test_what_we_write_into_tryton_is_what_we_owe(company: Company, tmp_path: Path) -> None:
    case = Case("WRITTEN", "amount * 0.10", ("5000.00",), ("2750.00",))
    office = company.office()
    party = office.party(case.partner, "Written Partners")
    agent = office.agent(party, office.plan("next-technik", case.formula))
    customer = office.party("C-WRITTEN", "Written Customer", "https://written-customer.com.au")
    shipped = PLUGIN.mapping.read_text("utf-8") if PLUGIN.mapping else ""
    role = "role: {value: professional_services}\n          certified: {value: true}"
    (tmp_path / "own.yaml").write_text(shipped.replace("role: {value: referral}", role), "utf-8")
    with installed(company, tmp_path, mapping="own.yaml") as here:
        notes = {"partner": case.partner, "channel": "portal", "field technicians": "40", "industry": "facilities"}
        lead = office.lead(customer, "Referred", notes)
        synced(here, write=False)
        office.qualify(lead, [("PLAN", "5000.00")])
        sale = office.win(lead, today(company), [("PLAN", "5000.00")])
        contact = {"support name": "Mia Tran", "support email": "mia.tran@written.com.au"}
        office.approve(sale, "Priya", company.now.isoformat(timespec="seconds"), **contact)
        invoice = office.invoice(customer, [("PLAN", "5000.00")], today(company), sale=sale)
        office.pay(invoice, "2750.00", today(company))
        company.advance(3600)
        [plan] = synced(here, allow="the test").written["tryton"][:1]
        assert plan.calls > 0
        assert held(company, agent) == owed(here, case.partner) == [Decimal("250.00")]

        company.advance(86_400)
        office.pay(invoice, "2750.00", today(company))
        office.credit(invoice, [("PLAN", "600.00")], today(company))
        company.advance(3600)
        synced(here, allow="the test")
        assert sum(held(company, agent)) == sum(owed(here, case.partner)) == Decimal("440.00")

        before = held(company, agent)
        company.advance(3600)
        again = synced(here, allow="the test")
        assert all(one.calls == 0 for one in again.written.get("tryton", []))
        assert held(company, agent) == before

        connector = here.open()[0].connector
        keys = {entry["key"]: entry for entry in outcome(here)["entries"] if entry["partner"] == case.partner}
        records = list(connector.fetch("commission", ("key", "amount", "reason"), list(keys), key_field="key"))
        assert {record.fields["key"]: Decimal(record.fields["amount"]) for record in records} == {
            key: Decimal(entry["amount"]) for key, entry in keys.items()
        }
        assert {record.fields["key"]: record.fields["reason"] for record in records} == {
            key: entry["because"] for key, entry in keys.items()
        }
        contacts = company.admin().search_read(
            "party.contact_mechanism",
            [["party", "=", customer], ["type", "=", "email"]],
            10,
            [("id", "ASC")],
            ["value", "name"],
        )
        assert [(one["name"], one["value"]) for one in contacts] == [("Mia Tran", "mia.tran@written.com.au")]

        office.invoice_commissions()
        [made] = company.admin().search_read(
            "account.invoice",
            [["type", "=", "in"], ["party", "=", party]],
            2,
            [("id", "ASC")],
            ["state", "untaxed_amount"],
        )
        assert (made["state"], Decimal(made["untaxed_amount"]["decimal"])) == ("draft", Decimal("440.00"))
        assert {one.fields["invoiced"] for one in connector.fetch("commission", ("invoiced",), list(keys), key_field="key")} == {True}  # fmt: skip
        company.advance(3600)
        assert all(one.calls == 0 for one in synced(here, allow="the test").written.get("tryton", []))


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (2, 3))])
def test_syncs_through_a_bad_network_owe_and_hold_the_same(company: Company, tmp_path: Path, seed: int) -> None:
    """All that a network does; a request that is delivered twice, or late, makes a second commission, which goes again."""
    case = Case(f"NETWORK{seed}", "amount * 0.10", ("5000.00", "0.10"), ("2750.00", "2750.11"))
    agent, _ = play(company, case)
    company.advance(3600)
    own = held(company, agent)  # Tryton's own module makes commissions of the invoice, too
    choose = bad_network(TROUBLES, random.Random(seed), lambda request: b"model.commission.create" in request)
    proxy = FaultProxy(int(company.door.url.rpartition(":")[2]), choose)
    with proxy, installed(company, tmp_path, proxy.url) as here:
        outbox, whole, syncs = Outbox(here.store), False, 0
        while not whole:
            result, syncs = sync(here.store, here.programs, here.open(), here.clock, allow="the test"), syncs + 1
            counts = outbox.counts("tryton")
            whole = result.failed == [] and not counts.get("pending") and not counts.get("attempted")
            assert whole or syncs < 20, "never whole"
            company.advance(900)
        expected = owed(here, case.partner)
    assert len(expected) == 2 and sum(expected) == Decimal("500.01")
    assert sorted(held(company, agent)) == sorted(own + expected)
    with installed(company, tmp_path) as here:
        assert all(one.calls == 0 for one in synced(here, allow="the test").written.get("tryton", []))
    print(
        f"\nTryton, seed {seed}: {proxy.hit.total() - proxy.hit['none']} of {proxy.hit.total()} requests in trouble, {syncs} syncs"
    )
    assert proxy.hit.total() > proxy.hit["none"]


def owed(here: Installation, partner: str) -> list[Decimal]:
    return [Decimal(entry["amount"]) for entry in outcome(here)["entries"] if entry["partner"] == partner]


def held(company: Company, agent: int) -> list[Decimal]:
    """What Tryton holds for an agent, as an administrator sees it."""
    rows = company.admin().search_read("commission", [["agent", "=", agent]], 100, [("id", "ASC")], ["amount"])
    return [Decimal(row["amount"]["decimal"]) for row in rows]


def test_check_finds_nothing_to_mend(company: Company, tmp_path: Path) -> None:
    with installed(company, tmp_path) as here:
        [found] = check_connections(here, None)
    assert found["problems"] == []
    assert "account.invoice" in found["objects"]


def test_check_says_what_is_missing(company: Company, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "system: tryton\nname: own\nobjects:\n  - object: party.prty\n    record: account\n    fields: {name: name}\n"
        "  - object: party.party\n    record: account\n    fields: {name: nmae}\n"
    )
    with installed(company, tmp_path, mapping="own.yaml") as here:
        [found] = check_connections(here, None)
    assert [problem["found"] for problem in found["problems"]] == ["object 'party.prty'", "unknown field 'nmae'"]
    assert "party.party" in found["problems"][0]["hint"]
