"""Http against a real server: what is retried, what never is, and what is said about it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from connectors.calls import noted
from connectors.errors import (
    AnswerLost,
    ConnectorError,
    NeedsOperator,
    QuotaSpent,
    RecordRejected,
    RetryLater,
    WindowTooLarge,
)
from connectors.http import (
    Answer,
    BearerTokens,
    Decision,
    Done,
    Http,
    LocalBudget,
    MaybeDone,
    NotJson,
    Retry,
    RetryPolicy,
    decide_by_status,
)
from connectors.simulation import Fault, Faults, SimRequest, SimResponse, Simulator

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class Acme(Simulator):
    """Writes down what it is told, and shows each request back."""

    token: str | None = None

    def handle(self, request: SimRequest) -> SimResponse:
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return SimResponse.empty(401)
        if request.method != "GET":
            self.journal.add("thing", request.path, request.path, "created", {})
        shown = {"path": request.path, "query": request.query, "headers": dict(request.headers)}
        answer = SimResponse.json({**shown, "body": request.body.decode(errors="replace")})
        return replace(answer, headers={**answer.headers, "X-Request-Id": f"request {self.total_requests}"})


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture(scope="module")
def server() -> Iterator[Acme]:
    with Acme(now=lambda: NOON) as simulator:
        yield simulator


@pytest.fixture
def acme(server: Acme) -> Acme:
    server.faults.clear()
    server.journal = type(server.journal)(lambda: NOON)
    server.requests.clear()
    server.token = None
    return server


@pytest.fixture
def time() -> Time:
    return Time()


def http(acme: Acme, time: Time, **options: Any) -> Http:
    defaults: dict[str, Any] = {"sleep": time.sleep, "monotonic": lambda: time.now, "timeout_seconds": (2, 0.1)}
    return Http(acme.url, system="acme", allow_loopback=True, **{**defaults, **options})


# -- calls


def test_a_call_arrives_as_it_was_meant(acme: Acme, time: Time) -> None:
    answer = http(acme, time).call("POST", "/a%2Fb", query={"q": "x & y=ü"}, json={"n": "1.10"}, headers={"X-A": "1"})
    shown = answer.json()
    assert (shown["path"], shown["query"], shown["body"]) == ("/a%2Fb", {"q": ["x & y=ü"]}, '{"n":"1.10"}')
    assert shown["headers"]["X-A"] == "1" and shown["headers"]["Content-Type"] == "application/json"
    assert answer.received_at == NOON
    assert http(acme, time).call("POST", "/", form={"a": "b c"}).json()["body"] == "a=b+c"


def test_calls_are_noted_for_whoever_listens_without_what_could_be_secret(acme: Acme, time: Time) -> None:
    http(acme, time).call("GET", "/before")
    acme.faults.add(Faults.status(503))
    with noted() as whole:
        http(acme, time).call("GET", "/a", query={"token": "secret"})
        with noted() as part:
            http(acme, time).call("PATCH", "/b", headers={"Authorization": "Bearer secret"})
    assert [(call.method, call.path, call.status) for call in whole] == [
        ("GET", "/a", 503), ("GET", "/a", 200), ("PATCH", "/b", 200),
    ]  # fmt: skip
    assert part == whole[2:] and part[0].request_id == "request 4" and "2026" in str(part[0].answered_at)
    assert [call.place for call in whole] == sorted({call.place for call in whole})
    assert "secret" not in repr(whole)


def test_what_was_asked_for_long_is_not_as_new_as_its_answer() -> None:
    """What changed while a query ran is not in its answer, whatever the ``Date`` of that answer says."""
    answer = Answer(200, {"Date": "Mon, 02 Mar 2026 12:00:00 GMT"}, b"", "https://acme.example/x", "GET", 90.4)
    assert answer.asked_at == datetime(2026, 3, 2, 11, 58, 30, tzinfo=UTC)
    assert replace(answer, headers={}).asked_at is None


def test_money_is_read_exactly_when_asked() -> None:
    answer = Answer(200, {}, b'{"amount": 1234567.10, "count": 3}', "https://acme.example/x?secret", "GET")
    assert answer.json(exact=True) == {"amount": Decimal("1234567.10"), "count": 3}
    for body in (b"<html>busy</html>", b'{"amount": NaN}', b"[" * 100_000, b'{"cut": "o'):
        with pytest.raises(NotJson, match="/x answered 200") as caught:
            replace(answer, content=body).json(exact=True)
        assert "secret" not in str(caught.value) and "busy" not in str(caught.value)


def test_what_json_cannot_hold_is_a_rejected_record(acme: Acme, time: Time) -> None:
    with pytest.raises(RecordRejected):
        http(acme, time).call("POST", "/", json={"name": "lone \ud800 half"})
    assert acme.total_requests == 0


def test_vendor_libraries_get_the_same_treatment(acme: Acme, time: Time) -> None:
    client = http(acme, time, auth=BearerTokens(lambda: "ours"))
    acme.faults.add(Faults.status(503))
    as_https = acme.url.replace("http://", "https://")  # simple-salesforce always writes https
    response = client.session.request("get", as_https + "/x", params={"a": "b"}, headers={"authorization": "theirs"})
    assert isinstance(response, requests.Response) and response.status_code == 200
    assert response.headers["Date"] == "Sun, 01 Mar 2026 12:00:00 GMT"
    assert response.json()["headers"]["Authorization"] == "Bearer ours"
    assert client.calls == 2
    acme.faults.add(Faults.lose_answer())
    with pytest.raises(AnswerLost):
        client.session.post(acme.url + "/x", data="{}")
    acme.faults.add(Faults.lose_answer())
    prepared = client.session.prepare_request(requests.Request("PUT", acme.url + "/x", data="{}"))
    assert client.session.send(prepared).status_code == 200


# -- retries

KINDS = {
    "busy": Faults.status(503),
    "limited": Faults.status(429, headers={"Retry-After": "7"}),
    "gateway": Faults.status(502),
    "lost": Faults.lose_answer(),
    "dropped": Faults.drop(),
    "cut": Faults.truncate(),
    "silent": Faults.hang(),
}


@given(
    st.lists(st.sampled_from(sorted(KINDS.keys() - {"silent"})), max_size=8),
    st.booleans(),
    st.sampled_from(["POST", "PUT"]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_goes_wrong_the_outcome_is_told_truly(
    server: Acme, kinds: list[str], idempotent: bool, method: str
) -> None:
    """The server's journal is the truth: a call that says nothing was done must have done nothing."""
    server.faults.clear()
    server.token = None
    server.journal = type(server.journal)(lambda: NOON)
    time = Time()
    for kind in kinds:
        server.faults.add(replace(KINDS[kind]))
    client = http(server, time, policy=RetryPolicy(attempts=4))
    try:
        client.call(method, "/thing", json={}, idempotent=idempotent)
        outcome = "done"
    except MaybeDone:
        outcome = "maybe"
    except AnswerLost:
        outcome = "lost"
    except RetryLater:
        outcome = "not done"
    applied = len(server.journal.writes())
    if not idempotent:
        assert applied <= 1, "a call that must not be repeated was carried out twice"
        assert outcome != "maybe"
    if outcome == "done":
        assert applied >= 1
    if outcome == "not done":
        assert applied == 0
    if outcome == "lost":
        assert not idempotent
    assert client.calls <= 4
    if idempotent and len(kinds) < 4:
        assert outcome == "done"


