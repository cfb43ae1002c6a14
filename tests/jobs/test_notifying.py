"""Who is told what by the store: once, after a start without old news, whatever is killed or lost on the way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from sqlalchemy import update
from typer.testing import CliRunner

from jobs.cli import app
from jobs.installation import Installation, installation
from jobs.notification.addresses import mail_address, one_line
from jobs.notification.mail import as_bytes, message_id, message_of
from jobs.notifying import Told
from jobs.problems import UserError
from jobs.status import show_status, status_of
from sync.fact_rows import FactWriter, Source
from sync.notice_tables import notice
from sync.notices import Notices
from sync.retention import Keep, prunable, prune
from sync.tables import micros
from tests.jobs.mail_server import MailServer, mail_server
from tests.sync.conftest import postgres_url, store_url

__all__ = ["postgres_url", "store_url"]  # fixtures of these tests too

Row = dict[str, Any]
DETAILS = {"description": "rebuild", "estimated_value": "900000.00", "estimated_timeline": "6 months",
           "services": ["managed service"], "decision_timeline": "Q3"}  # fmt: skip
PERSON = {"name": "Kim Ash", "title": "CTO", "email": "kim@client.example", "phone": "+92 21 5550 001"}
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)  # 14:00 in Karachi, a Monday
PARTNERS: list[Row] = [
    {"type": "partner", "id": "p1", "name": "Alder Advisers", "email": "desk@alder.example"},
    {"type": "partner", "id": "p2", "name": "Birch Ltd"},
    *({"type": "enrollment", "id": f"e{n}", "partner": f"p{n}", "program": "code-ninety", "role": "agency",
       "starts_on": "2026-01-01"} for n in (1, 2)),
]  # fmt: skip


def lead(number: int, partner: str = "p1") -> list[Row]:
    name = f"Client {number} Works"
    return [
        {"type": "account", "id": f"a{number}", "name": name},
        {"type": "referral", "id": f"r{number}", "program": "code-ninety", "partner": partner, "channel": "portal",
         "submitted_at": "2026-01-05T09:00:00+05:00", "company": name, "account": f"a{number}", "contact": PERSON,
         "details": DETAILS},
    ]  # fmt: skip


def approved(number: int, at: str = "2026-01-06T09:00:00+05:00") -> Row:
    return {
        "type": "review",
        "id": f"v{number}",
        "referral": f"r{number}",
        "at": at,
        "outcome": "approved",
        "by": "Omar",
    }


class Place:
    """An installation without connections, and a clock that a test moves."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder, self.store_url, self.now = folder, store, START
        self.here: Installation = None  # type: ignore[assignment]

    def settings(self, **notifications: Any) -> None:
        body: Row = {"store": self.store_url, "programs": ["code-ninety"], "connections": {}, "log": {"level": "error"}}
        if notifications:
            body["notifications"] = notifications
        with (self.folder / "referee.yaml").open("w", encoding="utf-8") as out:
            YAML().dump(body, out)

    def know(self, *facts: Row) -> None:
        self.here.store.put_facts(list(facts), known_at=self.now, run_id=0)

    def run(self, *, send: bool = True, crashpoint: Callable[[str], None] = lambda _: None) -> Told:
        with installation(self.folder / "referee.yaml", clock=lambda: self.now) as here:
            notifier = here.notifier()
            assert notifier is not None
            return notifier.run(send=send, crashpoint=crashpoint)

    def rows(self, state: str | None = None) -> dict[str, Row]:
        return {row["key"]: row for row in Notices(self.here.store).listed(state=state)}

    def states(self) -> dict[str, int]:
        return Notices(self.here.store).counts().get("code-ninety", {})

    def by_smtp(self, mail: MailServer, **more: Any) -> None:
        smtp = {"host": "127.0.0.1", "port": mail.port, "security": "none", "timeout_seconds": 5}
        self.settings(channel="smtp", sender="partners@vendor.example", smtp=smtp, **more)


