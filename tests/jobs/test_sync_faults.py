"""Answers lost, storms of 429 and 503, and logins that end: a sync comes through, or says what a person must do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.netsuite.simulator.answers import Refused
from connectors.simulation import Fault, Faults, SimRequest, SimResponse
from jobs.config import load_settings
from tests.jobs.sync_world import Office, differences, office, write_settings, writes

LOGINS = 1


def standing(place: Office) -> dict[str, Any]:
    """What stands in the end: entries and statements, and the rows that both systems hold of them."""
    found = place.dump()
    crm, erp = place.world.crm, place.world.erp
    return {
        "current facts": found["current facts"],
        "entries": [(row[0], row[6], row[9]) for row in found["entries"]],
        "outcome": found["outcome"],
        "commissions": sorted((row["Sync_Key__c"], row["Amount__c"], row["State__c"]) for row in crm.all_rows("Commission__c")),
        "leads": sorted((row["Id"], str(row.get("Referral_Status__c")), row.get("Referral_Rank__c")) for row in crm.all_rows("Lead")),
        "books": sorted(
            (row["externalid"], str(row["custrecord_amount"]), row["custrecord_state"])
            for row in erp.rows("customrecord_partner_commission")
        ),
    }  # fmt: skip


@contextmanager
def beside_calm(tmp_path: Path) -> Iterator[tuple[Office, Office]]:
    """An office that was synced without any trouble, and one like it that is not synced yet."""
    with office(tmp_path / "calm") as calm, office(tmp_path / "other") as other:
        calm.morning(24)
        other.morning(24)
        assert calm.sync().failed == []
        yield calm, other


@pytest.mark.parametrize("after", [0, 1, 3])
def test_writes_whose_answers_are_lost_are_written_once(tmp_path: Path, after: int) -> None:
    with beside_calm(tmp_path) as (calm, lossy):
        for system in (lossy.world.crm, lossy.world.erp):
            system.faults.add(Faults.lose_answer(8, writes, after=after))
        for _ in range(3):
            lossy.sync()
            lossy.later(minutes=15)
        assert lossy.sync().failed == []
        assert standing(lossy) == standing(calm)
        for system in (lossy.world.crm, lossy.world.erp):
            assert set(system.journal.count_by_key().values()) == {1}
        assert lossy.here.store.quarantine() == []


def storm(chance: random.Random) -> list[Fault]:
    """Of all requests, 30 % are answered 429 (come back in 7 seconds) and 20 % 503."""
    drawn = 1.0

    def draw(_request: SimRequest) -> bool:
        nonlocal drawn
        drawn = chance.random()
        return drawn < 0.3

    busy = SimResponse.json({"title": "Too Many Requests"}, 429, {"Retry-After": "7"})
    return [Fault(draw, None, "answer", busy), Faults.status(503, times=None, match=lambda _: drawn < 0.5)]


def test_a_storm_of_refusals_ends_in_the_calm_result_within_a_bound_of_calls(tmp_path: Path) -> None:
    with beside_calm(tmp_path) as (calm, place):
        calls, syncs = calm.requests, 0
        for seed, system in enumerate((place.world.crm, place.world.erp)):
            for fault in storm(random.Random(seed)):
                system.faults.add(fault)
        while (result := place.sync()).failed or any(
            one.waiting for rounds in result.written.values() for one in rounds
        ):
            syncs += 1
            assert syncs < 10, result.failed
            place.later(minutes=15)
        print(f"{syncs + 1} syncs, {place.requests} requests instead of {calls}, {sum(place.waits):.0f} s of waits")
        assert standing(place) == standing(calm)
        assert place.requests < 3 * calls + syncs * calls
        assert any(7 <= wait < 10 for wait in place.waits)
        for system in (place.world.crm, place.world.erp):
            assert set(system.journal.count_by_key().values()) == {1}


class Revoked:
    """Ends every session just before a read is looked at, each read once: its repetition is let through."""

    def __init__(self, system: Any, accepted: Callable[[SimRequest], bool], end: Callable[[], None]) -> None:
        self.count = 0
        self._replayed = True
        self._accepted, self._end = accepted, end
        system.faults.add(Fault(self._hit, None))

    def _hit(self, request: SimRequest) -> bool:
        if "/oauth2/" in request.path or writes(request) or not self._accepted(request):
            return False
        self._replayed = not self._replayed
        if not self._replayed:
            self.count += 1
            self._end()
        return False


def test_a_login_that_ends_before_every_single_read_is_renewed_once_each_time(tmp_path: Path) -> None:
    with office(tmp_path / "calm") as calm, office(tmp_path / "short") as place:
        for each in (calm, place):
            each.world.crm.pages.shrink_to = 5
            each.morning(24)
        assert calm.sync().failed == []
        crm, erp = place.world.crm, place.world.erp

        def in_at_crm(request: SimRequest) -> bool:
            return bool(crm.sessions.accepts(request.headers.get("Authorization", "")))

        def in_at_erp(request: SimRequest) -> bool:
            try:
                erp.logins.check(request)
            except Refused:
                return False
            return True

        at_crm = Revoked(crm, in_at_crm, crm.sessions.revoke_all)
        at_erp = Revoked(erp, in_at_erp, erp.logins.forget_tokens)
        assert place.sync().failed == []
        print(
            f"{at_crm.count} and {at_erp.count} sessions ended; {crm.sessions.tokens_made} and {erp.logins.tokens_issued} logins"
        )
        assert at_crm.count > 20 and at_erp.count > 20
        assert crm.sessions.tokens_made <= at_crm.count + 1
        assert erp.logins.tokens_issued <= at_erp.count + 1
        if wrong := differences(place.dump(), calm.dump()):
            pytest.fail(wrong)
        assert place.journals() == calm.journals()


def test_a_login_that_is_lost_for_good_stops_the_connection_and_says_so_and_nothing_is_lost(tmp_path: Path) -> None:
    with office(tmp_path / "calm") as calm, office(tmp_path / "locked out") as place:
        calm.morning(5)
        place.morning(5)
        assert calm.sync().failed == place.sync().failed == []
        calm.morning(24)
        place.morning(24)
        place.world.crm.forget_sessions = True
        before = place.world.crm.sessions.tokens_made
        result = place.sync()
        assert place.world.crm.sessions.tokens_made - before <= 4
        assert "check the credentials" in (result.pulled["crm"].needs_operator or "")
        assert [reason for reason in result.failed if reason.startswith("crm: ") and "login was refused" in reason]
        assert result.pulled["erp"].state == "ok"
        assert place.waits == []
        place.world.crm.forget_sessions = False
        assert place.sync().failed == []
        assert calm.sync().failed == []
        assert standing(place) == standing(calm)
        assert place.doubled() == 0


def test_reading_leaves_to_writing_what_the_settings_keep_for_it(tmp_path: Path) -> None:
    with office(tmp_path) as place:
        place.morning(5)
        write_settings(place, {}, quota_share=0.5, write_reserve=0.9)
        place.here.settings = load_settings(place.config)
        place.world.crm.daily_requests = 36
        told = place.sync().failed
        assert any("allowed: 1 of 36 while 90% of our share is kept for writing" in why for why in told), told


def test_a_day_whose_calls_are_used_up_parks_the_rest_until_the_next_and_leaves_others_their_share(
    tmp_path: Path,
) -> None:
    """Half of the org's calls are ours: reading stops first, what is known by then is written, the rest comes tomorrow."""
    with beside_calm(tmp_path) as (calm, short):
        write_settings(short, {}, quota_share=0.5)
        short.here.settings = load_settings(short.config)
        short.world.crm.daily_requests = 36  # a whole sync needs more than 18
        most = parked = 0
        for _day in range(14):
            ran = short.sync()
            most = max(most, short.world.crm.requests_used)
            if ran.failed == [] and short.waiting() == 0:
                break
            parked += any(each.parked for each in ran.written.get("crm", ()))
            assert all("it goes on at" in why for why in ran.failed)
            short.later(hours=25)
            short.world.crm.requests_used = 0  # the org's own window has passed too
        assert ran.failed == [] and parked and most <= 18 + LOGINS
        assert standing(short) == standing(calm)
        assert short.doubled() == 0


