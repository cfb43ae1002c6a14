"""Base of every system's simulator: a real HTTP/1.1 server on 127.0.0.1, a journal of applied writes, and faults.

A simulator is the oracle of the tests: what its :class:`Journal` holds is what the system did, whatever
the client believes. Its clock is passed in, so stamps, tokens and windows follow simulated time.
"""

from __future__ import annotations

import socket
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, cast

import orjson
from requests.structures import CaseInsensitiveDict

from connectors.faults import Fault, FaultKind, Faults, SimRequest, SimResponse
from connectors.journal import Action, AppliedWrite, Journal

__all__ = [
    "Action",
    "AppliedWrite",
    "Fault",
    "FaultKind",
    "Faults",
    "Journal",
    "SimRequest",
    "SimResponse",
    "Simulator",
]


class Simulator:
    """A system on loopback; subclasses override :meth:`handle` and, for counting, :meth:`route`.

    ``handle`` is called under ``lock``, one request at a time. An exception in it is a bug of the
    simulator: it is kept in ``crashes`` and answered as 500 with the traceback.
    """

    def __init__(
        self, *, now: Callable[[], datetime] | None = None, port: int = 0, journal_path: Path | None = None
    ) -> None:
        self.now: Callable[[], datetime] = now or (lambda: datetime.now(UTC))
        self.lock = threading.RLock()
        self.faults = Faults()
        self.journal = Journal(lambda: self.now(), journal_path)
        self.requests: Counter[tuple[str, str]] = Counter()
        self.crashes: list[Exception] = []
        self.public_url: str | None = None
        """The address by which clients reach it, when that is not its own port (a proxy)."""
        self._port = port
        self._server: _Server | None = None

    def handle(self, request: SimRequest) -> SimResponse:
        """Carry one request out and answer it."""
        return SimResponse.json({"error": f"{type(self).__name__} has no {request.method} {request.path}"}, 404)

    def route(self, request: SimRequest) -> str:
        """The name under which a request is counted in ``requests``; the path unless overridden."""
        return request.path

    @property
    def total_requests(self) -> int:
        """Requests that arrived, faults included."""
        with self.lock:
            return self.requests.total()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``; the port stays the same over stop and start. ``public_url`` when that is set."""
        if self.public_url is not None:
            return self.public_url
        if not self._port:
            raise RuntimeError(f"{type(self).__name__} has no address yet: call start() or give it a port")
        return f"http://127.0.0.1:{self._port}"

    def settings(self) -> dict[str, Any]:
        """Settings of a connection to this system, with a login of its own; needs an address."""
        return {"url": self.url}

    def start(self) -> Self:
        """Listen; returns itself."""
        server = _Server(("127.0.0.1", self._port), self)
        self._port, self._server = server.server_port, server
        threading.Thread(target=server.serve_forever, args=(0.02,), name=type(self).__name__, daemon=True).start()
        return self

    def stop(self) -> None:
        """Close the listener and every open connection; what was stored stays, so it can start again."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def answer(self, request: SimRequest) -> tuple[SimResponse | None, FaultKind | None]:
        """What happens to a request: the response (``None``: none is sent) and the fault that hit it."""
        with self.lock:
            self.requests[request.method, self.route(request)] += 1
            fault = self.faults.next_for(request)
            kind = fault.kind if fault else None
            if fault and (kind == "drop" or kind == "answer"):
                return fault.response, kind
            try:
                response = self.handle(request)
            except Exception as crash:  # noqa: BLE001 - a dropped connection would look like a fault to retry
                self.crashes.append(crash)
                response = SimResponse.text(traceback.format_exc(), 500)
        return (None if kind in ("lose_answer", "hang") else response), kind


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was first

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is normal here; nothing is printed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 65536

    def _serve(self) -> None:
        simulator = cast(_Server, self.server).simulator
        path, _, raw_query = self.path.partition("?")
        headers = CaseInsensitiveDict(self.headers.items())
        body = self._body()
        if len(body) < int(self.headers.get("Content-Length") or 0):  # the client went away: not a whole request
            self.close_connection = True
            return
        request = SimRequest(self.command, path, raw_query, headers, body, simulator.url)
        response, fault = simulator.answer(request)
        if response is None:
            self.close_connection = True
            if fault == "hang":
                self.rfile.read(1)  # returns when the client closes its side
            return
        self._send(simulator, response, truncated=fault == "truncate")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _serve

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, simulator: Simulator, response: SimResponse, *, truncated: bool) -> None:
        body = response.body if isinstance(response.body, bytes) else orjson.dumps(response.body, default=str)
        headers = {"Date": format_datetime(simulator.now().astimezone(UTC), usegmt=True), **response.headers}
        if body and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        if response.status != HTTPStatus.NO_CONTENT:
            headers.setdefault("Content-Length", str(len(body)))
        phrase = HTTPStatus(response.status).phrase if response.status in list(HTTPStatus) else ""
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if truncated:
            body, self.close_connection = body[: len(body) // 2], True
        if self.command == "HEAD" or response.status == HTTPStatus.NO_CONTENT:
            body = b""
        self.wfile.write(f"HTTP/1.1 {response.status} {phrase}\r\n{head}\r\n".encode("latin-1") + body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: tests read ``requests`` and the journal."""