@contextmanager
def settled_in(folder: Path, store: str) -> Iterator[Place]:
    made = Place(folder, store)
    made.settings(channel="none")
    with installation(folder / "referee.yaml", clock=lambda: made.now) as made.here:
        made.know(*PARTNERS, *lead(1), *lead(2), *lead(3, "p2"))
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """On SQLite."""
    with settled_in(tmp_path, f"sqlite:///{tmp_path / 'referee.db'}") as made:
        yield made


@pytest.fixture
def place_on_both(tmp_path: Path, store_url: str) -> Iterator[Place]:
    """On both databases, for what the store itself must hold."""
    with settled_in(tmp_path, store_url) as made:
        yield made


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


def begun(place: Place) -> None:
    """The first run, then a day on which the first referral is approved."""
    place.run()
    place.now += timedelta(days=1)
    place.know(approved(1))


APPROVED = "code-ninety:review_approved:r1:2026-01-06:p1"
QUALIFIED = "code-ninety:status_qualified:r1:2026-01-06:p1"


def test_what_is_let_go_as_old_is_never_told_again(place: Place) -> None:
    """Its words and addresses go; the same key is computed anew on every run, however old news may be here."""
    place.settings(channel="none")
    place.now += timedelta(days=1)
    place.know(approved(3))
    assert place.run().skipped > 0
    place.now += timedelta(days=1)
    place.know(approved(1), *lead(4, "p2"), approved(4))
    folder = place.folder / "mail"
    place.settings(channel="folder", folder=str(folder), sender="partners@vendor.example", max_age="2000d")
    first = place.run()
    failing = len(place.rows("failed"))
    assert first.sent > 0
    place.now += timedelta(days=401)
    place.run()
    files, settled = sorted(folder.iterdir()), {**place.rows("sent"), **place.rows("skipped")}
    old = {key for key, row in settled.items() if row["updated_at"] < (START + timedelta(days=30)).isoformat()}
    found = prunable(place.here.store, Keep(), place.now + timedelta(days=10))
    assert set(found.ids["notice"]) == old and len(old) >= first.sent
    assert found.stays["notices that wait, or could not be sent"] == failing > 0
    for _ in range(2):
        prune(place.here.store, found)
        place.now += timedelta(days=1)
        place.know(approved(2, at=place.now.isoformat()))
        place.run()
        assert not old & place.rows().keys()
    assert all(file in sorted(folder.iterdir()) for file in files)
    told = [
        row for row in place.rows("sent").values() if row["updated_at"] > (place.now - timedelta(days=3)).isoformat()
    ]
    assert told and not {row["key"] for row in told} & old, "what is new is told"


def test_the_first_run_tells_nobody_old_news_and_the_next_ones_tell_each_thing_once(place_on_both: Place) -> None:
    """CN-55, CN-62, CN-79."""
    place = place_on_both
    place.know(approved(3, "2026-01-05T10:00:00+05:00"))
    first = place.run()
    assert (first.new, first.skipped) == (0, 1)
    assert {row["reason"] for row in place.rows().values()} == {
        "it was to be told before notices began here, on 2026-01-05"
    }
    place.now += timedelta(days=1)
    place.know(approved(1))
    again = place.run()
    assert again.new == 2 and set(place.rows("pending")) == {APPROVED, QUALIFIED}
    before = place.rows()
    for _ in range(3):
        assert place.run() == Told()
    assert place.rows() == before
    row = before[APPROVED]
    assert row["clauses"] == ["CN-44"] and row["body"].startswith("Dear Alder Advisers,")


def test_history_that_comes_to_be_known_late_is_not_told(place: Place) -> None:
    begun(place)
    place.run()
    place.now += timedelta(days=40)
    place.know(approved(2, "2026-01-07T09:00:00+05:00"))
    place.run()
    late = [row for row in place.rows().values() if row["about"] == "r2" and row["kind"] == "review_approved"]
    assert [row["state"] for row in late] == ["skipped" if late[0]["on"] < "2026-02-01" else "pending"]
    weekly = {row["on"]: row["state"] for row in place.rows().values() if row["kind"] == "weekly_update"}
    assert weekly["2026-01-12"] == "skipped" and weekly["2026-02-09"] == "pending"  # 33 days and 6 days ago


