"""Settings of one Salesforce connection."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class SalesforceConfig(BaseModel):
    """Settings of one Salesforce connection; unknown keys are refused.

    Only flows without a password: client credentials (``client_secret``) or JWT bearer (``private_key`` and
    ``username``). Passwords and SOAP logins end with API 65.0 and are not offered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="My Domain address, https://NAME.my.salesforce.com")
    client_id: str = Field(min_length=1, description="consumer key of the External Client App")
    client_secret: SecretStr | None = Field(default=None, description="consumer secret, for auth: client_credentials")
    private_key: SecretStr | None = Field(default=None, description="PEM private key, for auth: jwt_bearer")
    username: str | None = Field(default=None, description="integration user, for auth: jwt_bearer")
    auth: Literal["client_credentials", "jwt_bearer"] = "client_credentials"
    audience: str = Field(
        default="https://login.salesforce.com", description="https://test.salesforce.com for a sandbox"
    )
    api_version: float = Field(default=62.0, gt=30, description="Salesforce answers 410 up to 30.0")
    lag_seconds: int = Field(default=300, ge=0, le=3600, description="changes younger than this wait for the next run")
    overlap_seconds: int = Field(
        default=900, ge=0, le=86_400, description="how far each run looks back before the last one"
    )
    page_size: int = Field(default=2000, ge=200, le=2000, description="rows a page, as a hint")
    write_size: int = Field(default=200, ge=1, le=200, description="records a write call")
    longest_query: int = Field(default=10_000, ge=1000, le=14_000, description="characters of a query in the address")
    bulk_read_rows: int | None = Field(
        default=50_000, ge=0, description="rows still to come from which a query job reads them; null: never"
    )
    bulk_write_rows: int | None = Field(
        default=2_000, ge=0, description="records of one object from which a job writes them; null: never"
    )
    bulk_page_size: int = Field(default=8_000, ge=1, le=250_000, description="rows of a part of a query job's results")
    bulk_read_wait_seconds: int = Field(default=3600, ge=1, le=86_400, description="how long a query job may take")
    bulk_write_wait_seconds: int = Field(default=600, ge=1, le=840, description="how long a writing job may take")
    quota_share: float = Field(default=0.8, gt=0, le=1, description="our share of the org's daily API requests")
    covered_check: bool = Field(default=False, description="ask /updated once a read how far changes are complete")
    change_events: bool = Field(
        default=False, description="listen to Change Data Capture, and read at once what it names"
    )
    change_channel: str = Field(
        default="/data/ChangeEvents", pattern=r"^/data/\w+$", description="of all selected objects, or one of your own"
    )
    auto_assign: bool = Field(default=False, description="let assignment rules act on leads and cases that we write")
    save_duplicates: bool = Field(default=False, description="write although a duplicate rule warns")
    timeout_seconds: float = Field(default=60.0, gt=0, le=600)
    allow_loopback: bool = Field(default=False, description="for a simulator on this machine")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.auth == "client_credentials" and self.client_secret is None:
            raise ValueError("auth: client_credentials needs client_secret")
        if self.auth == "jwt_bearer" and (self.private_key is None or self.username is None):
            raise ValueError("auth: jwt_bearer needs private_key and username")
        return self

    @property
    def version_path(self) -> str:
        """``/services/data/v62.0``."""
        return f"/services/data/v{self.api_version:.1f}"
