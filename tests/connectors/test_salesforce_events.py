"""Change events name records and nothing else; what was missed, or carries no ids, is a hint for the whole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from connectors.base import Heard, Hint, Listener, Query, Rereader
from connectors.errors import ConnectorError, NeedsOperator, RetryLater
from connectors.http import RetryPolicy
from connectors.salesforce.connector import SalesforceConnector
from connectors.simulation import Faults, SimResponse
from tests.connectors.salesforce_org import START, Org, running


def heard(connector: SalesforceConnector, since: str | None, polls: int = 1) -> tuple[list[Hint], str]:
    """The hints of so many polls, and the cursor after them."""
    assert isinstance(connector, Listener)
    found = list(islice(connector.listen(since), polls))
    return [hint for one in found for hint in one.hints], found[-1].cursor


def begun(org: Org) -> tuple[Iterator[Heard], SalesforceConnector]:
    """Listening from now on."""
    connector = org.connect()
    listening = connector.listen(None)
    assert next(listening) == Heard((), "-1")
    return listening, connector


def test_what_changes_is_named_with_its_time_in_order_and_once() -> None:
    with running() as org:
        org.insert("Account", {"Name": "from before"})
        listening, _ = begun(org)
        lead = org.insert("Lead", {"LastName": "Morgan", "Company": "Quarry"})
        org.update("Lead", lead, {"Company": "Quarry Lifts"})
        org.wait(5)
        org.delete("Lead", lead)
        first = next(listening)
        assert [(hint.kind, hint.external_id) for hint in first.hints] == [("Lead", lead)] * 2
        assert first.hints[0].occurred_at == START
        assert next(listening) == Heard((), first.cursor)
        assert org.waits == [1.0, 1.0], "the org asks for a second between polls"


def test_a_conversion_names_all_that_it_made() -> None:
    with running() as org:
        lead = org.insert("Lead", {"LastName": "Morgan", "Company": "Quarry"})
        listening, _ = begun(org)
        made = org.convert_lead(lead, opportunity={"CloseDate": "2026-04-01"})
        assert {(hint.kind, hint.external_id) for hint in next(listening).hints} == {
            ("Account", made[0]), ("Contact", made[1]), ("Opportunity", made[2]), ("Lead", lead),
        }  # fmt: skip


def test_listening_goes_on_from_the_last_event_after_the_connection_was_lost() -> None:
    with running() as org:
        listening, connector = begun(org)
        one = org.insert("Account", {"Name": "One"})
        cursor = next(listening).cursor
        two = org.insert("Account", {"Name": "Two"})
        org.events.disconnect()
        assert next(listening).hints == ()
        with pytest.raises(ConnectorError, match="begun anew") as lost:
            next(listening)
        assert lost.value.code == "403"
        hints, cursor = heard(connector, cursor)
        assert [hint.external_id for hint in hints] == [two] and one != two
        assert heard(connector, cursor) == ([], cursor)


@pytest.mark.parametrize("kind", ["lose_answer", "truncate"])
def test_an_answer_that_is_lost_loses_no_event(kind: str) -> None:
    with running() as org:
        listening, connector = begun(org)
        org.insert("Account", {"Name": "One"})
        cursor = next(listening).cursor
        account = org.insert("Account", {"Name": "Two"})
        org.faults.add(getattr(Faults, kind)(1, lambda request: b"/meta/connect" in request.body))
        with pytest.raises(ConnectorError):
            next(listening)
        assert [hint.external_id for hint in heard(connector, cursor)[0]] == [account]


def test_events_that_are_kept_no_more_become_a_hint_for_everything() -> None:
    """E47."""
    with running() as org:
        listening, connector = begun(org)
        org.insert("Account", {"Name": "One"})
        cursor = next(listening).cursor
        org.wait(73 * 3600)
        hints, cursor = heard(connector, cursor)
        assert hints == [Hint()] and cursor == "-1"


def test_gap_events_name_their_records_and_overflows_their_object() -> None:
    """E47."""
    with running() as org:
        listening, _ = begun(org)
        org.events.gaps = True
        account = org.insert("Account", {"Name": "One"})
        org.events.lost = {"Contact"}
        for number in range(3):
            org.insert("Contact", {"LastName": f"Morgan {number}", "AccountId": account})
        assert next(listening).hints == (Hint("Account", account, START), Hint("Contact", "", START))


def test_events_in_another_form_are_left_alone() -> None:
    def event(header: object, replay: object = 7) -> dict[str, object]:
        payload = {"ChangeEventHeader": header}
        return {"channel": "/data/ChangeEvents", "data": {"payload": payload, "event": {"replayId": replay}}}

    odd = [
        event(None), event({"entityName": 5}), event({"entityName": "Lead", "recordIds": ["001*"]}, True),
        event({"entityName": "Case", "recordIds": "all", "commitTimestamp": 10**18}, "x"), {"channel": "/data/ChangeEvents"},
        event({"entityName": "Asset", "recordIds": ["02iHs0000000001"], "changeType": "GAP_OVERFLOW"}),
        {"channel": "/data/OtherEvents"}, "text", {"channel": "/meta/connect", "successful": True, "advice": "none"},
    ]  # fmt: skip
    with running() as org:
        listening, _ = begun(org)
        org.faults.add(
            Faults.status(200, match=lambda request: b"/meta/connect" in request.body, body=SimResponse.json(odd).body)
        )
        found = next(listening)
        assert found.hints == (Hint("Lead"), Hint("Case"), Hint("Asset")) and found.cursor.isdigit()


def test_a_channel_that_is_refused_says_what_to_set_up() -> None:
    with running() as org:
        connector = org.connect(change_channel="/data/Missing__chn")
        with pytest.raises(NeedsOperator, match="Setup > Change Data Capture"):
            next(connector.listen(None))


def test_a_session_that_ended_is_renewed_and_one_lost_for_good_is_told() -> None:
    """The org says so in a message with status 200; only a handshake that is refused for it asks for another login."""
    with running() as org:
        listening, connector = begun(org)
        one = org.insert("Account", {"Name": "One"})
        cursor = next(listening).cursor
        org.sessions.revoke_all()
        two = org.insert("Account", {"Name": "Two"})
        assert next(listening).hints == ()
        with pytest.raises(RetryLater, match="begun anew") as lost:
            next(listening)
        assert (lost.value.code, org.sessions.tokens_made) == ("401", 1)
        hints, _ = heard(connector, cursor)
        assert [hint.external_id for hint in hints] == [two] and one != two
        assert org.sessions.tokens_made == 2
        org.forget_sessions = True
        with pytest.raises(NeedsOperator):
            next(connector.listen(None))


@pytest.mark.parametrize("what", ["handshake", "subscribe", "connect"])
@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        ("401::Authentication invalid", "503::Server is too busy.  Please try your request again later.", "503"),
        ("403::Handshake denied", "403::To protect all customers from excessive use and Denial of Service attacks, we limit "
         "the number of simultaneous connections per server.", "403"),
        ("403::Organization total events daily limit exceeded", None, "403"),
    ],
)  # fmt: skip
def test_an_org_without_room_is_asked_again_some_minutes_later(
    what: str, error: str, reason: str | None, code: str
) -> None:
    """As the guide's own examples: the error beside a reason is that of the operation, not what went wrong."""
    ext = {"sfdc": {"failureReason": reason}} if reason else {}
    told = [
        {"channel": f"/meta/{what}", "successful": False, "error": error, "ext": ext, "advice": {"reconnect": "none"}}
    ]
    with running() as org:
        org.faults.add(Faults.status(200, match=lambda request: f"/meta/{what}".encode() in request.body, body=told))
        with pytest.raises(RetryLater, match="no room") as refused:
            list(islice(org.connect().listen(None), 2))
        assert (refused.value.code, refused.value.retry_after_seconds) == (code, 300.0)
        assert org.sessions.tokens_made == 1


