"""Change events end to end: an edit in the org, heard on the open connection, an early pull, the record is here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.simulation import Faults
from jobs.early import EarlyPulls, pull_early
from jobs.listening import hear, listen_for_ever, listened_to
from sync import hints
from tests.jobs.sync_world import Office, dump, office, outcome


@dataclass
class Ear:
    """Listening to the CRM of an office, step by step."""

    place: Office
    early: EarlyPulls
    steps: Iterator[int]

    @classmethod
    def of(cls, place: Office) -> Ear:
        (each,) = place.here.open(["crm"])
        early = EarlyPulls(lambda: pull_early(place.here, "crm"), timedelta(seconds=30), place.here.clock)
        made = cls(place, early, hear(place.here, "crm", each.connector, early))
        next(made.steps)
        assert early.step()
        return made

    def hold(self, name: str, key: str) -> Any:
        return self.place.here.store.lookups("crm").get(name, key)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "office", change_events=True) as made:
        made.world.partner("Northline", "Northline Advisory", "0.10")
        made.later(hours=1)
        assert not made.sync().failed
        yield made


def test_a_registration_is_a_claim_before_a_poll_could_see_it(place: Office) -> None:
    assert listened_to(place.here) == ["crm"]
    ear = Ear.of(place)
    place.world.refer("lead", "Northline", "Quarry Lifts", "https://quarrylifts.example")
    assert next(ear.steps) > 0
    assert ear.early.step()
    [claim] = outcome(place)["claims"]
    assert (claim["referral"], claim["state"]) == (place.world.ids["lead"], "active")
    place.later(hours=1)
    assert not place.sync().failed
    assert outcome(place)["claims"] == [claim], "the poll, which left the last five minutes out, brings nothing else"


def test_a_conversion_is_followed_at_once(place: Office) -> None:
    """E40: change events bring the lead and all that it was converted into."""
    place.world.refer("lead", "Northline", "Quarry Lifts", "https://quarrylifts.example")
    place.later(hours=1)
    assert not place.sync().failed
    ear = Ear.of(place)
    account, *_ = place.world.crm.convert_lead(place.world.ids["lead"], opportunity={"CloseDate": "2026-04-01"})
    assert next(ear.steps) == 4 and ear.early.step()
    [claim] = outcome(place)["claims"]
    assert (claim["account"], claim["state"]) == (account, "active")


def test_an_overflow_without_ids_and_a_replay_id_too_old_make_the_polls_window_be_read(place: Office) -> None:
    """E47: such events carry no data, so what they are about is read again, with the overlap of every window."""
    ear = Ear.of(place)
    crm = place.world.crm
    crm.events.lost = {"Account"}
    account = crm.insert("Account", {"Name": "One of many"})
    place.later(minutes=6)  # a window ends five minutes before now
    next(ear.steps)
    assert ear.early.step() and ear.hold("Account", account)["Name"] == "One of many"
    crm.events.lost = set()
    place.world.refer("lead", "Northline", "Quarry Lifts", "https://quarrylifts.example")
    place.later(days=4)
    again = Ear.of(place)  # the connection was lost for four days
    assert again.hold("Lead", place.world.ids["lead"])["Company"] == "Quarry Lifts"
    assert hints.waiting(place.here.store, "crm") == []


def test_a_long_transaction_that_ends_after_its_windows_is_found_by_the_overlap(place: Office) -> None:
    """E47: a row that becomes visible ten minutes after its stamp, without any event."""
    crm = place.world.crm
    crm.events.selected = set()
    crm.rows.commit_delay_seconds = 600
    place.world.refer("lead", "Northline", "Quarry Lifts", "https://quarrylifts.example")
    for _ in range(4):
        place.later(minutes=4)
        assert not place.sync().failed
    assert [claim["state"] for claim in outcome(place)["claims"]] == ["active"]


def test_our_own_writes_are_heard_and_start_nothing(place: Office) -> None:
    place.world.refer("lead", "Northline", "Quarry Lifts", "https://quarrylifts.example")
    place.later(hours=1)
    ear = Ear.of(place)
    assert not place.sync(allow="ann").failed
    written = place.journals()
    assert next(ear.steps) > 0 and ear.early.step()
    settled = dump(place.here.store)
    for _ in range(2):
        place.later(minutes=1)
        next(ear.steps)
        ear.early.step()
    assert place.journals() == written
    assert dump(place.here.store)["facts"] == settled["facts"]


def test_a_process_that_dies_between_hearing_and_reading_forgets_nothing(place: Office) -> None:
    ear = Ear.of(place)
    place.world.refer("lead", "Northline", "Quarry Lifts", "https://quarrylifts.example")
    next(ear.steps)
    place.world.refer("unheard", "Northline", "Other Lifts", "https://other.example")
    Ear.of(place)  # a new process: its first poll hears what the other one did not, its first pull follows both
    assert {claim["referral"] for claim in outcome(place)["claims"]} == {
        place.world.ids["lead"], place.world.ids["unheard"],
    }  # fmt: skip


class Waits(threading.Event):
    """Nobody waits: each wait is noted, and after so many of them it is over."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.seconds = most, list[float | None]()

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout)
        if len(self.seconds) == self.most:
            self.set()
        return self.is_set()


def test_a_connection_that_is_lost_is_opened_again_later_and_later_and_later_still_without_room(place: Office) -> None:
    def refused(error: str, times: int) -> None:
        told = [{"channel": "/meta/handshake", "successful": False, "error": error, "advice": {"reconnect": "none"}}]
        handshake = Faults.status(200, times=times, body=told, match=lambda request: b"/meta/handshake" in request.body)
        place.world.crm.faults.add(handshake)

    refused("403::Handshake denied", 2)
    refused("403::Organization concurrent user limit exceeded", 1)
    refused("403::Handshake denied", 2)
    early = EarlyPulls(lambda: pull_early(place.here, "crm"), timedelta(seconds=30), place.here.clock)
    ended = Waits(5)
    listen_for_ever(place.here, "crm", early, ended)
    assert ended.seconds == [5.0, 10.0, 300.0, 600.0, 600.0]
