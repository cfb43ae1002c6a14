"""Settings of notifications: by which way they go out, from whom, and what each partner wishes (CN-76)."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from jobs.notification.addresses import mail_address
from rules.notices import FIELDS

_DAYS = re.compile(r"[1-9][0-9]{0,3}d")


class SmtpSettings(BaseModel):
    """The mail server that notifications go out by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1)
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: SecretStr | None = None
    timeout_seconds: float = Field(20, gt=0, le=120)

    @model_validator(mode="after")
    def _no_secret_in_the_clear(self) -> SmtpSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password together, or neither")
        if self.security == "none" and self.username is not None and self.host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("security starttls or tls with a username: the password would be read on the way")
        return self


class Preferences(BaseModel):
    """What a partner wishes to be told, how often, where and in which language (CN-76)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    off: bool = Field(False, description="nothing is sent")
    without: tuple[str, ...] = Field((), description="kinds that are not sent")
    every: Literal["message", "day", "week"] = Field(
        "message", description="each by itself, or together once a day or on Mondays"
    )
    language: str | None = Field(None, description="one of `texts`")
    address: str | None = Field(None, description="instead of the partner's own address")

    @field_validator("without")
    @classmethod
    def _kinds(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for kind in value:
            if kind not in FIELDS:
                raise ValueError(f"kinds of notifications: {', '.join(FIELDS)}")
        return value

    @field_validator("address")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else mail_address(value)


class NotificationSettings(BaseModel):
    """How people are told what the clauses say they are told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel: Literal["none", "folder", "smtp"] = Field("none", description="none: they are kept and nothing is sent")
    folder: str = Field("notifications", description="for the channel folder: where the .eml files go")
    smtp: SmtpSettings | None = None
    sender: str | None = Field(None, description="address that messages come from")
    reply_to: str | None = None
    max_age: str = Field("14d", description="older news is not sent any more")
    most_at_once: int = Field(200, ge=1, description="messages of one run; the rest waits for the next")
    link: str | None = Field(None, description="shown below each; with {program}, {kind}, {about} or {key}")
    vendor: dict[str, str] = Field(default_factory=dict, description="addresses by role or manager's name; `default`")
    partners: dict[str, Preferences] = Field(default_factory=dict, description="by partner's id; `default`")
    texts: dict[str, str] = Field(default_factory=dict, description="language → file with words in it")

    @field_validator("max_age")
    @classmethod
    def _days(cls, value: str) -> str:
        if not _DAYS.fullmatch(value):
            raise ValueError("whole days, such as 14d")
        return value

    @field_validator("sender", "reply_to")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else mail_address(value)

    @field_validator("vendor")
    @classmethod
    def _addresses(cls, value: dict[str, str]) -> dict[str, str]:
        return {name: mail_address(address) for name, address in value.items()}

    @field_validator("link")
    @classmethod
    def _link(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s<>\"]+", value):
            raise ValueError("an address such as https://partners.example/{program}/{about}")
        return value

    @model_validator(mode="after")
    def _whole(self) -> NotificationSettings:
        if self.channel != "none" and self.sender is None:
            raise ValueError("a sender, such as partners@vendor.example, with this channel")
        if self.channel == "smtp" and self.smtp is None:
            raise ValueError("smtp with host and port, with the channel smtp")
        for name, wishes in self.partners.items():
            if wishes.language is not None and wishes.language not in self.texts:
                raise ValueError(f"for partners.{name} a language of texts: {', '.join(self.texts) or 'there is none'}")
        return self

    @property
    def max_days(self) -> int:
        """The days of ``max_age``."""
        return int(self.max_age[:-1])

    def wishes_of(self, partner: str) -> Preferences:
        """A partner's own wishes, else those of ``default``."""
        return self.partners.get(partner) or self.partners.get("default") or Preferences.model_validate({})
