"""Settings of one HubSpot connection."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class HubSpotConfig(BaseModel):
    """Settings of one HubSpot connection; unknown keys are refused.

    Two logins: ``token`` (the access token of a service key or private app) and ``oauth`` (``client_id``,
    ``client_secret`` and the ``refresh_token`` that an installation of the app gave).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field("https://api.hubapi.com", description="another address only for a simulator")
    auth: Literal["token", "oauth"] = "token"
    access_token: SecretStr | None = Field(None, description="token: of the service key or private app")
    client_id: str | None = Field(None, description="oauth: of the app")
    client_secret: SecretStr | None = Field(None, description="oauth: of the app")
    refresh_token: SecretStr | None = Field(None, description="oauth: of this portal's installation")
    webhook_secret: SecretStr | None = Field(
        None, description="client secret of the app whose webhooks we receive; with oauth client_secret when absent"
    )
    api_version: str = Field("2026-03", pattern=r"^\d{4}-\d{2}(-beta)?$", description="date-based API version")
    lag_seconds: int = Field(60, ge=0, le=3600, description="changes younger than this wait for the next run")
    settle_seconds: int = Field(
        3600, ge=0, le=86_400, description="age at which a window is searched once more, when its index is complete"
    )
    overlap_seconds: int = Field(300, ge=0, le=86_400, description="how far each window reaches into the one before")
    archived_minutes: int = Field(60, ge=0, le=1440, description="how often archived records are listed; 0: each run")
    sweep_hours: int = Field(
        168, ge=0, le=2160, description="how often everything is listed anew, past the search index; 0: never"
    )
    association_hours: int = Field(
        24, ge=0, le=2160, description="the same for objects of which associations are read; 0: as the others"
    )
    page_size: int = Field(100, ge=1, le=100, description="records a page")
    write_size: int = Field(100, ge=1, le=100, description="records a write call")
    longest_address: int = Field(
        8000, ge=1000, le=14_000, description="characters; longer property lists are read in batches"
    )
    quota_share: float = Field(0.8, gt=0, le=1, description="our share of the daily calls")
    timeout_seconds: float = Field(60.0, gt=0, le=600)
    allow_loopback: bool = Field(False, description="for a simulator on this machine")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"token": ("access_token",), "oauth": ("client_id", "client_secret", "refresh_token")}[self.auth]
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"auth: {self.auth} needs {', '.join(missing)}")
        return self
