"""A mail server on loopback for tests: keeps what it accepts, and answers or falls silent as a test tells it."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any


@dataclass
class MailServer:
    """``answers`` is asked before each answer, with the verb (``END`` after a message) and its argument; ``None`` is the
    usual answer, ``""`` closes the connection without one."""

    port: int = 0
    accepted: list[tuple[str, EmailMessage]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    answers: Any = lambda verb, argument: None

    @property
    def subjects(self) -> list[str]:
        return [message["Subject"] for _, message in self.accepted]

    @property
    def ids(self) -> list[str]:
        return [message["Message-ID"] for _, message in self.accepted]


USUAL = {"EHLO": "250 here", "HELO": "250 here", "DATA": "354 go on", "QUIT": "221 bye"}


class _Talk(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        mail: MailServer = self.server.mail
        to = ""
        self._say("220 mail")
        for line in self.rfile:
            verb, _, argument = line.decode().strip().partition(" ")
            verb = verb.upper()
            mail.commands.append(verb)
            to = argument[4:-1] if verb == "RCPT" else to
            answer = mail.answers(verb, argument)
            if answer == "":
                return
            self._say(answer or USUAL.get(verb, "250 ok"))
            if verb == "QUIT":
                return
            if verb == "DATA" and answer is None and not self._message(mail, to):
                return

    def _message(self, mail: MailServer, to: str) -> bool:
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        answer = mail.answers("END", to)
        if answer is None or answer == "":  # with "" the message was taken, and nobody is told
            mail.raw.append(b"".join(lines))
            made = message_from_bytes(b"".join(lines), policy=policy.default)
            assert isinstance(made, EmailMessage)
            mail.accepted.append((to, made))
        if answer == "":
            return False
        self._say(answer or "250 taken")
        return True

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A server in a thread; its port is in the value."""
    mail = MailServer()
    with _Server(("127.0.0.1", 0), _Talk) as server:
        server.mail = mail  # type: ignore[attr-defined]
        mail.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield mail
        server.shutdown()
        thread.join()