def test_what_does_not_stand_any_more_is_not_sent_and_what_was_sent_stays(
    place_on_both: Place, mail: MailServer
) -> None:
    place = place_on_both
    begun(place)
    place.run()
    place.now += timedelta(hours=1)
    with place.here.store.transaction() as db:
        writer = FactWriter(db, 0)
        writer.prepare({("review", "v1")})
        writer.withdraw(("review", "v1"), Source(None, None, None, micros(place.now), micros(place.now)))
        writer.flush()
    told = place.run()
    assert told.withdrawn >= 1 and place.rows()[APPROVED]["reason"] == "it does not stand any more"
    place.by_smtp(mail)
    place.run()
    assert "your referral was approved" not in " ".join(mail.subjects)


def test_mail_goes_out_once_with_a_date_for_the_calendar(place: Place, mail: MailServer) -> None:
    """CN-79: by e-mail, with a link to act on and a date for the calendar."""
    begun(place)
    place.know({"type": "contract", "id": "c1", "account": "a1", "kind": "managed_service", "signed_on": "2026-01-06",
                "currency": "PKR", "value": "18000000.00"})  # fmt: skip
    place.by_smtp(mail, reply_to="help@vendor.example", link="https://partners.example/{program}/{about}")
    told = place.run()
    assert told.sent == len(mail.accepted) == told.new >= 3 and told.failed == 0
    assert {to for to, _ in mail.accepted} == {"desk@alder.example"}
    assert len(set(mail.ids)) == len(mail.ids)
    deal = next(message for _, message in mail.accepted if "has signed" in message["Subject"])
    assert str(deal["From"]) == "Code Ninety Partner Referral Program <partners@vendor.example>"
    assert str(deal["To"]) == "Alder Advisers <desk@alder.example>" and deal["Reply-To"] == "help@vendor.example"
    assert deal["Auto-Submitted"] == "auto-generated" and deal["Date"] == "Tue, 06 Jan 2026 09:00:00 +0000"
    body = deal.get_body(("plain",))
    assert body is not None and "18,000,000.00 PKR" in body.get_content()
    assert "https://partners.example/code-ninety/c1" in body.get_content()
    (dates,) = deal.iter_attachments()
    text = dates.get_content()
    text = text if isinstance(text, str) else text.decode()
    assert "DTSTART;VALUE=DATE:20260113\r\n" in text and "BEGIN:VEVENT" in text
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    before = len(mail.accepted)
    assert place.run() == Told() and len(mail.accepted) == before
    assert set(place.states()) <= {"sent", "skipped"}


def test_a_folder_holds_each_message_once(place: Place) -> None:
    begun(place)
    place.settings(channel="folder", folder="out", sender="partners@vendor.example")
    assert place.run().sent == 2
    files = sorted((place.folder / "out").iterdir())
    assert len(files) == 2 and all(path.suffix == ".eml" for path in files)
    message = message_from_bytes(files[0].read_bytes(), policy=policy.default)
    assert message["To"] == "Alder Advisers <desk@alder.example>"
    assert place.run() == Told() and sorted((place.folder / "out").iterdir()) == files


def test_without_a_channel_everything_waits_and_later_only_what_is_fresh_is_sent(
    place: Place, mail: MailServer
) -> None:
    begun(place)
    assert place.run().new == 2 and place.states()["pending"] == 2
    place.now += timedelta(days=20)
    place.by_smtp(mail)
    told = place.run()
    assert APPROVED in place.rows("skipped") and "older than 14d" in place.rows()[APPROVED]["reason"]
    assert told.sent == len(mail.accepted) > 0 and all("active referrals" in subject for subject in mail.subjects)


