"""Runs first in an independent client's process: its ``requests`` reach the simulator, nothing leaves the machine.

The client itself stays as published. It calls the vendor's hosts and signs for them; only the connection under it
goes to ``SIMULATOR_URL``, with the host that was meant in the Host header.
"""

import ipaddress
import os
import sys
from urllib.parse import urlsplit, urlunsplit

from requests.adapters import HTTPAdapter

_SIMULATOR = urlsplit(os.environ["SIMULATOR_URL"])
_send = HTTPAdapter.send


def _redirected(adapter, request, *arguments, **options):
    meant = urlsplit(request.url)
    sent = request.copy()
    sent.url = urlunsplit((_SIMULATOR.scheme, _SIMULATOR.netloc, meant.path, meant.query, ""))
    sent.headers["Host"] = meant.netloc
    response = _send(adapter, sent, *arguments, **options)
    response.request, response.url = request, request.url
    return response


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


HTTPAdapter.send = _redirected
sys.addaudithook(_guard)