def test_silence_ends_with_the_timeout(acme: Acme, time: Time) -> None:
    client = http(acme, time)
    acme.faults.add(Faults.hang())
    assert client.call("PUT", "/thing").status == 200
    acme.faults.add(Faults.hang())
    with pytest.raises(AnswerLost, match="no answer came"):
        client.call("POST", "/thing", idempotent=False)
    assert len(acme.journal.writes()) == 3


def test_a_connection_that_was_never_made_may_be_tried_again(time: Time) -> None:
    stopped = Acme(now=lambda: NOON).start()
    stopped.stop()

    def comes_up(seconds: float) -> None:
        stopped.start()

    client = http(stopped, time, sleep=comes_up)
    assert client.call("POST", "/thing", idempotent=False).status == 200
    stopped.stop()


def test_waits_grow_and_both_attempts_and_time_end_them(acme: Acme, time: Time) -> None:
    acme.faults.add(Faults.status(503, times=None))
    with pytest.raises(RetryLater, match="GET /x: HTTP 503, after 6 attempts") as caught:
        http(acme, time).call("GET", "/x", query={"secret": "1"})
    assert "secret" not in str(caught.value)
    assert caught.value.retry_after_seconds > 0 and caught.value.status == 503
    floors = [0.5, 1, 2, 4, 8]
    assert [low <= wait <= low + 0.5 for low, wait in zip(floors, time.waits, strict=True)] == [True] * 5
    slow = Time()
    with pytest.raises(RetryLater):
        http(acme, slow, policy=RetryPolicy(attempts=100, total_seconds=10)).call("GET", "/x")
    assert sum(slow.waits) <= 10


