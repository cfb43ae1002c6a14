"""Webhooks end to end: an edit in the portal, a signed request to the receiver, an early pull, the record is here.

Webhooks may be lost, doubled, forged, late or too many: then only the moment at which we look is another.
"""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from connectors.base import Hint
from connectors.hubspot.simulator import HubSpotSimulator
from connectors.simulation import Fault, Faults, SimRequest
from jobs import receiver as receiver_module
from jobs.early import Early, EarlyPulls, pull_early
from jobs.listening import open_receiver, receivers
from jobs.problems import UserError
from jobs.receiver import LARGEST_BODY, Receiver
from jobs.schedule import run_listening
from jobs.status import status_of
from sync import hints
from sync.pull import PullResult
from tests.jobs.hubspot_world import Place, placed
from tests.jobs.sync_world import ROOT, dump

PUBLIC = "https://referee.example.com/hooks"
LISTEN = {"address": "127.0.0.1:0", "public_url": PUBLIC}


@dataclass
class Door:
    """The receiver of a place, and the connection's early pulls, which a test runs step by step."""

    place: Place
    receiver: Receiver
    early: EarlyPulls

    @property
    def address(self) -> str:
        """Where a proxy would hand the portal's requests on, under a path of its own."""
        return f"http://127.0.0.1:{self.receiver.port}/behind/the/proxy/crm"

    def deliver(self) -> list[int]:
        """Let the portal post all that happened."""
        return self.place.portal.deliver(f"{PUBLIC}/crm", self.address)

    def post(self, body: bytes = b"[]", method: str = "POST", **headers: str) -> int:
        return requests.request(method, self.address, data=body, headers=headers, timeout=10).status_code


@contextmanager
def opened(place: Place) -> Iterator[Door]:
    here = place.here
    early = EarlyPulls(lambda: pull_early(here, "crm"), timedelta(seconds=30), here.clock)
    with open_receiver(here, receivers(here), {"crm": early}) as receiver:
        assert early.step()  # what an earlier process left: nothing
        yield Door(place, receiver, early)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with placed(tmp_path, companies=5, listen=LISTEN) as place:
        assert place.sync().failed == []
        place.portal.webhooks.waiting.clear()
        with opened(place) as made:
            yield made


def held(place: Place, kind: str, key: str) -> Any:
    """The last fields of a record as the store has them."""
    return place.here.store.lookups("crm").get(kind, key)


def a_referral(place: Place) -> dict[str, str]:
    return place.portal.all_rows("referral")[0]


def test_an_edit_is_here_as_soon_as_its_webhook_although_no_poll_would_see_it_yet(door: Door) -> None:
    place = door.place
    place.portal.rows.index_lag_seconds = 600  # the search does not know it for ten minutes
    referral = a_referral(place)["hs_object_id"]
    place.portal.update("referral", referral, {"field_technicians": "77"})
    assert door.deliver() == [200]
    assert status_of(place.here)["connections"][0]["hints"]["waiting"] == 1
    assert door.early.step()
    assert held(place, "p_referral", referral)["field_technicians"] == "77"
    assert place.here.store.runs(job="hints")[0].state == "ok"
    assert status_of(place.here)["connections"][0]["hints"] == {"waiting": 0, "since": None}


def test_a_new_registration_is_a_claim_at_once(door: Door) -> None:
    place = door.place
    copied = {name: text for name, text in a_referral(place).items() if name in (
        "partner_company", "program", "channel", "field_technicians", "industry")}  # fmt: skip
    made = place.portal.insert(
        "referral", {**copied, "company": "Zephyr Crane Hire", "website": "https://zephyr.example"}
    )
    assert door.deliver() == [200] and door.early.step()
    assert place.claims()[made]["state"] == "active"
    assert place.portal.get("referral", made).get("referral_status") is None, "an early pull writes nothing back"  # type: ignore[union-attr]


def test_deletions_are_seen_at_once_and_restoring_too(door: Door) -> None:
    place = door.place
    referral = a_referral(place)["hs_object_id"]
    place.portal.archive("referral", referral)
    assert door.deliver() == [200] and door.early.step()
    assert place.claims()[referral]["state"] == "withdrawn"
    place.later(minutes=1)
    place.portal.restore("referral", referral)
    assert door.deliver() == [200] and door.early.step()
    assert place.claims()[referral]["state"] != "withdrawn"