@pytest.mark.parametrize("odd", [b'{"totalSize": 1, "done": true, "records": [{"Id": ["Harbour Lift"]}]}', b"null"])
def test_answers_in_a_form_that_nobody_knows_stop_that_connection_only_and_repeat_no_value(
    tmp_path: Path, odd: bytes
) -> None:
    """A proxy's page, a changed API, a mistake of ours: what the ERP says is taken all the same, and nothing is lost."""
    with beside_calm(tmp_path) as (calm, place):
        data = Faults.status(200, body=odd, times=None, match=lambda request: "/oauth2/" not in request.path)
        place.world.crm.faults.add(data)
        ran = place.sync()
        assert ran.failed and all(why.startswith("crm: ") for why in ran.failed), ran.failed
        assert "Harbour Lift" not in str(ran.failed)
        assert ran.pulled["crm"].state == "failed" and ran.pulled["erp"].state == "ok"
        assert ran.pulled["erp"].records.new > 0
        place.world.crm.faults.clear()
        for _ in range(2):
            place.later(minutes=15)
            assert place.sync().failed == []
        assert standing(place)["outcome"] == standing(calm)["outcome"]


@pytest.mark.parametrize("odd", [b'{"records": "none"}', b"[null, 7]"])
def test_answers_to_writes_in_a_form_that_nobody_knows_are_read_back_and_nothing_is_doubled(
    tmp_path: Path, odd: bytes
) -> None:
    with beside_calm(tmp_path) as (calm, place):
        place.world.crm.faults.add(Faults.status(200, body=odd, times=None, match=writes))
        ran = place.sync()
        assert ran.pulled["crm"].state == "ok" and place.waiting() > 0
        assert standing(place)["books"] == standing(calm)["books"], "the ERP is written all the same"
        place.world.crm.faults.clear()
        for _ in range(3):
            place.later(hours=2)
            assert place.sync().failed == []
        assert standing(place) == standing(calm)
        assert place.doubled() == 0
