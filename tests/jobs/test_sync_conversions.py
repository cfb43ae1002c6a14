"""E40: leads are converted in the CRM, in all the ways that people do it; the claim follows to account and opportunity."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.jobs.sync_world import Office, office, outcome

WEBSITE = "https://quarrylifts.com.au"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "office") as made:
        made.world.partner("Northline", "Northline Advisory", "0.10")
        made.world.partner("Brightfield", "Brightfield Digital", "0.08")
        made.world.refer("lead", "Northline", "Quarry Lifts", WEBSITE)
        made.later(hours=1)
        assert not made.sync().failed
        yield made


def synced(place: Office) -> dict[str, Any]:
    """The outcome after everything that people did by now was read."""
    place.later(hours=1)
    assert not place.sync().failed
    return outcome(place)


def claim_of(found: dict[str, Any], lead: str) -> dict[str, Any]:
    return next(claim for claim in found["claims"] if claim["referral"] == lead)


def earned(found: dict[str, Any], lead: str) -> list[str]:
    return [entry["amount"] for entry in found["entries"] if entry["referral"] == lead]


def sell(place: Office, account: str, name: str = "1") -> str:
    """The account signs, is billed 1,000.00 by the ERP, and pays; nobody writes down which lead it came from."""
    world = place.world
    contract = world.crm.insert(
        "Contract",
        {"AccountId": account, "Contract_Kind__c": "saas", "CurrencyIsoCode": "AUD", "Signed_On__c": world.today,
         "StartDate": world.today, "ContractTerm": 12, "Billing_Cadence__c": "monthly", "Status": "Activated"},
    )  # fmt: skip
    world.ids[f"contract {name}"] = contract
    world.ids[f"customer {name}"] = world.erp.insert("customer", {"companyname": name, "externalid": account})
    world.invoice(f"invoice {name}", name, f"contract {name}", [("saas", "1000.00")], "100.00")
    world.pay(f"invoice {name}", "1100.00")
    return str(contract)


def test_converted_into_a_new_account_with_an_opportunity_it_earns_there(place: Office) -> None:
    """E40."""
    crm, lead = place.world.crm, place.world.ids["lead"]
    account, _, opportunity = crm.convert_lead(lead, opportunity={"CloseDate": date(2026, 3, 1)})
    found = synced(place)
    assert (claim_of(found, lead)["account"], claim_of(found, lead)["state"]) == (account, "active")
    crm.update("Opportunity", opportunity, {"StageName": "Closed Won"})
    sell(place, account)
    synced(place)
    place.world.review("lead")
    found = synced(place)
    assert (claim_of(found, lead)["state"], earned(found, lead)) == ("won", ["100.00"])


def test_converted_into_an_account_that_is_there_without_an_opportunity_which_comes_later(place: Office) -> None:
    """E40."""
    crm, lead = place.world.crm, place.world.ids["lead"]
    there = crm.insert("Account", {"Name": "QL Holdings", "Website": "https://ql-holdings.example"})
    synced(place)
    crm.convert_lead(lead, account_id=there)
    found = synced(place)
    assert (claim_of(found, lead)["account"], claim_of(found, lead)["state"]) == (there, "active")
    place.later(days=20)
    crm.insert(
        "Opportunity", {"Name": "Lifts", "StageName": "Closed Won", "AccountId": there, "CloseDate": date(2026, 2, 1)}
    )
    sell(place, there)
    place.world.review("lead")
    synced(place)
    found = synced(place)
    assert (claim_of(found, lead)["state"], earned(found, lead)) == ("won", ["100.00"])


def test_a_lead_that_was_written_to_stays_as_it_is_after_its_conversion(place: Office) -> None:
    """E40: a converted lead is read-only, and no plan wants to change it."""
    crm, lead = place.world.crm, place.world.ids["lead"]
    account, *_ = crm.convert_lead(lead)
    sell(place, account)
    place.later(hours=1)
    result = place.sync()
    assert result.failed == [] and result.refused == []
    assert not [write for write in crm.journal.writes("Lead") if write.fields.get("Referral_Status__c") == "won"]
    assert [row["state"] for row in outcome(place)["claims"]] == ["won"]
    assert place.waiting() == 0


def test_two_partners_leads_converted_into_one_account_keep_their_order_of_receipt(place: Office) -> None:
    """E40, E41."""
    crm, world = place.world.crm, place.world
    world.refer("lead of the other", "Brightfield", "QL Group", "https://ql-group.example")
    synced(place)
    second = world.ids["lead of the other"]
    assert claim_of(outcome(place), second)["rank"] == 1, "another company, as far as anybody knows"
    account, *_ = crm.convert_lead(second)
    crm.convert_lead(world.ids["lead"], account_id=account)
    found = synced(place)
    first = claim_of(found, world.ids["lead"])
    assert (first["rank"], first["account"]) == (1, account)
    assert (claim_of(found, second)["rank"], claim_of(found, second)["account"]) == (2, account)
    assert [task["subject"] for task in found["tasks"] if task["kind"] == "conflict"]


def test_a_merged_lead_whose_survivor_is_converted_follows_to_its_account(place: Office) -> None:
    """E40, E41: the lead that was merged away has no conversion of its own; its claim goes where the survivor goes."""
    crm, world = place.world.crm, place.world
    world.refer("lead of the other", "Brightfield", "Quarry Lifts", WEBSITE)
    synced(place)
    crm.merge(world.ids["lead of the other"], world.ids["lead"])
    synced(place)
    there = crm.insert("Account", {"Name": "QL Holdings", "Website": "https://ql-holdings.example"})
    crm.convert_lead(world.ids["lead of the other"], account_id=there)
    found = synced(place)
    for name, rank in (("lead", 1), ("lead of the other", 2)):
        claim = claim_of(found, world.ids[name])
        assert (name, claim["rank"], claim["account"]) == (name, rank, there)


def test_a_converted_lead_that_is_deleted_and_restored_is_the_same_claim_and_earns_once(place: Office) -> None:
    """E40, E45."""
    crm, lead = place.world.crm, place.world.ids["lead"]
    account, *_ = crm.convert_lead(lead)
    sell(place, account)
    place.world.review("lead")
    before = synced(place)
    assert earned(before, lead) == ["100.00"]
    crm.delete("Lead", lead)
    synced(place)
    crm.undelete("Lead", lead)
    after = synced(place)
    assert claim_of(after, lead) == claim_of(before, lead)
    assert sum(map(float, earned(after, lead))) == 100


def test_the_account_that_a_lead_became_is_merged_and_the_claim_goes_with_it(place: Office) -> None:
    """E40, E41: of a chain of merges the last account counts, also when a merge is taken back."""
    crm, lead = place.world.crm, place.world.ids["lead"]
    account, *_ = crm.convert_lead(lead)
    synced(place)
    twin, third = (crm.insert("Account", {"Name": name, "Website": None}) for name in ("QL", "Q. Lifts"))
    crm.merge(twin, account)
    synced(place)
    crm.merge(third, twin)
    assert claim_of(synced(place), lead)["account"] == third
    crm.undelete("Account", twin)
    assert claim_of(synced(place), lead)["account"] == twin
    crm.undelete("Account", account)
    assert claim_of(synced(place), lead)["account"] == account


STEPS = (
    "refer",
    "convert",
    "convert there",
    "merge leads",
    "merge accounts",
    "delete",
    "undelete",
    "opportunity",
    "sell",
)


@settings(max_examples=3, phases=(Phase.explicit, Phase.generate))
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_people_do_with_leads_each_claim_is_where_its_lead_went(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """E40, E41, E45: random stories; what the claims name is told from what people did, not from what was read when."""
    chance = random.Random(seed)
    with office(tmp_path_factory.mktemp("story")) as place:
        story = _Story(place, chance)
        assert not place.sync().failed
        for _ in range(12):
            step = chance.choice(STEPS)
            story.act(step)
            place.later(minutes=20)
            if chance.random() < 0.3:
                assert not place.sync().failed
        synced(place)
        found = synced(place)
        claims = {claim["referral"]: claim for claim in found["claims"]}
        for lead in story.leads:
            assert (claims[lead]["state"] == "withdrawn") == (lead in story.deleted)
            assert (lead, claims[lead]["account"]) == (lead, story.account_of(lead))
        ranked: dict[str, list[str]] = {}
        for claim in sorted(found["claims"], key=lambda claim: story.leads.index(claim["referral"])):
            if claim["account"] is not None and claim["rank"] is not None:
                ranked.setdefault(claim["account"], []).append(claim["rank"])
        assert all(ranks == sorted(ranks) for ranks in ranked.values()), "in order of receipt"


class _Story:
    """People at work, and where each lead is to be found afterwards."""

    def __init__(self, place: Office, chance: random.Random) -> None:
        self._world, self._chance = place.world, chance
        self._place = place
        self._world.partner("Northline", "Northline Advisory", "0.10")
        self._world.partner("Brightfield", "Brightfield Digital", "0.08")
        self.leads: list[str] = []
        self.accounts: list[str] = []
        self.converted: dict[str, str] = {}
        self.merged: dict[str, str] = {}
        self.deleted: set[str] = set()

    def account_of(self, lead: str) -> str | None:
        """The account that a lead has become, by way of merges of leads and of accounts."""
        account = self.converted.get(self.end(lead))
        return None if account is None else self.end(account)

    def act(self, what: str) -> None:
        world, chance = self._world, self._chance
        crm = world.crm
        alive = [lead for lead in self.leads if lead not in self.merged and lead not in self.deleted]
        unconverted = [lead for lead in alive if lead not in self.converted]
        accounts = [account for account in self.accounts if account not in self.merged]
        number = len(world.ids)
        if what == "refer":
            partner = chance.choice(("Northline", "Brightfield"))
            world.refer(f"lead {number}", partner, f"Company {number} Lifts", f"https://lifts{number}.example")
            self.leads.append(world.ids[f"lead {number}"])
        elif what in ("convert", "convert there") and unconverted:
            lead = chance.choice(unconverted)
            there = chance.choice(accounts) if what == "convert there" and accounts else None
            opportunity = chance.choice((None, {"CloseDate": date(2026, 3, 1)}))
            self.converted[lead] = crm.convert_lead(lead, account_id=there, opportunity=opportunity)[0]
            if there is None:
                self.accounts.append(self.converted[lead])
        elif what == "merge leads" and len(unconverted) > 1:
            winner, loser = chance.sample(unconverted, 2)
            crm.merge(winner, loser)
            self.merged[loser] = winner
        elif what == "merge accounts" and len(accounts) > 1:
            winner, loser = chance.sample(accounts, 2)
            crm.merge(winner, loser)
            self.merged[loser] = winner
        elif what == "delete" and alive:
            lead = chance.choice(alive)
            crm.delete("Lead", lead)
            self.deleted.add(lead)
        elif what == "undelete" and self.deleted:
            lead = chance.choice(sorted(self.deleted))
            crm.undelete("Lead", lead)
            self.deleted.discard(lead)
        elif what == "opportunity" and accounts:
            crm.insert(
                "Opportunity",
                {"Name": "Lifts", "StageName": "Qualification", "AccountId": chance.choice(accounts), "CloseDate": date(2026, 3, 1)},
            )  # fmt: skip
        elif what == "sell" and accounts:
            sell(self._place, chance.choice(accounts), str(number))

    def end(self, record: str) -> str:
        """The lead or account that is left of this one."""
        while record in self.merged:
            record = self.merged[record]
        return record