def test_listening_costs_none_of_the_days_requests() -> None:
    with running() as org:
        listening, _ = begun(org)
        list(islice(listening, 5))
        assert org.requests_used == 0


def test_records_are_read_anew_as_they_are_now_within_the_filter() -> None:
    query = Query("Lead", ("Company", "Email"), "Email != null")
    with running() as org:
        leads = [org.insert("Lead", {"LastName": "M", "Company": f"Q{n}", "Email": "a@b.example"}) for n in range(4)]
        without = org.insert("Lead", {"LastName": "M", "Company": "Q"})
        org.delete("Lead", leads[1])
        org.merge(leads[2], leads[3])
        connector = org.connect()
        assert isinstance(connector, Rereader) and connector.hinted_as("Lead") == ("Lead",)
        found = list(connector.reread(query, [*leads, without, leads[0][:15], "no id", "00Q000000000001AAA"]))
        assert {(one.external_id, one.deleted, one.merged_into) for one in found} == {
            (leads[0], False, None), (leads[1], True, None), (leads[2], False, None), (leads[3], True, leads[2]),
        }  # fmt: skip


def test_the_policy_of_retries_does_not_repeat_a_poll() -> None:
    with running() as org:
        connector = org.connect(RetryPolicy(attempts=3))
        listening = connector.listen(None)
        next(listening)
        polls = org.requests["POST", "cometd/62.0"]
        org.faults.add(Faults.lose_answer(None, lambda request: b"/meta/connect" in request.body))
        with pytest.raises(ConnectorError):
            next(listening)
        assert org.requests["POST", "cometd/62.0"] == polls + 1
