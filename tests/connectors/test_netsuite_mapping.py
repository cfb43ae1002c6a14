"""The shipped mapping fits the simulated account: it loads, every field is there, documents become sound records."""

from __future__ import annotations

from collections.abc import Mapping as Fields
from datetime import date
from typing import Any

from connectors.base import Change
from connectors.netsuite import PLUGIN
from connectors.netsuite.connector import NetSuiteConnector
from sync.mapping_check import check
from tests.connectors.netsuite_account import Account, running
from tests.connectors.shipped_mappings import shipped

OUTCOME: dict[str, Any] = {
    "claims": [],
    "support": [],
    "entries": [
        {"key": "next-technik:L1:commission:payment:7-8:1", "program": "next-technik", "partner": "P1", "referral": "L1",
         "contract": "C1", "kind": "commission", "source": {"type": "payment", "id": "7-8"}, "basis": "1000.10",
         "rate": "0.1", "amount": "100.01", "currency": "USD", "earned_on": "2026-03-01", "released_on": None,
         "due_on": "2026-04-30", "state": "accrued", "corrects": None, "clauses": ["NT-16"], "because": "10 % of it"},
    ],
    "statements": [
        {"id": "next-technik:P1:2026-03-01:USD", "program": "next-technik", "partner": "P1", "period_from": "2026-03-01",
         "period_to": "2026-03-31", "due_on": "2026-04-14", "pay_by": "2026-04-30", "currency": "USD", "entries": [],
         "opening": "0.00", "total": "100.01", "withheld": "0.00", "payable": "100.01", "carried_forward": "0.00",
         "state": "issued"},
    ],
}  # fmt: skip


class Pulled:
    """Raw fields of what was pulled before, as the store hands them out."""

    def __init__(self) -> None:
        self.fields: dict[tuple[str, str], Fields[str, Any]] = {}

    def get(self, kind: str, external_id: str) -> Fields[str, Any] | None:
        return self.fields.get((kind, external_id))


def facts_of(connector: NetSuiteConnector) -> dict[tuple[str, str], dict[str, Any]]:
    pulled, found = Pulled(), {}
    for part in shipped(PLUGIN).objects:
        for page in connector.changes(part.query, since=None):
            pulled.fields.update({(record.kind, record.external_id): record.fields for record in page.records})
            for mapped in part.facts(page.records, pulled):
                assert mapped.reject is None
                found.update({(fact["type"], fact["id"]): fact for fact in mapped.facts})
    return found


def documents(account: Account) -> dict[str, str]:
    customer = account.insert("customer", {"companyname": "Invented Ltd", "externalid": "ACC-1"})
    partner = account.insert("partner", {"companyname": "Partner Ltd", "externalid": "PRT-1"})
    lines = [("saas", "1000.10"), ("shipping", "20"), ("discount", "-0.10")]
    invoice = account.invoice(customer, lines, date(2026, 2, 1), tax="102", custbody_contract_id="CON-1")
    other = account.invoice(customer, [("services", "50")], date(2026, 2, 2))
    payment = account.pay({invoice: "1000", other: "50"}, "1050", date(2026, 2, 10))
    credit = account.credit(invoice, [("saas", "100")], date(2026, 2, 20), tax="10")
    account.refund(invoice, "5.50", date(2026, 2, 21))
    bill = account.bill(partner, "STM-1", [("services", "77")], date(2026, 2, 22), tax="7.70")
    account.pay_bill(bill, "84.70", date(2026, 2, 23))
    voided = account.invoice(customer, [("saas", "9")], date(2026, 2, 3))
    account.void("invoice", voided)
    account.wait(3600)
    return {"invoice": invoice, "other": other, "payment": payment, "credit": credit, "voided": voided}


def test_the_packaged_account_has_everything_the_mapping_names() -> None:
    with running() as account:
        assert check(shipped(PLUGIN), account.connect()) == []
        account.hide("transaction", "custbody_contract_id")
        hidden = check(shipped(PLUGIN), account.connect())
        assert any("custbody_contract_id" in problem.found for problem in hidden)


def test_documents_become_records() -> None:
    with running(zone="Australia/Sydney", date_format="DD.MM.YYYY") as account:
        ids = documents(account)
        facts = facts_of(account.connect(page_size=2))
    invoice = facts["invoice", ids["invoice"]]
    assert (invoice["account"], invoice["contract"], invoice["issued_on"]) == ("ACC-1", "CON-1", "2026-02-01")
    # NetSuite shows numbers without superfluous zeros.
    assert [(line["kind"], line["amount"]) for line in invoice["lines"]] == [
        ("saas", "1000.1"),
        ("shipping", "20"),
        ("discount", "-0.1"),
    ]
    assert (invoice["tax"], invoice["currency"]) == ("102", "USD")
    assert "voided_on" not in invoice
    assert facts["invoice", ids["voided"]]["voided_on"] == "2026-03-02"
    paid = {key[1]: fact["amount"] for key, fact in facts.items() if key[0] == "payment"}
    assert paid == {f"{ids['payment']}-{ids['invoice']}": "1000", f"{ids['payment']}-{ids['other']}": "50"}
    credit = facts["credit_note", f"{ids['credit']}-{ids['invoice']}"]
    assert (credit["amount"], credit["tax"], credit["invoice"]) == ("100", "10", ids["invoice"])
    [refund] = [fact for key, fact in facts.items() if key[0] == "refund"]
    assert (refund["amount"], refund["invoice"]) == ("5.5", ids["invoice"])
    [bill] = [fact for key, fact in facts.items() if key[0] == "partner_invoice"]
    assert (bill["partner"], bill["statement"], bill["amount"], bill["tax"]) == ("PRT-1", "STM-1", "77.0", "7.7")
    [payout] = [fact for key, fact in facts.items() if key[0] == "payout"]
    assert (payout["statement"], payout["amount"]) == ("STM-1", "84.7")


def test_a_seeded_account_becomes_records_without_a_single_reject() -> None:
    with running() as account:
        account.seed(3, 40)
        account.wait(3600)
        facts = facts_of(account.connect())
    counts = {name: sum(key[0] == name for key in facts) for name in ("invoice", "payment")}
    assert counts == {"invoice": 80, "payment": 40}


def test_an_outcome_is_written_back_once() -> None:
    with running() as account:
        changes = [
            Change(wanted.object, wanted.key_field, wanted.key, wanted.fields, wanted.parent)
            for write in shipped(PLUGIN).writes
            for wanted in write.desired(OUTCOME)
        ]
        connector = account.connect()
        for _ in range(2):
            assert [result.message for result in connector.write(changes) if result.state != "done"] == []
        [commission] = account.rows("customrecord_partner_commission")
        assert (commission["externalid"], commission["custrecord_amount"]) == (changes[0].key, "100.01")
        [statement] = account.rows("customrecord_partner_statement")
        assert (statement["custrecord_st_payable"], statement["custrecord_st_to"]) == ("100.01", "2026-03-31")
        assert set(account.journal.count_by_key().values()) == {1}
