"""Writing to NetSuite: once in effect whatever happens to the answers, exact numbers, rows that fail alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests_oauthlib import OAuth1  # type: ignore[import-untyped]

from connectors.base import Change
from connectors.errors import NeedsOperator
from connectors.simulation import Faults, SimRequest
from tests.connectors.netsuite_account import Account, running

COMMISSIONS = "customrecord_partner_commission"


def change(key: str, parent: str | None = None, **fields: Any) -> Change:
    return Change(COMMISSIONS, "externalid", key, {"custrecord_state": "accrued", **fields}, parent)


def is_put(request: SimRequest) -> bool:
    return request.method == "PUT"


@given(st.lists(st.sampled_from(["lose_answer", "drop", "truncate", "hang_up", "fine"]), max_size=5))
@settings(max_examples=20)
def test_a_record_is_created_once(faults: list[str]) -> None:
    with running() as account:
        for name in faults:
            if name in ("lose_answer", "drop", "truncate"):
                account.faults.add(getattr(Faults, name)(1, is_put))
            elif name == "hang_up":
                account.faults.add(Faults.status(502, match=is_put))
        connector = account.connect(concurrency=1)
        results = connector.write([change("k1", custrecord_amount="1.10"), change("k2")])
        assert [result.state for result in results] == ["done", "done"]
        assert account.journal.count_by_key() == {(COMMISSIONS, "k1"): 1, (COMMISSIONS, "k2"): 1}


def test_answers_lost_for_ever_are_unknown_not_failed() -> None:
    with running() as account:
        connector = account.connect()
        connector.write([change("k0")])
        account.faults.add(Faults.lose_answer(None, is_put))
        [result] = connector.write([change("k1")])
        assert result.state == "unknown"
        account.faults.clear()
        [found] = connector.fetch(COMMISSIONS, ("custrecord_state",), ["k1"], key_field="externalid")
        assert found.fields["custrecord_state"] == "accrued"
        [again] = connector.write([change("k1")])
        assert (again.state, again.external_id) == ("done", found.external_id)
        assert account.journal.count_by_key()[COMMISSIONS, "k1"] == 1


def test_a_record_created_by_someone_else_meanwhile_is_updated() -> None:
    with running() as account:
        body = {
            "status": 400,
            "o:errorDetails": [{"detail": "Error. This entity already exists.", "o:errorCode": "USER_ERROR"}],
        }
        account.insert(COMMISSIONS, {"externalid": "k1", "custrecord_state": "theirs"})
        account.faults.add(Faults.status(400, match=is_put, body=body))
        [result] = account.connect().write([change("k1")])
        assert result.state == "done"
        [row] = account.rows(COMMISSIONS)
        assert row["custrecord_state"] == "accrued"


def test_rows_fail_alone_and_without_their_values() -> None:
    with running() as account:
        locked = account.insert(COMMISSIONS, {"externalid": "locked"})
        account.lock_record(COMMISSIONS, locked)
        secret = "a name nobody should see in a log"
        results = account.connect().write(
            [
                change("fine"),
                change("field", custrecord_unknown=secret),
                change("number", custrecord_amount="12,50"),
                change("float", custrecord_amount=12.5),
                change("date", custrecord_earned_on=secret),
                change("locked"),
                Change("customer", None, "999999", {"companyname": secret}),
                Change("customer", None, "x'1", {"companyname": secret}),
                change("also fine"),
            ]
        )
        assert [result.state for result in results] == ["done", *["rejected"] * 7, "done"]
        assert [result.code for result in results[1:8]] == [
            "NONEXISTENT_FIELD", "INVALID_NUMBER", "INVALID_NUMBER", "INVALID_CONTENT", "USER_ERROR", "NONEXISTENT_ID",
            "INVALID_ID",
        ]  # fmt: skip
        assert all(result.message and secret not in result.message for result in results[1:8])


@given(st.decimals("-99999999999.99", "99999999999.99", places=2))
@settings(max_examples=30)
def test_money_arrives_to_the_cent(amount: Decimal) -> None:
    with running() as account:
        connector = account.connect()
        connector.write([change("k", custrecord_amount=str(amount))])
        [record] = connector.fetch(COMMISSIONS, ("custrecord_amount",), ["k"], key_field="externalid")
        assert Decimal(record.fields["custrecord_amount"]) == amount


def test_references_and_names_are_written_as_the_record_api_wants_them() -> None:
    with running() as account:
        parent = account.insert("customer", {"companyname": "Parent", "externalid": "P"})
        child = account.insert("customer", {"companyname": "Child"})
        contact = account.insert("contact", {"lastname": "L"})
        results = account.connect().write(
            [
                Change("customer", None, child, {"parent": "eid:P", "companyname": "Renamed", "isinactive": "T"}),
                Change("contact", None, contact, {"company": child}),
            ]
        )
        assert [result.state for result in results] == ["done", "done"]
        row, person = account.get("customer", child), account.get("contact", contact)
        assert row is not None and person is not None
        assert (row["parent"], row["companyname"], row["isinactive"]) == (int(parent), "Renamed", "T")
        assert person["company"] == int(child)


def test_rows_of_one_parent_go_one_after_the_other_and_no_more_at_a_time_than_set() -> None:
    with running() as account:
        connector = account.connect(concurrency=3)
        results = connector.write([change(f"k{n}", parent=f"p{n % 5}", custrecord_rate=str(n)) for n in range(40)])
        assert {result.state for result in results} == {"done"}
        assert account.most_running <= 3
        order = [write.key for write in account.journal.writes()]
        for parent in range(5):
            mine = [f"k{n}" for n in range(40) if n % 5 == parent]
            assert [key for key in order if key in mine] == mine


def test_a_missing_permission_concerns_the_connection() -> None:
    with running() as account:
        account.hide(COMMISSIONS)
        with pytest.raises(NeedsOperator, match="permission"):
            account.connect().write([change("k")])


def test_only_the_external_id_is_a_key() -> None:
    with running() as account, pytest.raises(NeedsOperator, match="externalid"):
        account.connect().write([Change(COMMISSIONS, "custrecord_partner", "k", {})])


def call(account: Account, method: str, path: str, **options: Any) -> requests.Response:
    """As an independent client (requests-oauthlib) calls the record API."""
    login = account.login
    auth = OAuth1(
        login["consumer_key"], login["consumer_secret"], login["token_id"], login["token_secret"], realm="1234567_SB1",
        signature_method="HMAC-SHA256", timestamp=str(int(account.moment.timestamp())),
    )  # fmt: skip
    return requests.request(method, f"{account.url}/services/rest{path}", auth=auth, timeout=10, **options)


def test_the_simulated_record_api_answers_as_the_vendors() -> None:
    with running() as account:
        created = call(account, "POST", "/record/v1/customer", json={"companyName": "C", "externalId": "E 1"})
        assert (created.status_code, created.content) == (204, b"")
        record_id = created.headers["Location"].rpartition("/")[2]
        body = call(account, "GET", "/record/v1/customer/eid:E%201").json()
        assert (body["id"], body["companyName"], body["isInactive"]) == (record_id, "C", False)
        assert body["lastModifiedDate"] == "2026-03-02T09:00:00Z"
        again = call(account, "POST", "/record/v1/customer", json={"companyName": "C", "externalId": "E 1"})
        assert (again.status_code, again.json()["o:errorDetails"][0]["o:errorCode"]) == (400, "USER_ERROR")
        listed = call(account, "GET", '/record/v1/customer?q=lastModifiedDate ON_OR_AFTER "3/2/2026"').json()
        assert [item["id"] for item in listed["items"]] == [record_id]
        wrong = call(account, "GET", '/record/v1/customer?q=lastModifiedDate AFTER "2026-03-02"')
        assert wrong.status_code == 400
        assert call(account, "DELETE", f"/record/v1/customer/{record_id}").status_code == 204
        assert call(account, "GET", f"/record/v1/customer/{record_id}").status_code == 404


def test_the_simulated_async_api_knows_a_key_twice() -> None:
    with running() as account:
        headers = {"Prefer": "respond-async", "X-NetSuite-Idempotency-Key": "key"}
        first = call(account, "POST", "/record/v1/customer", json={"companyName": "C"}, headers=headers)
        second = call(account, "POST", "/record/v1/customer", json={"companyName": "C"}, headers=headers)
        assert (first.status_code, second.status_code, second.json()["title"]) == (202, 400, "Conflict")
        assert first.headers["Location"] == second.headers["Location"]
        job = first.headers["Location"].partition("/services/rest")[2]
        assert call(account, "GET", job).json()["completed"] is True
        assert call(account, "GET", f"{job}/task/1/result").status_code == 204
        assert len(account.rows("customer")) == 1


def test_a_key_is_refused_a_second_time_whatever_the_body_and_does_nothing_without_async() -> None:
    with running() as account:
        key = {"X-NetSuite-Idempotency-Key": "key"}
        for _ in range(2):  # synchronous: the key protects nothing
            assert call(account, "POST", "/record/v1/customer", json={"companyName": "C"}, headers=key).ok
        assert len(account.rows("customer")) == 2
        headers = {**key, "Prefer": "respond-async"}
        first = call(account, "POST", "/record/v1/customer", json={"companyName": "D"}, headers=headers)
        other = call(account, "POST", "/record/v1/customer", json={"companyName": "E"}, headers=headers)
        assert (other.status_code, other.headers["Location"]) == (400, first.headers["Location"])
        assert other.json()["o:errorDetails"][0]["o:errorCode"] == "IDEMPOTENCY_ERROR"
        assert len(account.rows("customer")) == 3


def test_a_batch_is_asynchronous_and_tells_of_each_record_by_its_task_only() -> None:
    with running() as account:
        account.jobs.polls = 2
        headers = {"Content-Type": "application/vnd.oracle.resource+json; type=collection"}
        body = {"items": [{"externalId": "a", "custrecord_state": "paid"}, {"externalId": "b", "no_such_field": 1}]}
        path = f"/record/v1/{COMMISSIONS}"
        assert call(account, "PUT", path, json=body, headers=headers).status_code == 400
        headers["Prefer"] = "respond-async"
        many = {"items": [{"externalId": str(n)} for n in range(101)]}
        assert call(account, "PUT", path, json=many, headers=headers).status_code == 400
        sent = call(account, "PUT", path, json=body, headers=headers)
        job = sent.headers["Location"].partition("/services/rest")[2]
        assert [call(account, "GET", job).json()["completed"] for _ in range(3)] == [False, False, True]
        tasks = [item["id"] for item in call(account, "GET", f"{job}/task").json()["items"]]
        progress = [call(account, "GET", f"{job}/task/{task}").json()["progress"] for task in tasks]
        assert progress == ["succeeded", "failed"]
        assert call(account, "GET", f"{job}/task/2/result").status_code == 400
        assert account.journal.count_by_key() == {(COMMISSIONS, "a"): 1}


def test_the_connector_never_creates_without_a_key_of_its_own() -> None:
    """What idempotency keys are for, a create that a lost answer would double, does not happen here."""
    with running() as account:
        connector = account.connect()
        made = connector.write([change(f"k{n}") for n in range(4)])
        connector.write([Change(COMMISSIONS, None, str(made[0].external_id), {"custrecord_state": "paid"})])
        written = {method for method, route in account.requests if COMMISSIONS in route} - {"GET"}
        assert written == {"PUT", "PATCH"}


def test_what_asynchronous_requests_would_cost_for_the_same_safety() -> None:
    count, lost = 20, 5
    with running() as account:
        connector = account.connect(concurrency=1)
        connector.write([change("warm")])
        before = account.total_requests
        for place in range(lost):
            account.faults.add(Faults.lose_answer(1, is_put, after=3 * place + 2))
        connector.write([change(f"k{n}") for n in range(count)])
        plain = account.total_requests - before
        assert set(account.journal.count_by_key().values()) == {1} and len(account.rows(COMMISSIONS)) == count + 1
    with running() as account:
        account.jobs.polls = 1
        for place in range(lost):
            account.faults.add(Faults.lose_answer(1, is_put, after=3 * place + 2))
        for n in range(count):
            headers = {"Prefer": "respond-async", "X-NetSuite-Idempotency-Key": f"key {n}"}
            path, body = f"/record/v1/{COMMISSIONS}/eid:k{n}", {"custrecord_state": "accrued"}
            try:
                sent = call(account, "PUT", path, json=body, headers=headers)
            except requests.ConnectionError:
                sent = call(account, "PUT", path, json=body, headers=headers)
            job = sent.headers["Location"].partition("/services/rest")[2]
            while not call(account, "GET", job).json()["completed"]:
                pass
            assert call(account, "GET", f"{job}/task/1/result").status_code == 204
        asynchronous = account.total_requests
        assert set(account.journal.count_by_key().values()) == {1} and len(account.rows(COMMISSIONS)) == count
    with running() as account:
        account.jobs.polls = 1
        headers = {"Prefer": "respond-async", "Content-Type": "application/vnd.oracle.resource+json; type=collection"}
        body = {"items": [{"externalId": f"k{n}", "custrecord_state": "accrued"} for n in range(count)]}
        job = call(account, "PUT", f"/record/v1/{COMMISSIONS}", json=body, headers=headers).headers["Location"]
        job = job.partition("/services/rest")[2]
        while not call(account, "GET", job).json()["completed"]:
            pass
        tasks = call(account, "GET", f"{job}/task").json()["items"]
        assert {call(account, "GET", f"{job}/task/{task['id']}").json()["progress"] for task in tasks} == {"succeeded"}
        batch = account.total_requests
    print(f"{count} records, {lost} answers lost: {plain} calls, {asynchronous} asynchronously with a key; 0 doubled")
    print(f"as one batch, nothing lost, until each record's outcome is known: {batch} calls")
    assert plain < asynchronous / 3


def test_every_request_counts_against_the_accounts_limit() -> None:
    with running() as account:
        account.concurrency_limit, account.others_running = 5, 5
        for answer in (429, 400):
            account.over_limit_answer = answer
            refused = call(account, "GET", "/record/v1/customer")
            assert refused.status_code == answer
            assert refused.json()["o:errorDetails"][0]["o:errorCode"] == "CONCURRENCY_LIMIT_EXCEEDED"
