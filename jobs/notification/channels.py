"""Ways out for messages: a mail server (SMTP), or a folder of `.eml` files.

Whoever sends must know which of four things happened when it did not work: the message was refused for good, it may be
accepted later, nothing was sent at all, or nobody knows because the answer was lost.
"""

from __future__ import annotations

import os
import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol, Self

from jobs.notification.addresses import one_line
from jobs.notification.mail import as_bytes


class SendingError(Exception):
    """Base of what may happen instead of sending; the text is for a person."""


class Refused(SendingError):
    """This message will not be accepted, however often it is sent."""


class NotNow(SendingError):
    """This message was not accepted now."""


class Unreachable(SendingError):
    """No message can be sent now; nothing of this one was."""


class NoAnswer(SendingError):
    """The message was handed over and the answer was lost: it may have been accepted."""


class Channel(Protocol):
    """Sends messages; opened before the first and closed after the last."""

    def __enter__(self) -> Self:
        """Raises: ``Unreachable``."""
        ...

    def __exit__(self, *_: object) -> None: ...

    def send(self, message: EmailMessage, to: str, name: str) -> None:
        """Hand one message over. ``name`` is the same for the same message. Raises: the four kinds of ``SendingError``."""
        ...


@dataclass(frozen=True, slots=True)
class FolderChannel:
    """Writes each message as a file that appears whole or not at all; the same message again is the same file."""

    folder: Path

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unreachable(f"{self.folder}: cannot be made: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None: ...

    def send(self, message: EmailMessage, to: str, name: str) -> None:
        """Write the file."""
        path = self.folder / name
        waiting = path.with_name(f".{name}.{os.getpid()}")
        try:
            with waiting.open("wb") as out:
                out.write(as_bytes(message))
                out.flush()
                os.fsync(out.fileno())
            waiting.replace(path)
        except OSError as error:
            with suppress(OSError):
                waiting.unlink()
            raise Unreachable(f"{path}: cannot be written: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server. ``security``: ``starttls``, ``tls`` from the first byte, or ``none``."""

    host: str
    port: int
    security: str
    username: str | None
    password: str | None
    timeout_seconds: float


class SmtpChannel:
    """One connection to a mail server for all messages of a run (RFC 5321)."""

    def __init__(self, server: Server, sender: str) -> None:
        self._server, self._sender = server, sender
        self._smtp: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        server = self._server
        own = self._sender.rpartition("@")[2]  # asking the machine for its name may take as long as its resolver likes
        try:
            if server.security == "tls":
                context = ssl.create_default_context()
                self._smtp = smtplib.SMTP_SSL(
                    server.host, server.port, local_hostname=own, timeout=server.timeout_seconds, context=context
                )
            else:
                self._smtp = smtplib.SMTP(server.host, server.port, local_hostname=own, timeout=server.timeout_seconds)
            if server.security == "starttls":
                self._smtp.starttls(context=ssl.create_default_context())
            if server.username is not None:
                self._smtp.login(server.username, server.password or "")
        except smtplib.SMTPAuthenticationError as error:
            self.__exit__()
            raise Unreachable(f"{self._named} does not accept the login ({error.smtp_code}); look at smtp.username and smtp.password") from None  # fmt: skip
        except (OSError, smtplib.SMTPException) as error:
            self.__exit__()
            raise Unreachable(f"{self._named}: {_said(error)}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._smtp is not None:
            with suppress(OSError, smtplib.SMTPException):
                self._smtp.quit()
            self._smtp.close()
            self._smtp = None

    @property
    def _named(self) -> str:
        return f"mail server {self._server.host}:{self._server.port}"

    def send(self, message: EmailMessage, to: str, name: str) -> None:
        """One transaction of the protocol: sender, reader, message, answer."""
        assert self._smtp is not None
        try:
            self._smtp.ehlo_or_helo_if_needed()
            self._expect(self._smtp.mail(self._sender), 250, Unreachable)
            self._expect(self._smtp.rcpt(to), 250)
            self._expect(self._smtp.docmd("DATA"), 354)
        except (OSError, smtplib.SMTPException) as error:
            raise Unreachable(f"{self._named}: {_said(error)}") from None
        try:
            self._smtp.send(smtplib.quotedata(as_bytes(message).decode("ascii")) + ".\r\n")
            answer = self._smtp.getreply()
        except (OSError, smtplib.SMTPException) as error:
            raise NoAnswer(f"{self._named}: {_said(error)}") from None
        self._expect(answer, 250)

    def _expect(self, answer: tuple[int, bytes], wanted: int, otherwise: type[SendingError] = Refused) -> None:
        """Raise what an answer means; 421 closes the connection, other fours may be tried again, fives may not."""
        code, text = answer
        if code // 10 == wanted // 10:
            return
        said = f"{self._named} answered {code} {one_line(text.decode('utf-8', 'replace'))[:200]}"
        if code == 421 or otherwise is Unreachable:
            raise Unreachable(said)
        assert self._smtp is not None
        with suppress(OSError, smtplib.SMTPException):
            self._smtp.rset()
        raise (Refused if code >= 500 else NotNow)(said)


def _said(error: BaseException) -> str:
    """What went wrong, in one line without an address or a secret."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"answered {error.smtp_code}"
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    return one_line(str(error))[:200] or type(error).__name__