def test_whoever_has_no_address_is_told_of_once_it_has_one(place: Place, mail: MailServer) -> None:
    begun(place)
    place.know(approved(3))
    place.by_smtp(mail)
    told = place.run()
    failed = place.rows("failed")
    assert told.failed == len(failed) == 2 and {row["to"] for row in failed.values()} == {"p2"}
    assert "email of the partner's record is empty" in next(iter(failed.values()))["reason"]
    assert status_of(place.here)["notifications"]["states"]["code-ninety"]["failed"] == 2
    show_status(status_of(place.here))
    place.now += timedelta(hours=1)
    place.know({"type": "partner", "id": "p2", "name": "Birch Ltd", "email": "office@birch.example"})
    run = CliRunner().invoke(app, ["notifications", "retry", *failed, "-c", str(place.folder / "referee.yaml")])
    assert run.exit_code == 0 and "2 of 2 will be sent" in run.stdout
    assert place.run().sent == 2 and mail.accepted[-1][0] == "office@birch.example"


def test_a_server_that_refuses_one_reader_still_gets_the_others(place: Place, mail: MailServer) -> None:
    begun(place)
    place.know(approved(3))
    place.by_smtp(mail, partners={"p2": {"address": "gone@birch.example"}})
    mail.answers = lambda verb, argument: "550 5.1.1 no such user" if verb == "RCPT" and "gone@" in argument else None
    told = place.run()
    assert (told.sent, told.failed, told.stopped) == (2, 2, None)
    assert "answered 550 5.1.1 no such user" in next(iter(place.rows("failed").values()))["reason"]


def test_what_a_server_does_not_take_now_is_tried_again_later_and_later(place_on_both: Place, mail: MailServer) -> None:
    place = place_on_both
    begun(place)
    place.by_smtp(mail)
    mail.answers = lambda verb, argument: "451 greylisted" if verb == "RCPT" else None
    assert place.run().sent == 0
    assert {row["state"] for row in place.rows().values()} <= {"pending", "skipped"}
    assert place.run().messages == 0 and mail.commands.count("RCPT") == 2  # not before its time
    mail.answers = lambda verb, argument: None
    place.now += timedelta(minutes=2)
    assert place.run().sent == 2
    row = place.rows()[APPROVED]
    assert (row["state"], row["attempts"]) == ("sent", 2)


def test_after_eight_attempts_it_has_failed(place: Place, mail: MailServer) -> None:
    begun(place)
    place.by_smtp(mail)
    mail.answers = lambda verb, argument: "451 later" if verb == "RCPT" else None
    for _ in range(8):
        place.run()
        place.now += timedelta(hours=7)
    assert place.rows()[APPROVED]["state"] == "failed"
    assert place.rows()[APPROVED]["reason"].endswith("(after 8 attempts)")


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "DATA"])
def test_a_server_that_is_lost_before_the_message_costs_no_attempt(place: Place, mail: MailServer, verb: str) -> None:
    begun(place)
    place.by_smtp(mail)
    mail.answers = lambda said, argument: "" if said == verb else None
    told = place.run()
    assert told.sent == 0 and told.stopped is not None and "mail server 127.0.0.1" in told.stopped
    assert {(row["state"], row["attempts"]) for row in place.rows().values() if row["about"] == "r1"} == {
        ("pending", 0)
    }
    mail.answers = lambda said, argument: None
    assert place.run().sent == 2 and len(mail.accepted) == 2


def test_a_lost_answer_sends_the_same_message_again_under_the_same_id(place_on_both: Place, mail: MailServer) -> None:
    place = place_on_both
    begun(place)
    place.know({"type": "contract", "id": "c1", "account": "a1", "kind": "managed_service", "signed_on": "2026-01-06",
                "currency": "PKR", "value": "18000000.00"})  # fmt: skip
    place.by_smtp(mail)
    lost = iter([""])
    mail.answers = lambda verb, argument: next(lost, None) if verb == "END" else None
    told = place.run()
    assert told.stopped is not None and "once more, under the same Message-ID" in told.stopped
    assert place.states()["attempted"] == 1
    assert place.run().sent == told.new
    assert len(mail.ids) == told.new + 1 and mail.ids[0] == mail.ids[1] and len(set(mail.ids)) == told.new
    assert "has signed" in mail.subjects[0] and mail.raw[0] == mail.raw[1]  # with its date for the calendar
    assert place.run() == Told()


