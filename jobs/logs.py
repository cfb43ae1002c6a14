"""Logs: past-tense events with fields, on standard error. What is or could be a secret is masked, wherever it stands."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any

import structlog

MASK = "***"
SHORTEST_SECRET = 6
"""Shorter values of settings are not looked for in other texts: they would be found in ordinary words."""
_SECRET = ("token", "secret", "password", "authorization", "assertion", "signature", "private_key", "cookie")
_CREDENTIALS = re.compile(r"\b(Bearer|Basic|OAuth)\s+[^\s,;]+", re.IGNORECASE)


def set_up_logs(style: str, level: str, secrets: Collection[str] = ()) -> None:
    """Send events to standard error as lines for people (``console``) or JSON; ``secrets`` are masked in every text."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    last: Any = structlog.processors.JSONRenderer() if style == "json" else plain
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            Masking(secrets),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


class Masking:
    """A processor that masks fields named like secrets, credentials of HTTP headers, and known secrets in any text."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        known = sorted({each for each in secrets if len(each) >= SHORTEST_SECRET}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, _logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The event, masked."""
        return {key: self._masked(key, value) for key, value in event.items()}

    def _masked(self, key: str, value: Any) -> Any:
        if any(word in key.lower() for word in _SECRET) and key != "event":
            return MASK
        if isinstance(value, Mapping):
            return {str(name): self._masked(str(name), one) for name, one in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._masked("", one) for one in value]
        if value is None or isinstance(value, (bool, int, float)):
            return value
        text = _CREDENTIALS.sub(rf"\1 {MASK}", str(value))
        return self._known.sub(MASK, text) if self._known is not None else text