@pytest.mark.parametrize("header", ["7", "Sun, 01 Mar 2026 12:00:07 GMT"])
def test_retry_after_is_kept(acme: Acme, time: Time, header: str) -> None:
    acme.faults.add(Faults.status(429, headers={"Retry-After": header}))
    http(acme, time).call("GET", "/x")
    assert 7 <= time.waits[0] <= 7.5


@pytest.mark.parametrize("header", ["soon", "-1", "", "1e9", "Sun, 99 Mar 2026", "٣"])
def test_a_retry_after_that_says_nothing_is_passed_over(acme: Acme, time: Time, header: str) -> None:
    response = SimResponse(429, b"", {"Retry-After": header} if header.isascii() else {})
    acme.faults.add(Fault(kind="answer", response=response))
    http(acme, time).call("GET", "/x")
    assert 0.5 <= time.waits[0] <= 1


def test_a_system_that_asks_for_hours_is_left_alone(acme: Acme, time: Time) -> None:
    acme.faults.add(Faults.status(429, headers={"Retry-After": "3600"}, times=None))
    with pytest.raises(RetryLater) as caught:
        http(acme, time).call("GET", "/x")
    assert caught.value.retry_after_seconds == 3600
    assert (time.waits, acme.total_requests) == ([], 1)


def test_a_system_that_is_down_is_asked_once_a_call_until_it_is_back(acme: Acme, time: Time) -> None:
    client = http(acme, time)
    acme.faults.add(Faults.status(503, times=8))
    for expected in (6, 7, 8):
        with pytest.raises(RetryLater):
            client.call("GET", "/x")
        assert client.calls == expected
    client.call("GET", "/x")
    acme.faults.add(Faults.status(503, times=3))
    assert client.call("GET", "/x").status == 200


def test_busy_answers_need_not_count(acme: Acme, time: Time) -> None:
    def decide(answer: Answer) -> Decision:
        return Retry("CONCURRENT", after_seconds=5, counts=False) if answer.status == 403 else decide_by_status(answer)

    acme.faults.add(Faults.status(403, times=12))
    client = http(acme, time, decide=decide, policy=RetryPolicy(attempts=2))
    assert client.call("GET", "/x").status == 200
    assert all(wait >= 5 for wait in time.waits) and len(time.waits) == 12


@given(st.integers(0, 2**32))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_storm_ends_with_every_record_written_within_the_policy(server: Acme, seed: int) -> None:
    """30 % 429 with Retry-After, 20 % 503: every record is written once, in about two calls each."""
    import random

    storm, time = random.Random(seed), Time()
    server.faults.clear()
    server.token = None
    server.journal = type(server.journal)(lambda: NOON)
    draws = [storm.random() for _ in range(2000)]
    rolls = iter(draws)

    def unlucky(below: float, above: float) -> Fault:
        fault = Faults.status(
            429 if above == 0 else 503, times=None, headers={"Retry-After": "2"} if above == 0 else {}
        )
        fault.match = lambda request: above <= current[0] < below
        return fault

    current = [0.0]

    class Rolling(Faults):
        def next_for(self, request: SimRequest) -> Fault | None:
            current[0] = next(rolls)
            return super().next_for(request)

    before, server.faults = server.faults, Rolling()
    try:
        server.faults.add(unlucky(0.3, 0))
        server.faults.add(unlucky(0.5, 0.3))
        client = http(server, time)
        done = 0
        while done < 100:
            try:
                client.call("PUT", f"/thing/{done}")
                done += 1
            except RetryLater:
                continue
    finally:
        server.faults = before
    assert server.journal.count_by_key().total() == 100
    assert client.calls < 300
    assert min(time.waits) >= 0.5


# -- logins


def test_a_login_that_ran_out_is_renewed_once_and_the_call_replayed(acme: Acme, time: Time) -> None:
    tokens = iter(["old", "new", "never"])
    acme.token = "new"
    client = http(acme, time, auth=BearerTokens(lambda: next(tokens)))
    assert client.call("POST", "/thing", idempotent=False).status == 200
    assert (next(tokens), time.waits, len(acme.journal.writes())) == ("never", [], 1)


def test_a_login_that_fails_twice_needs_a_person(acme: Acme, time: Time) -> None:
    acme.token = "another"
    client = http(acme, time, auth=BearerTokens(lambda: "s3cret"))
    with pytest.raises(NeedsOperator, match="the login was refused") as caught:
        client.call("GET", "/x")
    assert acme.total_requests == 2 and "s3cret" not in str(caught.value)
    with pytest.raises(NeedsOperator):
        http(acme, time).call("GET", "/x")  # no login at all: asked once
    assert acme.total_requests == 3


