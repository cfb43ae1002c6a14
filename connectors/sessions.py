"""A ``requests`` session for vendor libraries: whatever they call goes through the connector's own loop."""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from connectors.http import Http
    from connectors.retries import Timeout


class HttpSession(requests.Session):
    """A ``requests`` session whose requests go through :class:`Http`; environment, cookies and redirects are off."""

    def __init__(self, http: Http, ca_file: str | None = None) -> None:
        super().__init__()
        self._http = http
        self._trusted = ca_file or True
        self.trust_env = False  # no netrc login, no proxy of the environment: an address is what was configured
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.headers["User-Agent"] = "referee"

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """As ``requests.Session.request``; a POST is taken as not repeatable unless ``idempotent=True`` is given."""
        verb = (method.decode() if isinstance(method, bytes) else method).upper()
        idempotent = kwargs.pop("idempotent", verb != "POST")
        timeout_seconds = kwargs.pop("timeout", None)
        for ours in ("allow_redirects", "proxies", "stream", "verify", "cert"):
            kwargs.pop(ours, None)
        fields = dict(zip(("params", "data", "headers"), args, strict=False)) | kwargs
        address = self._http.as_configured(url.decode() if isinstance(url, bytes) else url)
        prepared = self.prepare_request(requests.Request(verb, address, **fields))
        return self._http.send(prepared, idempotent=idempotent, timeout_seconds=timeout_seconds)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """As :meth:`request`, for a request that is already prepared."""
        return self._http.send(request, idempotent=request.method != "POST", timeout_seconds=kwargs.get("timeout"))

    def transmit(self, request: requests.PreparedRequest, timeout_seconds: Timeout) -> requests.Response:
        """Send once, as it is; the body is left to be read."""
        return super().send(
            request, timeout=timeout_seconds, allow_redirects=False, stream=True, verify=self._trusted, proxies={}
        )
