"""Writing: every write once in effect, every record with its own result, whatever goes wrong around it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Change
from connectors.errors import NeedsOperator, QuotaSpent
from connectors.http import RetryPolicy
from connectors.simulation import Faults, SimRequest
from tests.connectors.salesforce_org import running

SHORT = RetryPolicy(attempts=2, total_seconds=30)


def commission(key: str, **fields: Any) -> Change:
    return Change("Commission__c", "Sync_Key__c", key, {"Amount__c": Decimal("12.30"), **fields})


def on_collections(request: SimRequest) -> bool:
    return "/composite/sobjects" in request.path


def test_an_upsert_creates_once_and_then_updates() -> None:
    with running() as org:
        connector = org.connect()
        (first,) = connector.write([commission("a/b.c", State__c="accrued")])
        (second,) = connector.write([commission("a/b.c", State__c="paid", Due_On__c=None)])
        assert (first.state, first.created) == ("done", True)
        assert (second.state, second.created, second.external_id) == ("done", False, first.external_id)
        (row,) = org.all_rows("Commission__c")
        assert (row["Sync_Key__c"], row["State__c"], row["Amount__c"]) == ("a/b.c", "paid", Decimal("12.30"))


@settings(max_examples=25)
@given(
    keys=st.lists(st.integers(0, 15), min_size=1, max_size=40),
    size=st.integers(1, 7),
    lost=st.integers(0, 3),
    locked=st.sets(st.integers(0, 15), max_size=3),
)
def test_lost_answers_locks_and_repeats_write_each_key_once(
    keys: list[int], size: int, lost: int, locked: set[int]
) -> None:
    """Whatever is lost on the way, writing again until nothing is open leaves one record a key, with the last value."""
    with running() as org:
        connector = org.connect(write_size=size)
        changes = [commission(f"k{key}", Basis__c=Decimal(place)) for place, key in enumerate(keys)]
        org.rules.locked.update({f"k{key}": 1 for key in locked})
        org.faults.add(Faults.lose_answer(max(lost, 1), on_collections, after=0 if lost else 99))
        results = connector.write(changes)
        assert [result.key for result in results] == [change.key for change in changes]
        again = connector.write([changes[n] for n, result in enumerate(results) if result.state != "done"])
        assert all(result.state == "done" for result in again)
        assert set(org.journal.count_by_key().values()) <= {1}
        last = {f"k{key}": Decimal(place) for place, key in enumerate(keys)}
        assert {row["Sync_Key__c"]: row["Basis__c"] for row in org.all_rows("Commission__c")} == last


def test_when_every_answer_is_lost_the_outcome_is_unknown_and_reading_back_tells() -> None:
    with running() as org:
        connector = org.connect(SHORT)
        org.faults.add(Faults.lose_answer(None, on_collections))
        (result,) = connector.write([commission("k1")])
        assert result.state == "unknown"
        org.faults.clear()
        (found,) = connector.fetch("Commission__c", ("Amount__c",), ["k1"], key_field="Sync_Key__c")
        assert found.fields["Amount__c"] == Decimal("12.3")
        assert org.journal.count_by_key() == {("Commission__c", "k1"): 1}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"Kind__c": "gift"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"Clauses__c": "x" * 256}, "STRING_TOO_LONG"),
        ({"Name": "no"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"Nope__c": "no"}, "INVALID_FIELD"),
        ({"Partner__c": "not an id"}, "MALFORMED_ID"),
        ({"Partner__c": "001000000000000AAA"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"Amount__c": "much"}, "JSON_PARSER_ERROR"),
        ({"Amount__c": Decimal("1e17")}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"Because__c": "forbidden"}, "FIELD_CUSTOM_VALIDATION_EXCEPTION"),
    ],
)
def test_a_record_that_fails_never_fails_its_neighbours(fields: dict[str, Any], code: str) -> None:
    """Also when the vendor refuses the whole request for it (unknown field, wrong JSON type)."""
    with running() as org:
        org.rules.validations.append(
            ("Commission__c", lambda row: "no" if row.get("Because__c") == "forbidden" else None)
        )
        changes = [commission(f"k{n}") for n in range(7)]
        changes[3] = commission("k3", **fields)
        results = org.connect().write(changes)
        assert [result.state for result in results] == ["done"] * 3 + ["rejected"] + ["done"] * 3
        assert results[3].code == code
        assert len(org.journal.writes("Commission__c")) == 6


def test_messages_hold_no_values() -> None:
    with running() as org:
        lead = org.insert("Lead", {"LastName": "L", "Company": "C"})
        (result,) = org.connect().write([Change("Lead", None, lead, {"Email": "ann@"})])
        assert result.state == "rejected"
        assert result.message is not None
        assert "ann" not in result.message
        assert "Email" in result.message


def test_locked_rows_are_for_later_and_others_are_done() -> None:
    with running() as org:
        org.rules.locked["k1"] = 1
        first = org.connect().write([commission("k0"), commission("k1")])
        assert [result.state for result in first] == ["done", "retry"]


def test_a_race_for_one_key_ends_as_an_update() -> None:
    """Someone inserted the key between the vendor's look and its insert: it answers DUPLICATE_VALUE."""
    with running() as org:
        error = {"statusCode": "DUPLICATE_VALUE", "message": "duplicate value found", "fields": ["Sync_Key__c"]}
        org.insert("Commission__c", {"Sync_Key__c": "k1"})
        org.faults.add(Faults.status(200, match=on_collections, body=[{"success": False, "errors": [error]}]))
        (result,) = org.connect().write([commission("k1")])
        assert (result.state, result.created) == ("done", False)