def test_many_workers_renew_one_login(acme: Acme, time: Time) -> None:
    fetched: list[str] = []

    def fetch() -> str:
        fetched.append(f"token-{len(fetched)}")
        return fetched[-1]

    acme.token = "token-0"
    client = http(acme, time, auth=BearerTokens(fetch), timeout_seconds=(5, 5))
    client.call("GET", "/warm")
    acme.token = "token-1"
    together, failures = threading.Barrier(8), []

    def work() -> None:
        together.wait()
        try:
            client.call("GET", "/x")
        except ConnectorError as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (failures, fetched) == ([], ["token-0", "token-1"])


def test_each_attempt_is_signed_anew(acme: Acme, time: Time) -> None:
    signed: list[str] = []

    class Signing:
        def headers(self, method: str, url: str) -> dict[str, str]:
            signed.append(f"{method} {url} {len(signed)}")
            return {"X-Signature": str(len(signed))}

        def refresh(self, rejected: Any) -> None:
            raise NeedsOperator("acme: no")

    acme.faults.add(Faults.status(503))
    shown = http(acme, time, auth=Signing()).call("GET", "/x", query={"a": "b c"}).json()
    assert shown["headers"]["X-Signature"] == "2"
    assert signed == [f"GET {acme.url}/x?a=b+c 0", f"GET {acme.url}/x?a=b+c 1"]


# -- limits


def test_our_share_of_the_quota_is_not_exceeded(acme: Acme, time: Time) -> None:
    budget = LocalBudget(share=0.5, concurrency=2, retry_after_seconds=900)
    client = http(acme, time, budget=budget)
    client.call("GET", "/x")
    budget.observed(used=8, allowed=20)  # others used the system too
    client.call("GET", "/x")
    client.call("GET", "/x")
    with pytest.raises(QuotaSpent, match="10 of 20; our share is 50%") as caught:
        client.call("GET", "/x")
    assert caught.value.retry_after_seconds == 900 and acme.total_requests == 3


def test_attempts_count_against_the_quota_too(acme: Acme, time: Time) -> None:
    budget = LocalBudget(share=1)
    budget.observed(used=0, allowed=3)
    acme.faults.add(Faults.status(503, times=None))
    with pytest.raises(QuotaSpent):
        http(acme, time, budget=budget).call("GET", "/x")
    assert acme.total_requests == 3


def test_an_answer_too_large_is_not_read_to_its_end(acme: Acme, time: Time) -> None:
    acme.faults.add(Fault(kind="answer", response=SimResponse.text("x" * 300_000)))
    with pytest.raises(WindowTooLarge, match="more than 100000 bytes"):
        http(acme, time, largest_answer_bytes=100_000).call("GET", "/x")
    assert http(acme, time, largest_answer_bytes=100_000).call("GET", "/x").status == 200


def test_redirects_are_answers_not_ways(acme: Acme, time: Time) -> None:
    elsewhere = Faults.status(302, headers={"Location": acme.url + "/elsewhere"}, times=None)
    elsewhere.match = lambda request: request.path == "/x"
    acme.faults.add(elsewhere)
    with pytest.raises(ConnectorError) as caught:
        http(acme, time).call("GET", "/x")
    assert caught.value.status == 302
    assert http(acme, time, decide=lambda answer: Done()).call("GET", "/x").status == 302
    assert acme.requests["GET", "/elsewhere"] == 0


# -- what is said


def test_logs_and_errors_hold_no_secret(acme: Acme, time: Time) -> None:
    canary = "canary-7f3a"
    client = http(acme, time, auth=BearerTokens(lambda: canary))
    said: list[str] = []
    for fault in (*KINDS.values(), Faults.status(404, body=canary.encode()), Faults.status(401, times=2)):
        acme.faults.add(replace(fault))
        with capture_logs() as events:
            try:
                client.call("POST", "/x", query={"q": canary}, json={"a": canary}, idempotent=False)
            except ConnectorError as error:
                said += [str(error), repr(error)]
        said.append(repr(events))
        assert {event["event"] for event in events} <= {"http_retried", "http_failed"}
    assert canary not in "".join(said)


def test_a_retry_is_logged_with_what_an_operator_asks(acme: Acme, time: Time) -> None:
    acme.faults.add(Faults.status(503))
    with capture_logs() as events:
        http(acme, time).call("GET", "/x", query={"a": 1})
    [event] = events
    assert {key: event[key] for key in ("event", "system", "method", "path", "status", "code", "attempt")} == {
        "event": "http_retried",
        "system": "acme",
        "method": "GET",
        "path": "/x",
        "status": 503,
        "code": "HTTP 503",
        "attempt": 1,
    }
