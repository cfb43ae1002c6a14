"""Settings of one NetSuite connection."""

from __future__ import annotations

import re
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator


class NetSuiteConfig(BaseModel):
    """Settings of one NetSuite connection; unknown keys are refused.

    Two logins: ``m2m`` (OAuth 2.0 client credentials with a certificate: ``client_id``, ``certificate_id``,
    ``private_key``) and ``tba`` (OAuth 1.0: ``consumer_key``, ``consumer_secret``, ``token_id``, ``token_secret``).
    NetSuite refuses new TBA integrations from release 2027.1 on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str = Field(description="account id as NetSuite shows it: 1234567, or 1234567_SB1 for a sandbox")
    base_url: str | None = Field(
        None, description="only for a simulator or a proxy; default: the account's own address"
    )
    auth: Literal["m2m", "tba"] = "m2m"
    client_id: str | None = Field(None, description="m2m: client id of the integration record")
    certificate_id: str | None = Field(None, description="m2m: certificate id of the mapping")
    private_key: SecretStr | None = Field(None, description="m2m: PEM private key of the certificate")
    algorithm: Literal["PS256", "PS384", "PS512", "ES256", "ES384", "ES512"] = "PS256"
    consumer_key: SecretStr | None = Field(None, description="tba")
    consumer_secret: SecretStr | None = Field(None, description="tba")
    token_id: SecretStr | None = Field(None, description="tba")
    token_secret: SecretStr | None = Field(None, description="tba")
    concurrency: int = Field(2, ge=1, le=20, description="requests at a time; the limit is shared by the whole account")
    lag_seconds: int = Field(300, ge=0, le=3600, description="changes younger than this wait for the next run")
    overlap_seconds: int = Field(900, ge=0, le=86_400, description="how far each run looks back before the last one")
    page_size: int = Field(1000, ge=1, le=1000, description="records per query")
    server_zone: str | None = Field(
        None, description="IANA zone of the integration user; needed for exact instants unless that user is on GMT"
    )
    deleted_records: bool = Field(True, description="read deletions; needs the Deleted Records permission")
    open_invoice_hours: int = Field(24, ge=0, le=720, description="how often open invoices are re-read whole; 0: never")
    allow_loopback: bool = Field(False, description="for a simulator on this machine")
    timeout_seconds: float = Field(120.0, gt=0, le=900, description="per request; NetSuite itself gives up after 900")

    @field_validator("account")
    @classmethod
    def _account(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9]+([_-][A-Za-z0-9]+)?", value):
            raise ValueError("must look like 1234567 or 1234567_SB1")
        return value

    @field_validator("server_zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        try:
            return ZoneInfo(value).key if value is not None else None
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is not an IANA time zone such as America/Los_Angeles") from error

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {
            "m2m": ("client_id", "certificate_id", "private_key"),
            "tba": ("consumer_key", "consumer_secret", "token_id", "token_secret"),
        }[self.auth]
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"auth: {self.auth} needs {', '.join(missing)}")
        return self

    @property
    def url(self) -> str:
        """The address that is called: in host names the account is lower case with a hyphen."""
        host = self.account.lower().replace("_", "-")
        return (self.base_url or f"https://{host}.suitetalk.api.netsuite.com").rstrip("/")

    @property
    def realm(self) -> str:
        """The account as OAuth 1.0 wants it: upper case with an underscore."""
        return self.account.upper().replace("-", "_")