def test_a_merge_webhook_moves_the_claim_to_the_new_record(door: Door) -> None:
    """E42: merging A and B makes a new record C; a request for A is answered with C."""
    place = door.place
    referral, claim = next((key, claim) for key, claim in place.claims().items() if claim["state"] == "won")
    portal = place.portal
    deal = next(row["hs_object_id"] for row in portal.all_rows("deals") if row["referral_id"] == referral)
    twin = portal.insert("deals", {"dealname": "a copy"}, company=claim["account"])
    other = portal.insert("companies", {"name": "a copy of the company"})
    left_deal = portal.merge("deals", deal, twin)
    left_company = portal.merge("companies", other, claim["account"])
    assert left_deal not in (deal, twin) and left_company not in (other, claim["account"])
    for event in portal.webhooks.waiting:
        event.pop("newObjectId", None)  # primary and merged ids are enough
    assert door.deliver() == [200] and door.early.step()
    after = place.claims()[referral]
    assert (after["state"], after["rank"], after["account"]) == ("won", claim["rank"], left_company)
    assert place.here.store.redirects("crm", "deals") == {deal: left_deal, twin: left_deal}
    place.later(hours=2)
    assert place.sync().failed == []
    assert place.claims()[referral] == after, "the poll brings nothing else"


def test_what_is_forged_old_or_out_of_form_is_refused_and_starts_nothing(door: Door) -> None:
    place = door.place
    place.portal.update("referral", a_referral(place)["hs_object_id"], {"field_technicians": "5"})
    [request] = place.portal.webhooks.posted(f"{PUBLIC}/crm")
    post = {"X-HubSpot-Signature-v3": request.headers["X-HubSpot-Signature-v3"],
            "X-HubSpot-Request-Timestamp": request.headers["X-HubSpot-Request-Timestamp"]}  # fmt: skip
    assert door.post(request.body) == 401
    assert door.post(request.body + b" ", **post) == 401
    assert door.post(b"{}", **post) == 401
    assert door.post(request.body, **{**post, "X-HubSpot-Request-Timestamp": "9" * 400}) == 401
    place.later(minutes=6)
    assert door.post(request.body, **post) == 401, "played again later"
    assert door.post(b"x" * (LARGEST_BODY + 1)) == 413
    assert [door.post(method=method) for method in ("GET", "PUT", "DELETE", "HEAD")] == [405] * 4
    assert requests.post(door.address.replace("/crm", "/erp"), timeout=10).status_code == 404
    assert requests.post(door.address, data=iter([b"[]"]), timeout=10).status_code == 411, "no length"
    assert hints.waiting(place.here.store, "crm") == []
    assert not door.early.step()


