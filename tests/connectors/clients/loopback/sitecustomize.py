"""Runs first in an independent client's process: its ``requests``, or its ``aiohttp``, reach the simulator, nothing leaves
the machine.

The client itself stays as published. It calls the vendor's hosts and signs for them; only the connection under it
goes to ``SIMULATOR_URL``, with the host that was meant in the Host header.
"""

import ipaddress
import os
import socket
import sys
from urllib.parse import urlsplit, urlunsplit

try:
    from requests.adapters import HTTPAdapter
except ImportError:
    HTTPAdapter = None
try:
    from aiohttp import TCPConnector
except ImportError:
    TCPConnector = None

_SIMULATOR = urlsplit(os.environ["SIMULATOR_URL"])


def _redirected(adapter, request, *arguments, **options):
    meant = urlsplit(request.url)
    sent = request.copy()
    sent.url = urlunsplit((_SIMULATOR.scheme, _SIMULATOR.netloc, meant.path, meant.query, ""))
    sent.headers["Host"] = meant.netloc
    response = _send(adapter, sent, *arguments, **options)
    response.request, response.url = request, request.url
    return response


async def _resolved(connector, host, port, traces=None):
    """aiohttp goes on to believe in the host it meant, and keeps its cookies."""
    where = {"host": _SIMULATOR.hostname, "port": _SIMULATOR.port, "family": socket.AF_INET, "proto": 0, "flags": 0}
    return [{"hostname": host, **where}]


def _is_loopback(host):
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _guard(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        host = arguments[1][0] if isinstance(arguments[1], tuple) else None  # a path: a socket file
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host and not _is_loopback(host):
        print(f"a client under test called {host}; it may call 127.0.0.1 only", file=sys.stderr, flush=True)
        os._exit(70)  # an exception would be caught and retried


if HTTPAdapter is not None:
    _send, HTTPAdapter.send = HTTPAdapter.send, _redirected
if TCPConnector is not None:
    TCPConnector._resolve_host = _resolved
    TCPConnector._get_ssl_context = lambda connector, request: None  # the simulator speaks http
sys.addaudithook(_guard)
