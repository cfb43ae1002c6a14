"""Servers of benchmarks: answers from a function, and in front of a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Said = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body of an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 20

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, content = self.server.answer(self.command, self.path, dict(self.headers), body)  # type: ignore[attr-defined]
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = _serve

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


class AnsweringServer(ThreadingHTTPServer):
    """Gives what ``answer`` says."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Said:
        """The answer to a request; ``path`` with its query."""
        raise NotImplementedError


class FrontServer(AnsweringServer):
    """Stands in front of a simulator."""

    def __init__(self, behind: str) -> None:
        import requests

        super().__init__()
        self._behind, self._session = behind, requests.Session()

    def passed_on(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Said:
        """What the simulator answers."""
        found = self._session.request(method, self._behind + path, headers=headers, data=body)
        return found.status_code, found.headers, found.content


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request that are sent on with it."""
    return {name: value for name, value in headers.items() if name not in ("Host", "Content-Length")}
