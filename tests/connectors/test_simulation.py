"""The simulator base: what it journals, what its faults do to a client, and stopping."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from connectors.simulation import Faults, Journal, SimRequest, SimResponse, Simulator


class Shelf(Simulator):
    """PUT /items/{key} stores a body once; GET reads it."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.items: dict[str, bytes] = {}

    def route(self, request: SimRequest) -> str:
        return request.segments[0] if request.segments else "root"

    def handle(self, request: SimRequest) -> SimResponse:
        if request.segments[:1] != ("items",):
            return super().handle(request)
        key = request.segments[1]
        if request.method == "GET":
            return SimResponse.text(self.items[key].decode())
        action = "updated" if key in self.items else "created"
        self.items[key] = request.body
        self.journal.add("item", key, key, "created" if action == "created" else "updated", {"at": self.now()})
        return SimResponse.empty()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    with Shelf(now=lambda: moment, journal_path=tmp_path / "journal.jsonl") as simulator:
        yield simulator


def test_the_journal_tells_another_process_the_same(shelf: Shelf, tmp_path: Path) -> None:
    for key in ("a", "b", "a"):
        requests.put(f"{shelf.url}/items/{key}", data=b"x")
    assert [(write.key, write.action) for write in shelf.journal.writes("item")] == [
        ("a", "created"),
        ("b", "created"),
        ("a", "updated"),
    ]
    assert shelf.journal.count_by_key() == {("item", "a"): 1, ("item", "b"): 1}
    path = tmp_path / "journal.jsonl"
    with path.open("ab") as file:
        file.write(b'{"at": "half a li')
    read = Journal.read(path)
    assert [(write.at, write.key, write.action) for write in read] == [
        (write.at, write.key, write.action) for write in shelf.journal.writes()
    ]


def test_an_encoded_key_is_one_segment(shelf: Shelf) -> None:
    requests.put(f"{shelf.url}/items/a%2Fb%20c", data=b"slash")
    assert shelf.items == {"a/b c": b"slash"}


@pytest.mark.parametrize(
    ("fault", "carried_out", "raises"),
    [
        (Faults.lose_answer(), True, requests.ConnectionError),
        (Faults.drop(), False, requests.ConnectionError),
        (Faults.hang(), True, requests.ReadTimeout),
    ],
)
def test_faults_do_what_they_are_called(
    shelf: Shelf, fault: Faults, carried_out: bool, raises: type[Exception]
) -> None:
    shelf.faults.add(fault)  # type: ignore[arg-type]
    with pytest.raises(raises):
        requests.put(f"{shelf.url}/items/a", data=b"x", timeout=0.1)
    assert ("a" in shelf.items) is carried_out
    assert requests.put(f"{shelf.url}/items/a", data=b"x").status_code == 204


def test_a_cut_answer_is_noticed(shelf: Shelf) -> None:
    shelf.items["a"] = b"0123456789"
    shelf.faults.add(Faults.truncate())
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(f"{shelf.url}/items/a")


def test_faults_wait_for_their_turn_and_their_match(shelf: Shelf) -> None:
    shelf.items["a"] = b"x"
    shelf.faults.add(Faults.status(503, match=lambda request: request.method == "GET", after=1, times=2))
    requests.put(f"{shelf.url}/items/b", data=b"x")
    assert [requests.get(f"{shelf.url}/items/a").status_code for _ in range(4)] == [200, 503, 503, 200]
    shelf.faults.add(Faults.status(500, times=None))
    assert [requests.get(f"{shelf.url}/items/a").status_code for _ in range(3)] == [500] * 3
    shelf.faults.clear()
    assert requests.get(f"{shelf.url}/items/a").status_code == 200
    assert shelf.requests["GET", "items"] == 8


def test_the_date_is_the_simulators_own(shelf: Shelf) -> None:
    moment = datetime(2026, 5, 1, 0, 0, 0, tzinfo=UTC)
    shelf.now = lambda: moment + timedelta(days=3)
    requests.put(f"{shelf.url}/items/a", data=b"x")
    assert requests.get(f"{shelf.url}/items/a").headers["Date"] == "Mon, 04 May 2026 00:00:00 GMT"
    assert shelf.journal.writes()[0].at == moment + timedelta(days=3)


def test_a_bug_of_the_simulator_is_kept_and_shown(shelf: Shelf) -> None:
    response = requests.get(f"{shelf.url}/items/missing")
    assert response.status_code == 500 and "KeyError" in response.text
    assert [type(crash) for crash in shelf.crashes] == [KeyError]
    assert requests.get(f"{shelf.url}/nowhere").status_code == 404


def test_stopping_closes_open_connections_and_keeps_what_was_stored(shelf: Shelf) -> None:
    session = requests.Session()
    session.put(f"{shelf.url}/items/a", data=b"x")
    url = shelf.url
    shelf.stop()
    with pytest.raises(requests.ConnectionError):
        session.get(f"{url}/items/a")
    shelf.start()
    assert shelf.url == url and session.get(f"{url}/items/a").text == "x"


def test_bodies_in_chunks_and_several_clients(shelf: Shelf) -> None:
    requests.put(f"{shelf.url}/items/chunks", data=iter([b"one ", b"two"]))
    assert shelf.items["chunks"] == b"one two"
    host = shelf.url.removeprefix("http://")

    def work(number: int) -> None:
        connection = http.client.HTTPConnection(host)
        for place in range(20):
            connection.request("PUT", f"/items/{number}-{place}", body=b"x")
            connection.getresponse().read()
        connection.close()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(shelf.items) == 81 and shelf.total_requests == 81
