"""Settings of one Tryton connection."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class TrytonConfig(BaseModel):
    """Settings of one Tryton connection; unknown keys are refused.

    ``auth``: ``session`` logs in once and sends the session's token; ``basic`` sends the password with every request,
    which the server hashes each time. Both use the same user and password.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="address of the server, such as https://tryton.example.com")
    database: str = Field(description="name of the database, as the login window lists it")
    user: str = Field(description="login of the integration user")
    password: SecretStr
    auth: Literal["session", "basic"] = "session"
    company: int | None = Field(None, ge=1, description="id of the company to work in; default: the user's own")
    concurrency: int = Field(2, ge=1, le=20, description="requests at a time")
    page_size: int = Field(
        500, ge=1, le=1000, description="records a request; at most half of the server's [request] records_limit"
    )
    overlap_seconds: int = Field(
        900,
        ge=5,
        le=86_400,
        description="how far each run looks back before the last one: longest transaction and skew",
    )
    deleted_records: bool = Field(True, description="find deleted records by comparing ids")
    deleted_hours: int = Field(24, ge=0, le=720, description="how often ids are compared; 0: with every read")
    allow_loopback: bool = Field(False, description="for a server on this machine")
    timeout_seconds: float = Field(60.0, gt=0, le=900, description="per request; the server's own limit is 60")

    @field_validator("database")
    @classmethod
    def _database(cls, value: str) -> str:
        if not re.fullmatch(r"[^/\s?#%]{1,63}", value):
            raise ValueError("must be the name of a database, without slashes and spaces")
        return value
