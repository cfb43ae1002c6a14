"""Job: take in what partners, applicants and the vendor are to be told, and send it, once.

What is to be told follows from the stored facts; it is computed anew when facts, terms, words or the day have changed, and
only what is new is kept (``sync/notices.py``). Each message is marked before it is handed over and settled after the
answer. One process at a time does this, under a lease; killed anywhere and run again, nobody is told twice, but for a message whose
answer was lost: it goes out once more under the same Message-ID.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import orjson
import structlog

from jobs.clock import Clock
from jobs.config import Settings
from jobs.leasing import SECONDS, take
from jobs.notification.addresses import mail_address, one_line
from jobs.notification.channels import (
    Channel,
    FolderChannel,
    NoAnswer,
    NotNow,
    Refused,
    Server,
    SmtpChannel,
    Unreachable,
)
from jobs.notification.mail import file_name, message_id, message_of
from jobs.notification.notifications import notifications
from jobs.notification.settings import NotificationSettings
from jobs.problems import UserError
from jobs.stored_pictures import stored_pictures
from rules.errors import ProgramError
from rules.notices import Notice, notices_of, translated
from rules.program import Program
from sync.delivery import nothing_happens
from sync.notices import MOST_ATTEMPTS, Mark, Notices, last_fact
from sync.store import Store

log = structlog.get_logger("referee.notices")
LEASE = "notices"
_AGAIN = timedelta(hours=1)
"""A program that offers leads is looked at again so often: its offers move on within a day."""
_RENEW_EVERY = 20
Row = dict[str, Any]


@dataclass(slots=True)
class Told:
    """What a run did with notices. ``stopped``: why it ended early; ``busy``: another run was at it."""

    new: int = 0
    skipped: int = 0
    withdrawn: int = 0
    sent: int = 0
    failed: int = 0
    waiting: int = 0
    messages: int = 0
    stopped: str | None = None
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Notifier:
    """The notices of an installation."""

    settings: Settings
    chosen: NotificationSettings
    programs: Sequence[Program]
    store: Store
    clock: Clock

    def run(self, *, send: bool, crashpoint: Callable[[str], None] = nothing_happens) -> Told:
        """Take in what is new; with ``send``, and a channel, send what waits. Raises: ``UserError``, ``StoreUnavailable``."""
        words = self._words()
        lease = take(self.store, LEASE, self.clock)
        if lease is None:
            return Told(busy=True)
        try:
            store = self.store.under(lease)
            told = Told()
            notices = Notices(store, crashpoint=crashpoint)
            self._take_in(notices, words, told)
            if send and self.chosen.channel != "none":

                def renew() -> None:
                    store.renew(lease, now=self.clock(), for_seconds=SECONDS)

                _Sending(self, notices, told, renew).run()
        finally:
            self.store.release(lease)
        log.info("told", new=told.new, sent=told.sent, failed=told.failed, waiting=told.waiting)
        return told

    # ---- taking in

    def _take_in(self, notices: Notices, words: Mapping[str, str], told: Told) -> None:
        now = self.clock()
        with self.store.reading() as db:
            last = last_fact(db)
        todo: dict[str, Mark] = {}
        for program in self.programs:
            today = program.calendar.date_of(now)
            mark = notices.mark(program.id)
            made = Mark(mark.began_on if mark else today, last, today, self._made_from(program, words), now)
            if notices_of(program.id) and not (mark and self._still(program, mark, made)):
                todo[program.id] = made
        if not todo:
            return
        wanted = [program for program in self.programs if program.id in todo]
        for picture in stored_pictures(self.store, wanted, now):
            mark = todo[picture.program.id]
            own = self._of_partners(picture.program, words)
            oldest = max(mark.began_on, mark.as_of - timedelta(days=self.chosen.max_days))
            done = notices.take_in(picture.program.id, notifications(picture, words=own), mark, oldest=oldest)
            told.new += done.pending
            told.skipped += done.skipped
            told.withdrawn += done.withdrawn

    def _still(self, program: Program, mark: Mark, now: Mark) -> bool:
        """Whether nothing can have changed since the mark."""
        if program.on(now.as_of).lead_sharing is not None and now.at - mark.at >= _AGAIN:
            return False
        return replace(mark, at=now.at) == now

    def _made_from(self, program: Program, words: Mapping[str, str]) -> str:
        languages = {name: wishes.language for name, wishes in sorted(self.chosen.partners.items())}
        parts = [
            program.model_dump_json(), repr(sorted(notices_of(program.id).items())), repr(sorted(words.items())), repr(languages),
        ]  # fmt: skip
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _words(self) -> dict[str, str]:
        """The texts of each language. Raises: ``UserError`` for a file that cannot be used."""
        found = {}
        for language, name in self.chosen.texts.items():
            where = self.settings.place("notifications", "texts", language)
            try:
                found[language] = self.settings.path(name).read_text("utf-8")
                translated({}, found[language], name)
            except (OSError, UnicodeDecodeError):
                raise UserError(f"{where}: found {name}, which cannot be read; allowed: a file of words") from None
            except ProgramError as error:
                raise UserError(f"{where}: {error}") from None
        return found

    def _of_partners(self, program: Program, words: Mapping[str, str]) -> Mapping[str, Mapping[str, Notice]]:
        """The notices of those partners who read another language."""
        ours = notices_of(program.id)
        by_language = {name: translated(ours, text, self.chosen.texts[name]) for name, text in words.items()}
        return {
            name: by_language[wishes.language]
            for name, wishes in self.chosen.partners.items()
            if wishes.language is not None
        }

    # ---- ways out

    def channel(self) -> Channel:
        """The way out that the settings choose."""
        chosen = self.chosen
        if chosen.channel == "folder":
            return FolderChannel(self.settings.path(chosen.folder))
        smtp = chosen.smtp
        assert smtp is not None and chosen.sender is not None
        password = smtp.password.get_secret_value() if smtp.password else None
        server = Server(smtp.host, smtp.port, smtp.security, smtp.username, password, smtp.timeout_seconds)
        return SmtpChannel(server, chosen.sender)


@dataclass(slots=True)
class _Reader:
    """Whom a notice is for: its name, and its address or why there is none."""

    name: str
    address: str | None
    why_not: str = ""


@dataclass(slots=True)
class _Sending:
    """Sends what waits, message by message."""

    notifier: Notifier
    notices: Notices
    told: Told
    renew: Callable[[], None]
    _records: dict[str, Row] = field(default_factory=dict)

    def run(self) -> None:
        now = self.notifier.clock()
        rows = self.notices.waiting(now)
        if not rows:
            return
        self._records = self._current({"partner", "application"})
        self.told.waiting = len(rows)
        groups = list(self._groups([_as_row(row) for row in rows], now))
        if not groups:
            return
        try:
            with self.notifier.channel() as channel:
                for number, (identity, address, group) in enumerate(groups[: self.notifier.chosen.most_at_once], 1):
                    self._send(channel, identity, address, group)
                    if number % _RENEW_EVERY == 0:
                        self.renew()
        except Unreachable as error:
            self.told.stopped = str(error)
            log.warning("notices_not_sent", channel=self.notifier.chosen.channel)

    def _current(self, types: set[str]) -> dict[str, Row]:
        """Partners and applications as they read now, by type and id."""
        found: dict[str, Row] = {}
        for body in self.notifier.store.facts(types=types):
            found[f"{body['type']}:{body['id']}"] = body
        return found

    def _groups(self, rows: Sequence[Row], now: datetime) -> Iterator[tuple[str, str, list[Row]]]:
        """The messages to send: id, address, notices. What is not to be sent is settled on the way."""
        sender = self.notifier.chosen.sender
        assert sender is not None
        again: dict[str, list[Row]] = {}
        together: dict[tuple[str, str], list[Row]] = {}
        single: list[tuple[str, str, list[Row]]] = []
        for row in rows:
            if row["state"] == "attempted" or row["attempts"]:  # it may have gone out: the same message once more
                again.setdefault(row["message_id"], []).append(row)
                continue
            address = self._address(row, now)
            if address is None:
                continue
            every = self._every(row)
            if every == "message":
                single.append((message_id([row["key"]], sender), address, [row]))
            else:
                together.setdefault((row["program"], row["to"]), []).append(row)
        for identity, group in again.items():
            yield identity, group[0]["address"], group
        yield from single
        for (program, _), group in together.items():
            if self._is_time(program, group, now):
                address = self._address(group[0], now)
                assert address is not None
                yield message_id([row["key"] for row in group], sender), address, group

    def _every(self, row: Row) -> str:
        is_partner = f"partner:{row['to']}" in self._records
        return self.notifier.chosen.wishes_of(row["to"]).every if is_partner else "message"

    def _is_time(self, program: str, group: Sequence[Row], now: datetime) -> bool:
        """Whether a day (or a week, from Monday) has begun since the first of these was taken in."""
        calendar = next(each.calendar for each in self.notifier.programs if each.id == program)
        today = calendar.date_of(now)
        every = self._every(group[0])
        begins = today if every == "day" else today - timedelta(days=today.weekday())
        return any(calendar.date_of(row["created_at"]) < begins for row in group)

    def _address(self, row: Row, now: datetime) -> str | None:
        """Where a pending notice goes; ``None`` when it does not go out, which is settled then."""
        chosen, key, to = self.notifier.chosen, [row["key"]], row["to"]
        program = next((each for each in self.notifier.programs if each.id == row["program"]), None)
        if program is None:
            return None  # a program that was taken out of the settings: its notices wait
        age = (program.calendar.date_of(now) - date.fromisoformat(row["on"])).days
        wishes = chosen.wishes_of(to) if f"partner:{to}" in self._records else None
        if age > chosen.max_days:
            self._skip(key, now, f"older than {chosen.max_age} when it could be sent")
        elif wishes is not None and (wishes.off or _kind(row["kind"]) in wishes.without):
            self._skip(key, now, "its reader does not wish it (notifications.partners)")
        else:
            reader = self._reader(to)
            if reader.address is not None:
                return reader.address
            self._fail(key, now, reader.why_not)
        return None

    def _fail(self, keys: Sequence[str], now: datetime, reason: str) -> None:
        self.notices.failed(keys, now, reason)
        self.told.failed += len(keys)
        self.told.waiting -= len(keys)

    def _skip(self, keys: Sequence[str], now: datetime, reason: str) -> None:
        self.notices.skipped(keys, now, reason)
        self.told.skipped += len(keys)
        self.told.waiting -= len(keys)

    def _reader(self, to: str) -> _Reader:
        chosen = self.notifier.chosen
        if to.startswith("vendor:"):
            role = to.removeprefix("vendor:")
            address = chosen.vendor.get(role) or chosen.vendor.get("default")
            return _Reader(
                role.replace("_", " "), address, f"no address for {role}: give one under notifications.vendor"
            )
        if to.startswith("applicant:"):
            record = self._records.get(f"application:{to.removeprefix('applicant:')}", {})
            contact = (record.get("details") or {}).get("primary_contact")
            given = (record.get("details") or {}).get("email") or (contact or {}).get("email") if isinstance(contact, dict | None) else None  # fmt: skip
            where = "details.email of the application"
        else:
            record = self._records.get(f"partner:{to}", {})
            given, where = chosen.wishes_of(to).address or record.get("email"), "email of the partner's record"
        name = one_line(str(record.get("name") or to))
        if not isinstance(given, str) or not given.strip():
            return _Reader(name, None, f"no address: {where} is empty; `referee notifications retry` once there is one")
        try:
            return _Reader(name, mail_address(given))
        except ValueError as error:
            return _Reader(name, None, f"{where}: found {one_line(given)[:80]!r}; allowed: {error}")

    def _send(self, channel: Channel, identity: str, address: str, group: Sequence[Row]) -> None:
        notifier, keys = self.notifier, [row["key"] for row in group]
        attempts = group[0]["attempts"]
        now = notifier.clock()
        if attempts >= MOST_ATTEMPTS:
            self._fail(keys, now, f"no answer after {attempts} attempts; it may have arrived")
            return
        program_name = next((each.name for each in notifier.programs if each.id == group[0]["program"]), "Referee")
        assert notifier.chosen.sender is not None
        message = message_of(
            group, identity=identity, sender=notifier.chosen.sender, to=address, name=self._reader(group[0]["to"]).name,
            program_name=program_name, at=now, reply_to=notifier.chosen.reply_to, link=notifier.chosen.link,
        )  # fmt: skip
        self.notices.attempt(keys, message_id=identity, address=address, at=now)
        try:
            channel.send(message, address, file_name(group, identity))
        except Refused as error:
            self._fail(keys, notifier.clock(), str(error))
        except NotNow as error:
            self.notices.later(keys, notifier.clock(), str(error), attempts + 1)
        except NoAnswer as error:  # stays attempted: the next run sends it once more, under the same id
            raise Unreachable(f"{error}; the message is sent once more, under the same Message-ID") from error
        except Unreachable as error:
            self.notices.put_back(keys, notifier.clock(), str(error), was=group[0]["state"])
            raise
        else:
            self.notices.sent(keys, notifier.clock())
            self.told.sent += len(keys)
            self.told.messages += 1
            self.told.waiting -= len(keys)


def _kind(kind: str) -> str:
    """The kind by which wishes name it: each status of a lead is told by `status_changed`."""
    return "status_changed" if kind.startswith("status_") else kind


def _as_row(row: Any) -> Row:
    """A stored notice by the names that a computed one has."""
    return {
        **dict(row._mapping), "to": row.recipient, "on": row.told_on, "clauses": orjson.loads(row.clauses),
    }  # fmt: skip
