"""Errors of connectors, named by what the caller does next.

Vendor errors are translated at the connector's edge. A message holds the system, the status, the vendor's
error code and the request id; never the response body, a token or personal data.
"""

from __future__ import annotations


class ConnectorError(Exception):
    """Base of everything a connector raises on purpose."""

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class RetryLater(ConnectorError):
    """Attempts are used up for now; the runner tries again after ``retry_after_seconds``."""

    def __init__(
        self, message: str, *, retry_after_seconds: float, code: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(message, code=code, status=status)
        self.retry_after_seconds = retry_after_seconds


class QuotaSpent(RetryLater):
    """The system's daily quota, or our share of it, is used up: park until it resets."""


class CursorExpired(ConnectorError):
    """The cursor is not accepted any more; the next run reads from the start."""


class WindowTooLarge(ConnectorError):
    """The query timed out or its result is too large; ask for less (bisect) and never skip."""


class VersionConflict(ConnectorError):
    """The record changed since it was read; plan again from fresh state."""


class RecordRejected(ConnectorError):
    """This record will not be accepted as it is; park it and go on."""


class AnswerLost(ConnectorError):
    """The request may have been carried out but no answer came; read back before doing anything else."""


class NeedsOperator(ConnectorError):
    """A person must do something (login, permission, retired version); the connection pauses."""


class RefreshRefused(NeedsOperator):
    """The system does not take this refresh token (any more); the credentials beside it are not in question."""


class HintRefused(ConnectorError):
    """A request that is not from the system, is too old, or is not in its form: nothing of it is believed."""
