"""The proxy does what its troubles say: what reached the system, and what the client was told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from connectors.simulation import SimRequest, SimResponse, Simulator
from tests.faults.proxy import FaultProxy, Trouble


class Echo(Simulator):
    """Answers with what it was given, and remembers it."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[str] = []

    def handle(self, request: SimRequest) -> SimResponse:
        self.given.append(request.body.decode())
        return SimResponse.json({"number": len(self.given), "given": request.body.decode() * 100})


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as started:
        yield started


@pytest.mark.parametrize(
    ("trouble", "told", "reached"),
    [
        ("refuse", None, ["next"]),
        ("cut_request", None, ["next"]),
        ("lose", None, ["first", "next"]),
        ("cut_answer", None, ["first", "next"]),
        ("trickle", 1, ["first", "next"]),
        ("twice", 2, ["first", "first", "next"]),
        ("late", None, ["next", "first"]),
        (None, 1, ["first", "next"]),
    ],
)
def test_a_trouble_hits_one_request(echo: Echo, trouble: Trouble | None, told: int | None, reached: list[str]) -> None:
    left = [trouble]
    port = int(echo.url.rpartition(":")[2])
    with FaultProxy(port, lambda request: left.pop() if left else None) as proxy, requests.Session() as session:
        try:
            heard = session.post(proxy.url, data="first").json()["number"]
        except requests.RequestException:
            heard = None
        assert session.post(proxy.url, data="next").json()["given"] == "next" * 100
        assert proxy.hit[trouble or "none"] >= 1
    assert (heard, echo.given) == (told, reached)
