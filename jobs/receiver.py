"""One small HTTP server that takes hints from systems (webhooks), answers at once, and trusts nobody.

``POST /…/CONNECTION`` is judged by the connector of that connection (its signature, its age); what it names is kept in
the store and the answer is 200. Everything else is refused: 401 what the connector does not believe, 404 another address,
405 another method, 411 no length, 413 a body above :data:`LARGEST_BODY`, 503 while too much is under way or the store does
not take it in time (systems then send again). TLS is the work of a proxy in front.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, SHUT_RDWR
from typing import Any, Self, cast
from urllib.parse import quote, unquote

import structlog

from connectors.base import Hint, Posted
from connectors.errors import HintRefused
from connectors.registry import Receive
from jobs.clock import Clock

log = structlog.get_logger("referee.receiver")

LARGEST_BODY = 1024 * 1024
"""Bytes of a request's body; HubSpot posts at most 100 events, some 30 kB."""
MOST_AT_ONCE = 32
"""Connections that are served at a time; others are closed without an answer."""
MOST_UNWRITTEN = 200
"""Judged requests that may wait for the store."""
LONGEST_REQUEST_SECONDS = 15.0
"""How long a request may take to arrive and be answered; a slower one is cut off, so that nobody holds all places."""
WRITTEN_WITHIN_SECONDS = 3.0
"""How long a request waits for the store before it is answered 503; the hints are kept all the same, later."""
_TOLD_EVERY = timedelta(minutes=1)

Keep = Callable[[str, Sequence[Hint]], None]


@dataclass(slots=True)
class _Batch:
    connection: str
    hints: tuple[Hint, ...]
    written: threading.Event = field(default_factory=threading.Event)
    failed: bool = False


class Receiver:
    """Receives for the connections of ``receive`` (by name); ``keep`` stores hints and may be slow or fail.

    ``public_url`` is the address that systems call, without the connection's name: signatures are judged by it, whatever
    the request says of its host, so that a proxy in front may change host, scheme and path.
    """

    def __init__(
        self, bind: tuple[str, int], public_url: str, receive: Mapping[str, Receive], keep: Keep, clock: Clock
    ) -> None:
        self._bind, self._public_url, self._receive = bind, public_url, receive
        self._keep, self._clock = keep, clock
        self._queue: queue.Queue[_Batch | None] = queue.Queue(MOST_UNWRITTEN)
        self._told: dict[str, datetime] = {}
        self._server: _Server | None = None
        self._writer = threading.Thread(target=self._write, name="hint-writer", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._server is not None, "the receiver is not open"
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        """Listen. Raises: ``OSError`` when the address cannot be listened on."""
        self._server = _Server(self._bind, self)
        self._writer.start()
        threading.Thread(target=self._server.serve_forever, args=(0.2,), name="receiver", daemon=True).start()
        log.info("receiver_opened", port=self.port)
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self._queue.put(None)
        self._writer.join(timeout=WRITTEN_WITHIN_SECONDS)

    def judge(self, path: str, method: str, headers: Mapping[str, str], body: bytes) -> HTTPStatus:
        """Take one whole request; returns the status to answer."""
        name, _, query = path.partition("?")
        connection = unquote(name.rpartition("/")[2])
        receive = self._receive.get(connection)
        if receive is None:
            return HTTPStatus.NOT_FOUND
        uri = f"{self._public_url}/{quote(connection)}" + (f"?{query}" if query else "")
        try:
            hints = receive(Posted(method, uri, headers, body), self._clock())
        except HintRefused as refused:
            self._tell(connection, str(refused))
            return HTTPStatus.UNAUTHORIZED
        if not hints:
            return HTTPStatus.OK
        batch = _Batch(connection, hints)
        try:
            self._queue.put_nowait(batch)
        except queue.Full:
            return HTTPStatus.SERVICE_UNAVAILABLE
        if not batch.written.wait(WRITTEN_WITHIN_SECONDS) or batch.failed:
            return HTTPStatus.SERVICE_UNAVAILABLE
        return HTTPStatus.OK

    def _write(self) -> None:
        """Store what was judged, all that waits of one connection together: a flood costs few transactions."""
        while (first := self._queue.get()) is not None:
            batches, ended = [first], False
            while not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    ended = True
                    break
                batches.append(following)
            for connection in dict.fromkeys(batch.connection for batch in batches):
                mine = [batch for batch in batches if batch.connection == connection]
                try:
                    self._keep(connection, [hint for batch in mine for hint in batch.hints])
                except Exception as error:  # noqa: BLE001 - the next ones may be kept; the systems send these again
                    log.warning("hints_not_kept", connection=connection, error=type(error).__name__)
                    for batch in mine:
                        batch.failed = True
                for batch in mine:
                    batch.written.set()
            if ended:
                return

    def _tell(self, connection: str, why: str) -> None:
        """Say why requests are refused, once a minute: whoever forges them does not fill the log."""
        now = self._clock()
        if now - self._told.get(connection, datetime.min.replace(tzinfo=now.tzinfo)) >= _TOLD_EVERY:
            self._told[connection] = now
            log.warning("hint_refused", connection=connection, reason=why)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, bind: tuple[str, int], receiver: Receiver) -> None:
        self.receiver = receiver
        self._since: dict[Any, float] = {}
        self.address_family = AF_INET6 if ":" in bind[0] else AF_INET
        super().__init__(bind, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._since) >= MOST_AT_ONCE:
            super().shutdown_request(request)
            return
        self._since[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Several times a second: hang up on whoever takes too long."""
        late = time.monotonic() - LONGEST_REQUEST_SECONDS
        for request, since in list(self._since.items()):
            if since < late:
                with suppress(OSError):
                    request.shutdown(SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is normal here; anything else is a mistake of ours."""
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("request_failed", error=type(error).__name__, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "referee"
    sys_version = ""
    timeout = LONGEST_REQUEST_SECONDS

    def do_POST(self) -> None:
        """Judge what was posted."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            self._answer(HTTPStatus.LENGTH_REQUIRED)
        elif len(length) > 9 or int(length) > LARGEST_BODY:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            body = self.rfile.read(int(length))
            if len(body) < int(length):
                self.close_connection = True
                return
            receiver = cast(_Server, self.server).receiver
            self._answer(receiver.judge(self.path, self.command, dict(self.headers.items()), body))

    def _refuse(self) -> None:
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED)

    do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse

    def _answer(self, status: HTTPStatus) -> None:
        """An answer without a body, after which the connection ends: an idle one would take a place."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "POST")
        self.close_connection = True
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: requests may hold what must not be logged."""
