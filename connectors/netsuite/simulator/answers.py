"""Answers in the vendor's form: typed errors with ``o:errorDetails``."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.simulation import SimResponse

_TYPE = "https://www.rfc-editor.org/rfc/rfc9110.html#section-15.5."
_TITLES = {400: ("1", "Bad Request"), 401: ("2", "Unauthorized"), 403: ("4", "Forbidden"), 404: ("5", "Not Found"),
           405: ("6", "Method Not Allowed"), 409: ("10", "Conflict"), 415: ("16", "Unsupported Media Type"),
           429: ("30", "Too Many Requests")}  # fmt: skip


class Refused(Exception):
    """A request that the account does not carry out."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        path: str | None = None,
        header: str | None = None,
        parameter: str | None = None,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        section, standard = _TITLES.get(status, ("1", "Internal Server Error"))
        problem = {"detail": detail, "o:errorCode": code}
        for name, value in (
            ("o:errorPath", path),
            ("o:errorHeader", header),
            ("o:errorQueryParam", parameter),
        ):
            if value is not None:
                problem[name] = value
        body = {
            "type": _TYPE + section,
            "title": title or standard,
            "status": status,
            "o:errorDetails": [problem],
        }
        kind = {
            "Content-Type": "application/vnd.oracle.resource+json; type=error",
            **(headers or {}),
        }
        self.response = SimResponse.json(body, status, kind)
