"""Settings of an installation: `referee.yaml`, read once and checked before the first request.

Secrets are not in the file: a value may be ``${NAME}`` (environment, or the `.env` file beside the settings),
``${file:PATH}`` (the text of a file) or ``${keyring:SERVICE/NAME}`` (the operating system's keyring). A bad setting
stops the start, naming file, key, what was found and allowed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from connectors.registry import names
from jobs.notification.settings import NotificationSettings, Preferences, SmtpSettings
from jobs.problems import UserError
from rules.program import line_of
from sync.retention import SHORTEST_DAYS

_REFERENCE = re.compile(r"\$\{(?:(?P<place>file|keyring):)?(?P<name>[^}]+)\}")
_LENGTH = re.compile(r"^(?P<count>[1-9][0-9]*)(?P<unit>[smhd])$")
SECRET_KEYS = "REFEREE_SECRET_KEYS"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class BrakeSettings(BaseModel):
    """How much one plan may change without being asked about; see ``sync.brakes.Limits``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_creates: int | None = Field(2000, ge=0)
    max_updates: int | None = Field(2000, ge=0)
    max_changed_share: float | None = Field(0.5, gt=0, le=1)
    share_from: int = Field(50, ge=1)
    max_clears: int | None = Field(100, ge=0)
    max_deleted_share: float | None = Field(0.2, gt=0, le=1)
    deleted_from: int = Field(50, ge=1)
    max_cleared_share: float | None = Field(0.2, gt=0, le=1)
    cleared_from: int = Field(20, ge=1)
    max_emptied_share: float | None = Field(0.2, gt=0, le=1)
    emptied_from: int = Field(50, ge=1)


class LoopSettings(BaseModel):
    """When a field that we write again and again is left to a person; see ``sync.loops.LoopLimits``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: int | None = Field(default=5, ge=2)
    days: int = Field(default=7, ge=1, lt=SHORTEST_DAYS)


class ConnectionSettings(BaseModel):
    """One customer's account on a system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    mapping: str | None = Field(None, description="mapping file; the one shipped with the connector when absent")
    every: str | None = Field(None, description="interval such as 15m, 1h")
    cron: str | None = Field(None, description="five cron fields, in the machine's time zone")
    write: bool = Field(True, description="whether anything is written back to it")
    quota_share: float = Field(0.8, gt=0, le=1, description="our share of the system's daily API calls")
    write_reserve: float = Field(
        0.2, ge=0, lt=1, description="part of that share which reading leaves, so that its outcome can still be written"
    )
    hint_pause: str = Field("30s", description="least time between two early pulls that hints ask for")
    concurrency: int | None = Field(None, ge=1, description="concurrent calls over all workers")
    brakes: dict[str, BrakeSettings] = Field(default_factory=dict, description="by object")
    loops: LoopSettings = LoopSettings()
    settings: dict[str, Any] = Field(default_factory=dict, description="the connector's own settings")

    @field_validator("system")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in names():
            raise ValueError(f"a known system: {', '.join(names())}")
        return value

    @field_validator("every", "hint_pause")
    @classmethod
    def _is_length(cls, value: str | None) -> str | None:
        if value is not None and not _LENGTH.match(value):
            raise ValueError("a whole number and s, m, h or d, such as 15m")
        return value

    @field_validator("cron")
    @classmethod
    def _cron(cls, value: str | None) -> str | None:
        if value is None:
            return None
        from apscheduler.triggers.cron import CronTrigger  # only schedules need it

        try:
            CronTrigger.from_crontab(value, timezone="UTC")
        except ValueError as error:
            raise ValueError(f'five cron fields, such as "*/15 * * * *" ({error})') from None
        return value

    @property
    def interval(self) -> timedelta | None:
        """The interval of ``every``."""
        return _length(self.every) if self.every else None

    @property
    def pause(self) -> timedelta:
        """The interval of ``hint_pause``."""
        return _length(self.hint_pause)


def _length(text: str) -> timedelta:
    match = _LENGTH.match(text)
    assert match is not None, "checked when the settings were read"
    return timedelta(**{_UNITS[match["unit"]]: int(match["count"])})