def test_a_server_that_wants_a_login_it_does_not_get_stops_the_run(place: Place, mail: MailServer) -> None:
    begun(place)
    smtp = {"host": "127.0.0.1", "port": mail.port, "security": "none", "username": "me", "password": "hunter2-hunter2"}
    place.settings(channel="smtp", sender="partners@vendor.example", smtp=smtp)
    mail.answers = lambda verb, argument: {"EHLO": "250-here\r\n250 AUTH PLAIN", "AUTH": "535 no"}.get(verb)
    told = place.run()
    assert told.stopped is not None and "does not accept the login (535)" in told.stopped
    assert "hunter2" not in told.stopped and place.states()["pending"] == 2


def test_a_server_without_encryption_gets_nothing_when_encryption_was_asked_for(place: Place, mail: MailServer) -> None:
    begun(place)
    smtp = {"host": "127.0.0.1", "port": mail.port, "username": "me", "password": "hunter2-hunter2"}
    place.settings(channel="smtp", sender="partners@vendor.example", smtp=smtp)
    told = place.run()
    assert told.stopped is not None and "STARTTLS" in told.stopped and set(mail.commands) <= {"EHLO", "QUIT"}
    assert place.states()["pending"] == 2


def test_a_lead_is_offered_to_the_next_one_within_the_day(place: Place, mail: MailServer) -> None:
    """CN-111, CN-112: its turn begins by time alone, on a day that was looked at already."""
    place.run()
    place.now += timedelta(hours=1)
    place.know(
        {"type": "enrollment", "id": "e1", "partner": "p1", "program": "code-ninety", "role": "agency",
         "starts_on": "2026-01-01", "tier": "silver"},
        {"type": "enrollment", "id": "e2", "partner": "p2", "program": "code-ninety", "role": "agency",
         "starts_on": "2026-01-01", "tier": "silver"},
        {"type": "shared_lead", "id": "l1", "program": "code-ninety", "offered_at": "2026-01-06T14:00:00+05:00",
         "source": "website", "company": "Client 9 Works", "offers": ["p1", "p2"]},
    )  # fmt: skip

    def offered() -> list[str]:
        return [row["to"] for row in place.rows().values() if row["kind"] == "lead_offered"]

    place.now = datetime(2026, 1, 6, 10, 0, tzinfo=UTC)  # 15:00 there
    place.run()
    assert offered() == ["p1"]
    place.now = datetime(2026, 1, 7, 8, 0, tzinfo=UTC)
    place.run()
    assert offered() == ["p1"]
    place.now = datetime(2026, 1, 7, 9, 30, tzinfo=UTC)
    place.run()
    assert sorted(offered()) == ["p1", "p2"]


POINTS = ("before_notices_commit", "after_notices", "before_message", "after_message", "after_sent")


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_and_run_again_nobody_is_told_twice(place_on_both: Place, mail: MailServer, point: str) -> None:
    """A message whose answer was not kept goes out once more under its id; nothing else is doubled, and nothing is lost."""
    place = place_on_both
    begun(place)
    place.by_smtp(mail)
    child = os.fork()
    if child == 0:  # an installation of its own, in a process that dies where it is told to

        def die(name: str) -> None:
            if name == point:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            place.run(crashpoint=die)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    deadline = time.monotonic() + 20
    while point in ("after_message", "after_sent") and not mail.accepted and time.monotonic() < deadline:
        time.sleep(0.01)
    told = place.run()
    assert told.failed == 0 and told.stopped is None
    assert set(place.rows("sent")) == {APPROVED, QUALIFIED}
    assert len(set(mail.ids)) == 2 and len(mail.ids) == (3 if point == "after_message" else 2)
    assert place.run() == Told()


