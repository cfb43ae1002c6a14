"""Addresses: nothing but the configured public host is ever called, in whatever spelling it is asked for."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from connectors.addresses import checked_base_url, is_public
from connectors.errors import NeedsOperator, RetryLater
from connectors.http import Http, RetryPolicy

PRIVATE = ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
           "192.168.0.0/16", "224.0.0.0/4", "240.0.0.0/4"]  # fmt: skip


def in_networks(networks: list[str]) -> st.SearchStrategy[ipaddress.IPv4Address]:
    return st.one_of([st.ip_addresses(network=network) for network in networks])  # type: ignore[misc]


def spellings(ip: ipaddress.IPv4Address) -> list[str]:
    """Every way in which the C library lets an address be written."""
    number, parts = int(ip), ip.packed
    return [
        str(ip),
        str(number),
        hex(number),
        f"0{number:o}",
        ".".join(f"0{part:o}" for part in parts),
        ".".join(hex(part) for part in parts),
        f"{parts[0]}.{number & 0xFFFFFF}",
        f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
        f"[::ffff:{ip}]",
        f"[64:ff9b::{parts[0]:02x}{parts[1]:02x}:{parts[2]:02x}{parts[3]:02x}]",
        f"[2002:{parts[0]:02x}{parts[1]:02x}:{parts[2]:02x}{parts[3]:02x}::1]",
        *(
            f"[{wrap}{parts[0]:02x}{parts[1]:02x}:{parts[2]:02x}{parts[3]:02x}]"
            for wrap in ("::", "::ffff:0:", "64:ff9b:1::")
        ),
    ]


@given(in_networks(PRIVATE), st.data())
def test_private_addresses_are_refused_in_every_spelling(ip: ipaddress.IPv4Address, data: Any) -> None:
    host = data.draw(st.sampled_from(spellings(ip)))
    with pytest.raises(NeedsOperator):
        Http(f"https://{host}", system="acme")


@pytest.mark.parametrize(
    "host",
    [
        "[::1]",
        "[fe80::1]",
        "[fc00::1]",
        "[fec0::1]",
        "[::]",
        "[ff02::1]",
        "[3fff::1]",
        "localhost",
        "a.localhost",
        "localhost.",
    ],
)
def test_other_inner_hosts_are_refused(host: str) -> None:
    with pytest.raises(NeedsOperator, match="not a public address"):
        Http(f"https://{host}", system="acme")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://crm.example.com", "only https"),
        ("ftp://crm.example.com", "only https"),
        ("https://user:s3cret@crm.example.com", "user part"),
        ("https://crm.example.com@127.0.0.1", "user part"),
        ("https://crm.example.com/?a=b", "must end before"),
        ("https://crm.example.com#x", "must end before"),
        ("https://", "no host"),
        ("crm.example.com", "no host"),
        ("https://crm.example.com:port", "cannot be read"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(url: str, why: str) -> None:
    with pytest.raises(NeedsOperator, match=why) as caught:
        Http(url, system="acme")
    assert "s3cret" not in str(caught.value)


def test_public_addresses_and_loopback_simulators_are_let_through() -> None:
    for url in ("https://crm.example.com", "https://crm.example.com:8443/base", "https://8.8.8.8"):
        checked_base_url(url, system="acme", allow_loopback=False)
    for url in ("http://127.0.0.1:8000", "http://localhost:8000", "https://[::1]:8000"):
        checked_base_url(url, system="acme", allow_loopback=True)
    with pytest.raises(NeedsOperator):
        checked_base_url("http://10.0.0.1", system="acme", allow_loopback=True)
    assert is_public(ipaddress.ip_address("2606:4700::1")) and is_public(ipaddress.ip_address("64:ff9b::808:808"))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/x",
        "https://crm.example.com.evil.example.com/",
        "https://crm.example.com:444/",
        "http://crm.example.com/",
        "https://crm.example.com@evil.example.com/",
        "https://user@crm.example.com/",
        "https://evil.example.com\\@crm.example.com/",
        "https://evil.example.com#@crm.example.com/",
    ],
)
def test_no_other_host_is_called(url: str) -> None:
    http = Http("https://crm.example.com", system="acme")
    with pytest.raises(NeedsOperator):
        http.call("GET", url)
    with pytest.raises(NeedsOperator):
        http.session.get(url)
    assert http.calls == 0


class Listener:
    """A port on loopback that notes the bytes it was sent."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.received: list[bytes] = []
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    stream = self._context.wrap_socket(connection, server_side=True) if self._context else connection
                    self.received.append(stream.recv(65536))
                    if self.received[-1]:
                        stream.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                except OSError:
                    continue

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[Listener]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    listener = Listener(context)
    yield listener
    listener.close()


def test_a_name_that_leads_inside_gets_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the name looked public when it was configured and resolves to loopback at connect time."""
    listener = Listener()
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", listener.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answer)
    http = Http("https://crm.example.com", system="acme", sleep=lambda seconds: None)
    with pytest.raises(NeedsOperator, match=r"led to 127\.0\.0\.1"):
        http.call("GET", "/", headers={"Authorization": "Bearer s3cret"})
    listener.close()
    assert listener.received in ([], [b""])
    assert http.calls == 1, "a forbidden address is not tried again"


def test_an_untrusted_certificate_needs_a_person(secure: Listener, certificate: tuple[Path, Path]) -> None:
    url = f"https://127.0.0.1:{secure.port}"
    http = Http(url, system="acme", allow_loopback=True)
    with pytest.raises(NeedsOperator, match="certificate of 127.0.0.1 is not trusted"):
        http.call("GET", "/")
    assert http.calls == 1 and not any(secure.received)
    assert Http(url, system="acme", allow_loopback=True, ca_file=str(certificate[0])).call("GET", "/").status == 204


def test_the_environment_sends_us_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy and no netrc login of the environment: both would hand a token to someone else."""
    proxy, listener = Listener(), Listener()
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    http = Http(f"http://127.0.0.1:{listener.port}", system="acme", allow_loopback=True)
    assert http.call("GET", "/x").status == 204
    proxy.close()
    listener.close()
    assert proxy.received == [] and b"Authorization" not in listener.received[0]


def test_a_host_that_cannot_be_found_is_tried_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    policy = RetryPolicy(attempts=2)
    http = Http("https://crm.example.com", system="acme", policy=policy, sleep=lambda seconds: None)
    with pytest.raises(RetryLater) as caught:
        http.call("POST", "/", idempotent=False)
    assert type(caught.value) is RetryLater and http.calls == 2