class ListenSettings(BaseModel):
    """Where webhooks are received; see ``jobs.receiver``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field("127.0.0.1:8089", description="host and port to listen on; a proxy in front speaks TLS")
    public_url: str = Field(description="the address that systems call, without the connection's name")

    @field_validator("address")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not (host and colon and port.isascii() and port.isdigit() and int(port) < 65_536):
            raise ValueError("host:port, such as 127.0.0.1:8089")
        return value

    @field_validator("public_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        parts = urlsplit(value)
        at_home = parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not parts.hostname or parts.query or parts.fragment or parts.scheme not in ("https", "http"[: 4 * at_home]):
            raise ValueError("an https address without a query, such as https://referee.example.com/hooks")
        return value.rstrip("/")

    @property
    def bind(self) -> tuple[str, int]:
        """Host and port of ``address``; brackets around an IPv6 host are left out."""
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)


class LogSettings(BaseModel):
    """How events are logged; fields never hold a secret or personal data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "warning"


class RetentionSettings(BaseModel):
    """For how many days operational history is kept, ``null`` for ever; see ``sync.retention.Keep``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    writes: int | None = Field(default=400, ge=SHORTEST_DAYS)
    runs: int | None = Field(default=400, ge=SHORTEST_DAYS)
    calls: int | None = Field(default=400, ge=SHORTEST_DAYS)
    notices: int | None = Field(default=400, ge=SHORTEST_DAYS)


class Settings(BaseModel):
    """An installation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: SecretStr = SecretStr("sqlite:///referee.db")
    programs: tuple[str, ...] = Field(min_length=1)
    connections: dict[str, ConnectionSettings]
    log: LogSettings = LogSettings()
    retention: RetentionSettings = RetentionSettings()
    listen: ListenSettings | None = Field(default=None, description="receive webhooks as hints; off when absent")
    notifications: NotificationSettings | None = None
    secret_keys: SecretStr | None = Field(
        default=None,
        exclude=True,
        description="keys that seal secrets in the store, comma separated, the first one seals; "
        "$REFEREE_SECRET_KEYS when absent",
    )
    resolved: tuple[SecretStr, ...] = Field(
        default=(), exclude=True, description="what the references of the file stand for: never shown, masked in logs"
    )
    file: Path = Field(
        Path("referee.yaml"), exclude=True, description="the file that was read; relative paths start beside it"
    )

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
        return self.file.parent

    def place(self, *keys: str) -> str:
        """Where a key stands, for messages: ``file:line: key.key``."""
        return f"{self.file}:{line_of(_tree(self.file), list(keys))}: {'.'.join(keys)}"

    def path(self, text: str) -> Path:
        """A path of the settings, relative to their file."""
        return self.folder / text

    @property
    def store_url(self) -> str:
        """The store's address; a relative SQLite file lies beside the settings."""
        url = self.store.get_secret_value()
        prefix = "sqlite:///"
        if url.startswith(prefix) and not url.startswith(prefix + "/"):
            return f"{prefix}{(self.folder / url.removeprefix(prefix)).resolve()}"
        return url


