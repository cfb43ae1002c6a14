"""A TCP proxy between a connection and a system that does to requests and answers what networks do. Nothing waits.

It knows just enough of HTTP/1.1 to see where a message ends, so that a fault hits one whole request. What the system
behind it carried out is in the system's journal, whatever the client was told.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from typing import Literal, Self, get_args

Trouble = Literal["refuse", "cut_request", "lose", "cut_answer", "trickle", "twice", "late"]
"""
``refuse``: the connection is reset before anything reaches the system. ``cut_request``: half of its body reaches it.
``lose``: carried out, then reset without an answer. ``cut_answer``: reset after half of the answer. ``trickle``: the answer
comes in many small pieces. ``twice``: the request reaches the system two times; the second answer is passed on.
``late``: the client is reset, and the request reaches the system only after the next one has been answered.
"""

TROUBLES: tuple[Trouble, ...] = get_args(Trouble)
SHARE = 0.3
"""Of all requests, so many meet trouble."""
OUTAGE = (10, 30)
"""Before that, so many writes in a row do: more than a connection tries, so that outcomes are left open."""
_RESET = struct.pack("ii", 1, 0)


def bad_network(
    kinds: tuple[Trouble, ...], chance: random.Random, writes: Callable[[bytes], bool]
) -> Callable[[bytes], Trouble | None]:
    """An outage for what ``writes`` says of a request, then trouble for a share of all."""
    left = chance.randint(*OUTAGE)

    def choose(request: bytes) -> Trouble | None:
        nonlocal left
        writing = writes(request)
        left -= writing
        return chance.choice(kinds) if (writing and left >= 0) or chance.random() < SHARE else None

    return choose


class FaultProxy:
    """Forwards to a port of this machine; ``choose`` says what happens to a request."""

    def __init__(self, port: int, choose: Callable[[bytes], Trouble | None]) -> None:
        self.choose = choose
        self.hit: Counter[str] = Counter()
        """How often each trouble happened."""
        self._upstream = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._lock = threading.Lock()
        self._late: list[bytes] = []

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def deliver_late(self) -> None:
        """Let the system have every request that is still held back."""
        with self._lock:
            late, self._late = self._late, []
        for request in late:
            self.send(request)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as incoming:
            try:
                while request := _message(incoming.readline, incoming.read):
                    if not self._answer(client, request):
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                        return
            except OSError:
                return  # the client went away

    def _answer(self, client: socket.socket, request: bytes) -> bool:
        """Do to one request what is chosen; false when the connection is to be reset."""
        with self._lock:
            trouble = self.choose(request)
            self.hit[trouble or "none"] += 1
            if trouble == "late":
                self._late.append(request)
        if trouble in ("refuse", "late"):
            return False
        if trouble == "cut_request":
            with socket.create_connection(self._upstream) as system:
                head, body = request.index(b"\r\n\r\n") + 4, len(request)
                system.sendall(request[: (head + body) // 2 if body > head else 2])
            return False
        answer = self.send(request)
        if trouble == "twice":
            answer = self.send(request)
        self.deliver_late()
        if trouble == "lose":
            return False
        if trouble == "cut_answer":
            client.sendall(answer[: len(answer) // 2])
            return False
        for piece in _pieces(answer, 7) if trouble == "trickle" else (answer,):
            client.sendall(piece)
        return True

    def send(self, request: bytes) -> bytes:
        """Give the system a request over a connection of its own, and take its whole answer."""
        with socket.create_connection(self._upstream) as system, system.makefile("rb") as incoming:
            system.sendall(request)
            return _message(incoming.readline, incoming.read)


def _message(line: Callable[[], bytes], read: Callable[[int], bytes]) -> bytes:
    """One whole HTTP message; empty at the end of the connection."""
    parts, length, chunked, bodiless = [line()], 0, False, False
    if not parts[0]:
        return b""
    bodiless = parts[0].startswith((b"HTTP/1.1 204", b"HTTP/1.1 304"))
    while (header := line()) not in (b"\r\n", b""):
        parts.append(header)
        name, _, value = header.decode("latin-1").partition(":")
        if name.lower() == "content-length":
            length = int(value)
        if name.lower() == "transfer-encoding":
            chunked = "chunked" in value.lower()
    parts.append(b"\r\n")
    if bodiless:
        return b"".join(parts)
    while chunked:
        parts.append(line())
        size = int(parts[-1].partition(b";")[0], 16)
        parts.append(read(size + 2))
        chunked = size > 0
    return b"".join((*parts, read(length) if length else b""))


def _pieces(data: bytes, number: int) -> list[bytes]:
    size = max(len(data) // number, 1)
    return [data[start : start + size] for start in range(0, len(data), size)]