def test_updates_by_id_never_create_and_say_why_they_cannot() -> None:
    with running() as org:
        account = org.insert("Account", {"Name": "A", "Billing_Contact_Email__c": "pay@customer.example"})
        gone = org.insert("Account", {"Name": "B"})
        org.delete("Account", gone)
        lead = org.insert("Lead", {"LastName": "L", "Company": "C"})
        org.convert_lead(lead)
        support = {"Support_Contact_Name__c": "Sam"}
        accounts = len(org.all_rows("Account"))
        results = org.connect().write(
            [
                Change("Account", None, account, support),
                Change("Account", None, gone, support),
                Change("Lead", None, lead, {"Referral_Status__c": "won"}),
                Change("Account", None, "CRM-77", support),
            ]
        )
        assert [(result.state, result.code) for result in results] == [
            ("done", None),
            ("rejected", "ENTITY_IS_DELETED"),
            ("rejected", "CANNOT_UPDATE_CONVERTED_LEAD"),
            ("rejected", "MALFORMED_ID"),
        ]
        row = org.get("Account", account)
        assert row is not None
        assert (row["Support_Contact_Name__c"], row["Billing_Contact_Email__c"]) == ("Sam", "pay@customer.example")
        assert len(org.all_rows("Account")) == accounts


def test_an_update_of_a_record_that_changed_since_is_refused() -> None:
    with running() as org:
        connector = org.connect()
        account = org.insert("Account", {"Name": "A"})
        (seen,) = connector.fetch("Account", ("Name",), [account])
        update = Change("Account", None, account, {"Phone": "1"}, expected_version=seen.version)
        org.wait(60)
        assert connector.write([update])[0].state == "done"
        (stale,) = connector.write([update])
        assert (stale.state, org.journal.writes()[-1].fields) == ("rejected", {"Phone": "1"})
        assert len(org.journal.writes()) == 1


def test_duplicate_rules_are_obeyed_unless_the_settings_say_otherwise() -> None:
    with running() as org:
        org.rules.duplicates["Commission__c"] = "Corrects__c"
        org.insert("Commission__c", {"Corrects__c": "x"})
        (blocked,) = org.connect().write([commission("k1", Corrects__c="x")])
        assert (blocked.state, blocked.code) == ("rejected", "DUPLICATES_DETECTED")
        (saved,) = org.connect(save_duplicates=True).write([commission("k1", Corrects__c="x")])
        assert saved.state == "done"


def test_rows_of_one_parent_go_together_and_calls_are_foreseen() -> None:
    with running() as org:
        connector = org.connect(write_size=2)
        changes = [
            Change("Commission__c", "Sync_Key__c", f"k{n}", {}, parent=parent) for n, parent in enumerate("baba")
        ]
        changes += [Change("Partner_Statement__c", "Sync_Key__c", "s1", {}), commission("k0")]
        foreseen = connector.write_calls(changes)
        before = connector.http.calls
        assert all(result.state == "done" for result in connector.write(changes))
        assert foreseen == connector.http.calls - before == 4
        assert [write.key for write in org.journal.writes("Commission__c")] == ["k1", "k3", "k0", "k2", "k0"]


def test_leads_are_not_reassigned_by_our_writes() -> None:
    with running() as org:
        headers = []
        org.faults.add(Faults.status(500, times=0, match=lambda r: headers.append(dict(r.headers)) or False))  # type: ignore[func-returns-value]
        lead = org.insert("Lead", {"LastName": "L", "Company": "C"})
        org.connect().write([Change("Lead", None, lead, {"Referral_Rank__c": 1})])
        assert headers[-1]["Sforce-Auto-Assign"] == "FALSE"


def test_quota_spent_in_the_middle_keeps_the_results_and_the_rest_for_later() -> None:
    with running() as org:
        connector = org.connect(write_size=1, quota_share=1.0)
        connector.write([commission("k0")])
        org.daily_requests = org.requests_used + 1
        results = connector.write([commission("k1"), commission("k2"), commission("k3")])
        assert [result.state for result in results] == ["done", "retry", "retry"]
        with pytest.raises(QuotaSpent):
            connector.write([commission("k2")])


def test_a_missing_key_field_is_for_an_administrator() -> None:
    with running() as org:
        org.hide("Commission__c", "Sync_Key__c")
        with pytest.raises(NeedsOperator, match="key field"):
            org.connect().write([commission("k1"), commission("k2")])
        assert org.journal.writes() == []
