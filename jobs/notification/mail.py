"""A message made of notices: headers that no name can add to, plain text, and a date for the reader's calendar (CN-79).

Its Message-ID is derived from the notices' keys: should an answer be lost and the message go out a second time, it is
recognisably the same one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from jobs.notification.addresses import header, one_line

POLICY = SMTP.clone(cte_type="7bit")
Row = Mapping[str, Any]


def message_id(keys: Iterable[str], sender: str) -> str:
    """The id of the message that carries these notices: the same keys, the same id."""
    return f"<{_digest(*sorted(keys))}@{sender.rpartition('@')[2]}>"


def message_of(
    notices: Sequence[Row],
    *,
    identity: str,
    sender: str,
    to: str,
    name: str,
    program_name: str,
    at: datetime,
    reply_to: str | None = None,
    link: str | None = None,
) -> EmailMessage:
    """One message for one reader: a notice as it stands, several under their headings.

    ``link``: an address with ``{program}``, ``{kind}``, ``{about}`` or ``{key}`` in it, shown below each notice.
    """
    message = EmailMessage(policy=POLICY)
    message["From"] = Address(display_name=header(program_name), addr_spec=sender)
    message["To"] = Address(display_name=header(name), addr_spec=to)
    if reply_to is not None:
        message["Reply-To"] = Address(addr_spec=reply_to)
    first = notices[0]["subject"] if len(notices) == 1 else f"{len(notices)} messages of the {program_name}"
    message["Subject"] = header(first)
    message["Date"] = format_datetime(at.astimezone(UTC))
    message["Message-ID"] = identity
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_text(notices, link))
    dated = [each for each in notices if each["due_on"]]
    if dated:
        message.add_attachment(
            _calendar(dated, sender, at).encode(), maintype="text", subtype="calendar", filename="dates.ics",
            params={"method": "PUBLISH", "charset": "utf-8"},
        )  # fmt: skip
        message.set_boundary(f"=_{_digest(identity, 'parts')}")  # not by chance: the same message is the same bytes
    return message


def as_bytes(message: EmailMessage) -> bytes:
    """The message as it is sent: ASCII, lines that end with CR LF."""
    return message.as_bytes(policy=POLICY)


def file_name(notices: Sequence[Row], identity: str) -> str:
    """The name of the message's file: the same message, the same file."""
    kind = notices[0]["kind"] if len(notices) == 1 else "several"
    return f"{notices[0]['on']}-{re.sub('[^a-z_]', '', kind)}-{_digest(identity)[:16]}.eml"


def _text(notices: Sequence[Row], link: str | None) -> str:
    parts = []
    for each in notices:
        heading = f"{one_line(each['subject'])}\n\n" if len(notices) > 1 else ""
        foot = f"\n{_filled(link, each)}\n" if link else ""
        parts.append(f"{heading}{each['body'].strip()}\n{foot}")
    return "\n----\n\n".join(parts)


def _filled(link: str, notice: Row) -> str:
    """The link with its parts filled in, each escaped for an address."""
    parts = {name: quote(str(notice[name]), safe="") for name in ("program", "kind", "about", "key")}
    return re.sub(r"\{(program|kind|about|key)\}", lambda match: parts[match[1]], link)


def _calendar(notices: Sequence[Row], sender: str, at: datetime) -> str:
    """An iCalendar file (RFC 5545) with a whole day for each date; an event keeps its UID, so that it is there once."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Referee//Notices//EN", "METHOD:PUBLISH"]
    for each in notices:
        day = date.fromisoformat(each["due_on"])
        lines += [
            "BEGIN:VEVENT",
            f"UID:{_digest(each['key'])}@{sender.rpartition('@')[2]}",
            f"DTSTAMP:{at.astimezone(UTC):%Y%m%dT%H%M%SZ}",
            f"DTSTART;VALUE=DATE:{day:%Y%m%d}",
            f"DTEND;VALUE=DATE:{day + timedelta(days=1):%Y%m%d}",
            f"SUMMARY:{_escaped(each['subject'])}",
            "TRANSP:TRANSPARENT",
            "END:VEVENT",
        ]
    return "".join(f"{part}\r\n" for line in [*lines, "END:VCALENDAR"] for part in _folded(line))


def _escaped(text: str) -> str:
    return re.sub(r"([\\;,])", r"\\\1", one_line(text))


def _folded(line: str) -> Iterable[str]:
    """A line in parts of at most 75 bytes, of which all but the first begin with a blank."""
    part = ""
    for letter in line:
        if len((part + letter).encode()) > 75:
            yield part
            part = " "
        part += letter
    yield part


def _digest(*keys: str) -> str:
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:40]