def test_wishes_decide_what_is_sent_how_often_and_in_which_language(place: Place, mail: MailServer) -> None:
    """CN-76."""
    (place.folder / "de.yaml").write_text(
        "review_approved: {subject: '{company}: Ihre Empfehlung wurde angenommen', body: 'Guten Tag {partner_name}'}\n"
    )
    wishes = {"p1": {"without": ["status_changed"], "every": "day", "language": "de"}, "p2": {"off": True}}
    place.by_smtp(mail, partners=wishes, texts={"de": "de.yaml"})
    begun(place)
    place.know(approved(2), approved(3))
    told = place.run()
    assert told.sent == 0 and told.skipped == 4 and told.waiting == 2  # two statuses of p1, all of p2
    assert {
        row["reason"] for row in place.rows("skipped").values() if row["to"] == "p2" and row["on"] > "2026-01-05"
    } == {"its reader does not wish it (notifications.partners)"}
    place.now += timedelta(hours=6)
    assert place.run().messages == 0  # the same day in Karachi
    place.now += timedelta(hours=6)
    told = place.run()
    assert (told.messages, told.sent) == (1, 2)
    ((to, message),) = mail.accepted
    body = message.get_body(("plain",))
    assert to == "desk@alder.example" and message["Subject"] == "2 messages of the Code Ninety Partner Referral Program"
    assert body is not None and body.get_content().count("Ihre Empfehlung wurde angenommen") == 2
    assert "Guten Tag Alder Advisers" in body.get_content()


def test_weekly_wishes_wait_for_monday(place: Place, mail: MailServer) -> None:
    """CN-76."""
    place.by_smtp(mail, partners={"default": {"every": "week", "without": ["weekly_update"]}})
    begun(place)  # a Tuesday
    for _ in range(5):
        assert place.run().messages == 0
        place.now += timedelta(days=1)
    place.now += timedelta(days=1)
    assert place.run().messages == 1 and place.now.astimezone(UTC).weekday() == 0


def test_the_vendor_is_told_by_role_and_applicants_by_their_application(place: Place, mail: MailServer) -> None:
    place.by_smtp(mail, vendor={"default": "team@vendor.example", "Robin Vale": "robin@vendor.example"})
    begun(place)
    place.know(
        {"type": "enrollment", "id": "e1", "partner": "p1", "program": "code-ninety", "role": "agency",
         "starts_on": "2026-01-01", "manager": "Robin Vale"},
        {"type": "application", "id": "x1", "program": "code-ninety", "applied_on": "2026-01-06", "name": "Cedar",
         "details": {"primary_contact": {"email": "me@cedar.example"}}},
    )  # fmt: skip
    place.run()
    assert {"robin@vendor.example", "me@cedar.example", "desk@alder.example"} == {to for to, _ in mail.accepted}


def test_no_more_messages_than_allowed_go_out_in_one_run(place: Place, mail: MailServer) -> None:
    begun(place)
    place.know(approved(2))
    place.by_smtp(mail, most_at_once=3)
    assert [place.run().sent for _ in range(3)] == [3, 1, 0]


def test_only_one_run_at_a_time(place: Place, mail: MailServer) -> None:
    begun(place)
    place.by_smtp(mail)
    assert place.here.store.acquire("notices", "elsewhere|1|x", now=place.now, for_seconds=60) is not None
    assert place.run().busy and mail.accepted == []