@settings(max_examples=3, phases=(Phase.explicit, Phase.generate))
@given(seed=st.integers(0, 2**32 - 1))
def test_lost_doubled_and_shuffled_webhooks_end_like_polls_alone(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    with_hints, polls_alone = (_story(tmp_path_factory.mktemp("hints"), seed, webhooks) for webhooks in (True, False))
    assert with_hints == polls_alone


def _story(folder: Path, seed: int, webhooks: bool) -> dict[str, Any]:
    """What is held in the end: live records, facts that stand, and what was refused."""
    chance = random.Random(seed)
    with placed(folder, companies=3, listen=LISTEN) as place:
        assert place.sync().failed == []
        with opened(place) as door:
            late: list[Any] = []
            for _ in range(5):
                _act(place.portal, chance)
                kept = [event for event in place.portal.webhooks.waiting if chance.random() < 0.7]
                now = [event for event in (*kept, *late) for _ in range(chance.choice((0, 1, 1, 3)))]
                late = [event for event in kept if event not in now]
                chance.shuffle(now)
                place.portal.webhooks.waiting.clear()
                place.later(seconds=chance.choice((0, 40)))
                if webhooks:
                    place.portal.webhooks.waiting.extend(now)
                    assert set(door.deliver()) <= {200}
                    door.early.step()
            for _ in range(2):
                place.later(hours=3)
                place.sync()
            found = dump(place.here.store)
    records = [(kind, key, payload) for _, kind, key, _, payload, gone, *_ in found["records"] if not gone]
    facts = [row for row in found["current facts"] if '"deleted":true' not in row[2]]
    return {"records": records, "facts": facts, "refused": found["quarantine"]}


def _act(portal: HubSpotSimulator, chance: random.Random) -> None:
    """Something that people do."""
    rows = sorted(portal.all_rows("referral"), key=lambda row: row["hs_object_id"])
    deals = sorted(portal.all_rows("deals"), key=lambda row: row["hs_object_id"])
    what = chance.randrange(5)
    if what == 0 and rows:
        portal.update("referral", chance.choice(rows)["hs_object_id"], {"field_technicians": str(chance.randrange(99))})
    elif what == 1 and len(rows) > 2:
        portal.archive("referral", chance.choice(rows)["hs_object_id"])
    elif what == 2 and len(deals) > 1:
        one, other = chance.sample(deals, 2)
        portal.merge("deals", one["hs_object_id"], other["hs_object_id"])
    elif what == 3 and rows:
        copied = chance.choice(rows)
        names = ("partner_company", "program", "channel", "field_technicians", "industry", "company", "website")
        portal.insert("referral", {name: copied[name] for name in names if name in copied})
    elif deals:
        portal.update("deals", chance.choice(deals)["hs_object_id"], {"amount": str(chance.randrange(9999))})


def test_a_flood_is_one_early_pull_and_a_bounded_queue(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    place = door.place
    for number in range(250):
        place.portal.insert("deals", {"dealname": f"Deal {number}"})
    place.portal.rows.index_lag_seconds = 0
    assert door.deliver() == [200] * 3
    before = place.portal.total_requests
    assert door.early.step() and not door.early.step(), "the next one waits for its pause"
    assert place.portal.total_requests - before < 20
    assert hints.waiting(place.here.store, "crm") == []


def test_more_hints_than_may_wait_become_one_for_the_whole_connection(door: Door) -> None:
    place = door.place
    store = place.here.store
    flood = [Hint("deals", str(number)) for number in range(30)]
    hints.keep(store, "crm", flood, at=place.moment, most=20)
    assert [(one.kind, one.external_id) for one in hints.waiting(store, "crm")] == [("", "")]
    referral = a_referral(place)["hs_object_id"]
    place.portal.update("referral", referral, {"field_technicians": "41"})
    place.later(minutes=5)
    door.early.wake()
    assert door.early.step()
    assert held(place, "p_referral", referral)["field_technicians"] == "41", "read as a poll reads"
    assert hints.waiting(store, "crm") == []


def test_a_hint_that_comes_while_its_record_is_read_is_followed_again(door: Door) -> None:
    place = door.place
    referral = a_referral(place)["hs_object_id"]
    place.portal.update("referral", referral, {"field_technicians": "1"})
    door.deliver()

    kind = hints.waiting(place.here.store, "crm")[0].kind

    def again(request: SimRequest) -> bool:
        if "batch/read" in request.path:
            hints.keep(place.here.store, "crm", [Hint(kind, referral)], at=place.moment)
        return False

    place.portal.faults.add(Fault(match=again, times=None))
    assert door.early.step()
    place.portal.faults.clear()
    assert len(hints.waiting(place.here.store, "crm")) == 1
    place.later(seconds=31)
    assert door.early.step(), "another one was asked for"
    assert hints.waiting(place.here.store, "crm") == []


def test_a_portal_that_is_down_keeps_its_hints_for_the_next_sync(door: Door) -> None:
    place = door.place
    referral = a_referral(place)["hs_object_id"]
    place.portal.update("referral", referral, {"field_technicians": "8"})
    door.deliver()
    place.portal.rows.index_lag_seconds = 3600
    place.portal.faults.add(Faults.status(503, times=None))
    assert door.early.step() and not door.early.step()
    place.portal.faults.clear()
    assert len(hints.waiting(place.here.store, "crm")) == 1
    assert place.sync().failed == []
    assert held(place, "p_referral", referral)["field_technicians"] == "8", "a poll alone would not have seen it"
    assert hints.waiting(place.here.store, "crm") == []


def test_an_early_pull_leaves_half_of_the_days_calls_to_the_polls(door: Door) -> None:
    place = door.place
    referral = a_referral(place)["hs_object_id"]
    place.portal.update("referral", referral, {"field_technicians": "8"})
    door.deliver()
    (each,) = place.here.open(["crm"])
    each.budget.observed(None, 1000)
    each.budget.take(420)  # of 800 that are ours
    assert door.early.step()
    assert len(hints.waiting(place.here.store, "crm")) == 1
    assert place.sync().failed == [], "a poll goes on"


def test_nothing_is_followed_before_the_first_full_read_has_ended(tmp_path: Path) -> None:
    with placed(tmp_path, companies=3, listen=LISTEN) as place, opened(place) as door:
        place.portal.update("referral", a_referral(place)["hs_object_id"], {"field_technicians": "3"})
        assert door.deliver() == [200] and door.early.step()
        assert held(place, "p_referral", a_referral(place)["hs_object_id"]) is None
        assert place.sync().failed == []
        assert held(place, "p_referral", a_referral(place)["hs_object_id"])["field_technicians"] == "3"


def test_a_store_that_does_not_answer_in_time_is_told_as_503_and_the_queue_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receiver_module, "WRITTEN_WITHIN_SECONDS", 0.01)
    monkeypatch.setattr(receiver_module, "MOST_UNWRITTEN", 3)
    free, kept = threading.Event(), list[Hint]()

    def slow(name: str, found: Any) -> None:
        free.wait()
        kept.extend(found)

    def clock() -> datetime:
        return datetime(2026, 3, 2, tzinfo=UTC)

    receive: Callable[..., Any] = lambda posted, now: (Hint("deals", posted.body.decode()),)  # noqa: E731
    with Receiver(("127.0.0.1", 0), PUBLIC, {"crm": receive}, slow, clock) as one:
        address = f"http://127.0.0.1:{one.port}/crm"
        statuses = [requests.post(address, data=str(number), timeout=10).status_code for number in range(9)]
        assert statuses == [503] * 9
        free.set()
    assert len(kept) == 4, "one in the store's hands and three in the queue; the others will be sent again"


def test_hints_that_a_store_does_not_take_are_told_as_503() -> None:
    def full(name: str, found: Any) -> None:
        raise OSError("disk full")

    receive: Callable[..., Any] = lambda posted, now: (Hint("deals", "1"),)  # noqa: E731
    with Receiver(("127.0.0.1", 0), PUBLIC, {"crm": receive}, full, lambda: datetime(2026, 3, 2, tzinfo=UTC)) as one:
        address = f"http://127.0.0.1:{one.port}/crm"
        assert [requests.post(address, timeout=10).status_code for _ in range(2)] == [503, 503]


def test_a_slow_client_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "LONGEST_REQUEST_SECONDS", 0.0)
    receive: Callable[..., Any] = lambda posted, now: ()  # noqa: E731
    with (
        Receiver(
            ("127.0.0.1", 0), PUBLIC, {"crm": receive}, lambda name, found: None, lambda: datetime.now(UTC)
        ) as one,
        socket.create_connection(("127.0.0.1", one.port), timeout=10) as client,
    ):
        client.sendall(b"POST /crm HTTP/1.1\r\nContent-Length: 100\r\n\r\n[")
        assert client.recv(100) == b"", "hung up on, without having sent the rest"


