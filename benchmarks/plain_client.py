"""simple-salesforce as a contestant of benchmarks."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit


def simple_salesforce_client(url: str) -> Any:
    """A client of the server at ``url``, which speaks http where the library writes https."""
    import requests
    from requests.adapters import HTTPAdapter
    from simple_salesforce import Salesforce

    class Plain(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:
            request.url = "http" + str(request.url).removeprefix("https")
            return super().send(request, **more)

    session = requests.Session()
    session.mount("https://", Plain())
    return Salesforce(instance=urlsplit(url).netloc, session_id="bench", version="62.0", session=session)