def load_settings(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read a settings file. Raises: ``UserError`` with file, line, key, what was found and what is allowed."""
    tree = _tree(path)
    given = dict(_dotenv(path.parent / ".env"))
    given.update(os.environ if environment is None else environment)
    resolved: list[str] = []
    body = _filled(tree, given, path, [], tree, resolved)
    body.setdefault("secret_keys", given.get(SECRET_KEYS))
    resolved += (body["secret_keys"] or "").split(",")
    try:
        return Settings.model_validate({**body, "file": path, "resolved": resolved})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        keys = list(first["loc"])
        allowed = _keys_beside(keys) if first["type"] == "extra_forbidden" else _allowed(first["msg"])
        found = "nothing" if first["type"] == "missing" else _shown(keys, first["input"])
        raise UserError(
            f"{path}:{line_of(tree, keys)}: {'.'.join(map(str, keys))}: found {found}; allowed: {allowed}"
        ) from None


def _tree(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if not path.is_file():
        raise UserError(f"{path}: not there; run `referee init` to make one, or say where it is with --config")
    try:
        tree = YAML(typ="rt").load(path.read_text("utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: not YAML: {error.problem}") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if tree is not None and not isinstance(tree, dict):
        found = "a list" if isinstance(tree, list) else repr(tree)[:80]
        raise UserError(f"{path}:1: found {found}; allowed: keys with values: {', '.join(_KEYS[0])}")
    return tree or {}


_KEYS = (
    tuple(name for name in Settings.model_fields if name not in ("file", "resolved")),
    tuple(ConnectionSettings.model_fields),
    tuple(BrakeSettings.model_fields),
    tuple(LogSettings.model_fields),
    tuple(LoopSettings.model_fields),
    tuple(RetentionSettings.model_fields),
    tuple(ListenSettings.model_fields),
)
_SECTIONS = {"log": 3, "retention": 5, "listen": 6}


def _keys_beside(keys: list[Any]) -> str:
    """What may stand where a key stands that does not belong there."""
    if keys[0] in _SECTIONS and len(keys) > 1:
        names = _KEYS[_SECTIONS[keys[0]]]
    elif keys[0] == "notifications" and len(keys) > 1:
        below: dict[str, type[BaseModel]] = {"smtp": SmtpSettings, "partners": Preferences}
        names = tuple((below[keys[1]] if len(keys) > 2 else NotificationSettings).model_fields)
    elif keys[2:3] == ["loops"] and len(keys) > 3:
        names = _KEYS[4]
    else:
        names = _KEYS[{1: 0, 3: 1}.get(len(keys), 2)]
    near = get_close_matches(str(keys[-1]), names, 1)
    return f"one of {', '.join(names)}" + (f"; did you mean {near[0]}?" if near else "")


def _allowed(message: str) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input should be ")
    return message[:1].lower() + message[1:]


def _shown(keys: list[Any], value: Any) -> str:
    """Values of connector settings may be secrets, and so may what is below a key: only their place is told."""
    if isinstance(value, dict):
        return "values that do not go together"
    hidden = {"settings", "store", "secret_keys", "password"} & set(keys)
    return "a value that does not fit" if hidden else repr(value)[:80]


def _dotenv(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        return []
    pairs = []
    for line in path.read_text("utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith("#"):
            pairs.append((name.strip(), value.strip().strip("'\"")))
    return pairs


def _filled(node: Any, given: Mapping[str, str], path: Path, keys: list[Any], tree: Any, resolved: list[str]) -> Any:
    """The tree with its references replaced, all in plain types; what they stand for is added to ``resolved``."""
    if isinstance(node, dict):
        return {str(k): _filled(v, given, path, [*keys, k], tree, resolved) for k, v in node.items()}
    if isinstance(node, list):
        return [_filled(v, given, path, [*keys, i], tree, resolved) for i, v in enumerate(node)]
    if not isinstance(node, str):
        return node

    def value(match: re.Match[str]) -> str:
        name = match["name"]
        where = f"{path}:{line_of(tree, keys)}: {'.'.join(map(str, keys))}"
        if match["place"] == "keyring":
            return _from_keyring(name, where)
        if match["place"] == "file":
            secret = path.parent / name
            if not secret.is_file():
                raise UserError(f"{where}: found file {name}, which is not there; allowed: a readable file")
            return secret.read_text("utf-8").rstrip("\n")
        if name not in given:
            raise UserError(
                f"{where}: the environment variable {name} is not set; set it, or put it in .env beside the file"
            )
        return given[name]

    def kept(match: re.Match[str]) -> str:
        found = value(match)
        resolved.extend(line for line in (found, *found.splitlines()) if line)
        return found

    return _REFERENCE.sub(kept, str(node))


def _from_keyring(name: str, where: str) -> str:
    """A secret of the operating system's keyring. Raises: ``UserError``."""
    try:
        import keyring  # an optional package, and slow to import
        from keyring.errors import KeyringError
    except ImportError:
        raise UserError(
            f"{where}: found a keyring entry, which needs the package keyring; install referee[keyring], "
            "or use ${NAME} or ${file:PATH}"
        ) from None
    service, slash, user = name.partition("/")
    if not (service and slash and user):
        raise UserError(f"{where}: found keyring:{name}; allowed: keyring:SERVICE/NAME")
    try:
        secret = keyring.get_password(service, user)
    except KeyringError as error:
        raise UserError(
            f"{where}: the keyring cannot be asked for {name} ({type(error).__name__}); unlock it, or use ${{file:PATH}}"
        ) from None
    if secret is None:
        raise UserError(f"{where}: the keyring holds no {name}; put it there with `keyring set {service} {user}`")
    return secret