def test_early_pulls_wait_for_their_pause_and_no_wish_is_lost() -> None:
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    found, runs = Early(), 0

    def pull() -> Early:
        nonlocal runs
        runs += 1
        return found

    early = EarlyPulls(pull, timedelta(seconds=30), lambda: moment)
    assert early.step() and runs == 1, "hints of an earlier process may wait"
    assert not early.step()
    found = Early(PullResult("ok", ()))
    early.wake()
    assert early.step() and runs == 2, "the first found nothing to do, so there is no pause after it"
    early.wake()
    assert not early.step(), "now there is"
    moment += timedelta(seconds=30)
    found = Early(again=True)
    assert early.step() and not early.step() and runs == 3
    moment += timedelta(seconds=30)
    assert early.step() and runs == 4, "it asked for another one itself"
    early.end()
    early.run()
    assert runs == 4


def test_settings_that_cannot_work_say_so(tmp_path: Path) -> None:
    with placed(tmp_path, companies=1) as place, pytest.raises(UserError, match="no connection tells"):
        run_listening(place.here)


@pytest.mark.parametrize(
    ("listen", "why"),
    [
        ({"address": "8089", "public_url": PUBLIC}, "host:port"),
        ({"public_url": "http://referee.example.com"}, "https address"),
        ({"public_url": PUBLIC + "?a=1"}, "without a query"),
        ({}, "public_url"),
        ({"public_url": PUBLIC, "adress": "127.0.0.1:1"}, "did you mean address"),
    ],
)
def test_settings_out_of_form_are_refused(tmp_path: Path, listen: dict[str, str], why: str) -> None:
    with pytest.raises(UserError, match=why), placed(tmp_path, companies=1, listen=listen):
        pass


def test_the_commands_post_webhooks_and_take_them_in(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    kept = threading.Event()

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "jobs.cli", *arguments]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    with run("simulate", "hubspot", "--companies", "1", "--webhooks", f"{address}/crm") as portal:
        try:
            assert portal.stdout is not None
            printed = "".join(iter(portal.stdout.readline, "\n")) + "".join(iter(portal.stdout.readline, "\n"))
            block = YAML(typ="safe").load(printed.partition("\n")[2])["connections"]["hubspot"]
            body = {
                "programs": ["next-technik"], "connections": {"crm": block}, "log": {"level": "info"},
                "listen": {"address": f"127.0.0.1:{port}", "public_url": address},
            }  # fmt: skip
            with (tmp_path / "referee.yaml").open("w", encoding="utf-8") as out:
                YAML().dump(body, out)
            with run("listen", "--config", str(tmp_path / "referee.yaml")) as referee:
                assert referee.stderr is not None
                for line in referee.stderr:
                    if "webhooks_received_at" in line:
                        login = {"Authorization": f"Bearer {block['settings']['access_token']}"}
                        made = {"properties": {"name": "Quarry Lifts"}}
                        url = f"{block['settings']['url']}/crm/objects/2026-03/companies"
                        assert requests.post(url, json=made, headers=login, timeout=10).status_code == 201
                    if "hints_followed" in line:
                        kept.set()
                        referee.send_signal(signal.SIGTERM)
            assert kept.is_set() and referee.returncode == 0
        finally:
            portal.kill()