def test_the_commands_list_preview_and_send(place: Place, mail: MailServer) -> None:
    begun(place)
    place.run()
    config = ["-c", str(place.folder / "referee.yaml")]

    def command(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["notifications", *arguments, *config])

    rows = orjson.loads(command("--state", "pending", "--json").stdout)
    assert {row["key"] for row in rows} == {APPROVED, QUALIFIED} and {row["state"] for row in rows} == {"pending"}
    shown = command("--preview", APPROVED).stdout
    assert shown.startswith("To: p1\nSubject: Client 1 Works: your referral was approved\n\nDear Alder")
    assert "State: pending, 0 attempts" in shown
    assert "pending" in command().stdout and command("--partner", "p2", "--json").stdout.strip() == "[]"
    for wrong in (["--state", "lost"], ["--preview", "nothing"], ["--as-of", "2026-01-06"], ["send"]):
        done = CliRunner().invoke(
            app, ["notifications", *config, *wrong] if wrong != ["send"] else ["notifications", "send", *config]
        )
        assert isinstance(done.exception, UserError), wrong
    place.by_smtp(mail)
    sent = CliRunner().invoke(app, ["notifications", "send", *config, "--json"])
    assert orjson.loads(sent.stdout)["skipped"] >= 0 and sent.exit_code in (0, 1)


def test_a_sync_tells_at_its_end_and_says_when_it_could_not(place: Place, mail: MailServer) -> None:
    now = datetime.now(UTC)  # commands read the machine's clock
    place.know(approved(1, (now - timedelta(days=1)).isoformat()))
    place.by_smtp(mail)
    command = ["sync", "-c", str(place.folder / "referee.yaml")]
    first = orjson.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)["told"]
    assert first["skipped"] > 0 and first["sent"] == 0
    notices = Notices(place.here.store)
    kept = [row["key"] for row in notices.listed(recipient="p1")][-2:]
    assert notices.retry(kept, now) == 2
    with place.here.store.transaction() as db:
        db.execute(update(notice).where(notice.c.key.in_(kept)).values(told_on=now.date().isoformat()))
    planned = CliRunner().invoke(app, [*command, "--plan-only", "--json"])
    assert orjson.loads(planned.stdout)["told"]["sent"] == 0 and mail.accepted == []
    mail.answers = lambda verb, argument: "421 closing"
    failed = CliRunner().invoke(app, command)
    assert failed.exit_code == 1 and "failed: notifications: mail server 127.0.0.1" in " ".join(failed.stdout.split())
    mail.answers = lambda verb, argument: None
    sent = CliRunner().invoke(app, command)
    assert sent.exit_code == 0 and "2 sent in 2 messages" in sent.stdout and len(mail.accepted) == 2


def test_without_the_setting_nothing_is_kept(place: Place) -> None:
    place.settings()
    with installation(place.folder / "referee.yaml", clock=lambda: place.now) as here:
        assert here.notifier() is None
    assert place.rows() == {}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"chanel": "smtp"}, "did you mean channel?"),
        ({"channel": "smtp"}, "a sender, such as partners@vendor.example"),
        ({"channel": "smtp", "sender": "a@b.example"}, "smtp with host and port"),
        ({"sender": "a@b.example, c@d.example"}, "one address such as desk@partner.example"),
        ({"vendor": {"approver": "nobody"}}, "one address such as"),
        ({"max_age": "2h"}, "whole days, such as 14d"),
        ({"partners": {"p1": {"without": ["weather"]}}}, "kinds of notifications: application_accepted"),
        ({"partners": {"p1": {"language": "de"}}}, "a language of texts: there is none"),
        ({"partners": {"p1": {"evry": "day"}}}, "did you mean every?"),
        ({"smtp": {"host": "mail.example", "security": "none", "username": "u", "password": "geheim-geheim"}}, "starttls or tls"),
        ({"link": "javascript:alert(1)"}, "an address such as https://"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_with_their_place(tmp_path: Path, changed: Row, told: str) -> None:
    place = Place(tmp_path, f"sqlite:///{tmp_path / 'x.db'}")
    place.settings(**changed)
    with pytest.raises(UserError) as raised, installation(tmp_path / "referee.yaml"):
        pass
    assert "referee.yaml:" in str(raised.value) and "notifications" in str(raised.value) and told in str(raised.value)
    assert "geheim" not in str(raised.value)


def test_words_that_cannot_be_used_are_told_before_anything_is_sent(place: Place) -> None:
    (place.folder / "de.yaml").write_text("payout_made: {subject: 'an {bank}', body: x}\n")
    place.settings(channel="none", texts={"de": "de.yaml"})
    with pytest.raises(UserError, match="placeholder {bank}; allowed"):
        place.run()


def row_of(**given: str) -> Row:
    return {"key": "k", "program": "p", "kind": "review_approved", "about": "r", "on": "2026-01-06", "due_on": "2026-01-07",
            "subject": "s", "body": "b", **given}  # fmt: skip


@example(name="a" * 2000, subject="ß" * 2000, body=".\r\n.", about="\r\n")
@settings(max_examples=40)
@given(name=st.text(), subject=st.text(), body=st.text(), about=st.text())
def test_nothing_that_somebody_is_called_adds_a_header_or_a_reader(
    name: str, subject: str, body: str, about: str
) -> None:
    row = row_of(subject=subject, body=body, about=about)
    identity = message_id(["k"], "partners@vendor.example")
    try:
        raw = as_bytes(message_of(
            [row, row], identity=identity, sender="partners@vendor.example", to="desk@alder.example", name=name,
            program_name=name, at=START, link="https://x.example/{about}",
        ))  # fmt: skip
    except UnicodeEncodeError:  # half of a character, which no JSON that we read can hold
        assert any("\ud800" <= each <= "\udfff" for each in name + subject + body + about)
        return
    message = message_from_bytes(raw, policy=policy.default)
    assert raw.isascii() and b"\n" not in raw.replace(b"\r\n", b"")
    names = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
    assert sorted(message.keys()) == sorted(names)
    assert [each.addr_spec for each in message["To"].addresses] == ["desk@alder.example"]
    assert [each.addr_spec for each in message["From"].addresses] == ["partners@vendor.example"]


def test_a_name_with_line_ends_stays_a_name() -> None:
    evil = "Eve\r\nBcc: all@victim.example\r\n\r\nhello\x00"
    message = message_of(
        [row_of(subject=f"{evil} has signed")], identity="<1@x.example>", sender="a@x.example", to="b@y.example", name=evil,
        program_name=evil, at=START,
    )  # fmt: skip
    read = message_from_bytes(as_bytes(message), policy=policy.default)
    assert read["Bcc"] is None and read["Subject"] == "Eve Bcc: all@victim.example hello has signed"
    assert one_line(evil) == "Eve Bcc: all@victim.example hello"


def test_headers_end_however_long_a_name_is() -> None:
    row = row_of(subject="\u682a" * 100_000, body="b" * 100_000)
    message = message_of(
        [row], identity="<1@x.example>", sender="a@x.example", to="b@y.example", name="n" * 100_000, program_name="P", at=START,
    )  # fmt: skip
    raw = as_bytes(message)
    assert len(raw[: raw.index(b"\r\n\r\n")]) < 4000 and max(map(len, raw.split(b"\r\n"))) <= 998
    assert message_from_bytes(raw, policy=policy.default)["Subject"] == "\u682a" * 249 + "\u2026"


@pytest.mark.parametrize(
    "text",
    ["", "a", "a@", "@b.example", "a@b@c.example", "a@b.example, c@d.example", "a@b.example\r\nRCPT TO:<c@d.example>",
     "A <a@b.example>", "a b@c.example", '"a"@b.example', "a@b..example", "a@-b.example", "ä@b.example", "a@b.example>",
     f"{'a' * 250}@b.example"],
)  # fmt: skip
def test_only_a_single_address_is_one(text: str) -> None:
    with pytest.raises(ValueError, match="one address such as"):
        mail_address(text)


@given(st.text())
def test_an_address_that_is_taken_is_one_word(text: str) -> None:
    try:
        found = mail_address(text)
    except ValueError:
        return
    assert found.isascii() and len(found.split()) == 1 and found.count("@") == 1 and not set(found) & set('<>,;"\r\n')
