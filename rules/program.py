"""A partner program: its identity, its days and the versions of its terms; and how a program file is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field, ValidationError, field_validator, model_validator

from rules.calendar import Calendar
from rules.errors import ProgramError, RuleError
from rules.records import DAY_PATTERN, Currency
from rules.settings import CATALOGUE, OTHER_NAMES, read_setting, require_allowed
from rules.terms import WEEKDAYS, Term, Terms


class Program(Term):
    """A partner program: its identity, calendar and versions of terms."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    name: str
    time_zone: str
    currency: Currency
    roles: tuple[str, ...]
    versions: tuple[Terms, ...] = Field(min_length=1)

    @field_validator("time_zone")
    @classmethod
    def _a_zone(cls, name: str) -> str:
        try:
            Calendar(name)
        except RuleError:
            raise ValueError("an IANA name such as Australia/Sydney") from None
        return name

    @model_validator(mode="after")
    def _versions_in_order(self) -> Program:
        for number, version in enumerate(self.versions):
            place = ("versions", number)
            if number and version.effective_from <= self.versions[number - 1].effective_from:
                raise ProgramError(
                    f"versions.{number}.effective_from: found {version.effective_from}; "
                    "allowed: each effective_from later than the one before",
                    (*place, "effective_from"),
                )
            if number:
                _require_notice(self.versions[number - 1], version, (*place, "announced_on"))
            where = f"version {version.effective_from}"
            for key, term in version.settings.items():
                try:
                    read_setting(key, term.value, known=CATALOGUE, where=where)
                    require_allowed(key, term.value, term.allowed, where=where)
                except ProgramError as error:
                    raise ProgramError(str(error), (*place, "settings", key)) from None
            missing = [key for key in version.needed_settings if key not in version.settings]
            if missing:
                raise ProgramError(
                    f"version {version.effective_from}: setting {missing[0]}: found nothing; allowed: {CATALOGUE[missing[0]].allowed}",
                    (*place, "settings"),
                )
        return self

    @cached_property
    def calendar(self) -> Calendar:
        """The program's days: its time zone, with the business days of its latest version."""
        return self._calendar_of(self.versions[-1])

    def calendar_on(self, day: date) -> Calendar:
        """The program's days with the business days of the version in force on ``day``: a deadline that was computed
        keeps its date when the calendar changes later (E24)."""
        version, last = self.on(day), self.versions[-1]
        if version is last or version.business_calendar == last.business_calendar:
            return self.calendar
        found = self._calendars.get(version.effective_from)
        if found is None:
            found = self._calendars[version.effective_from] = self._calendar_of(version)
        return found

    @cached_property
    def _calendars(self) -> dict[date, Calendar]:
        return {}

    def _calendar_of(self, version: Terms) -> Calendar:
        term = version.business_calendar
        return Calendar(
            time_zone=self.time_zone,
            weekend=frozenset(WEEKDAYS.index(day) for day in term.weekend),
            country=term.country,
            subdivision=term.subdivision,
            closed=frozenset(term.closed),
        )

    def on(self, day: date) -> Terms:
        """The version in force on a day; days before the first version fall under the first."""
        found = self.versions[0]
        for version in self.versions[1:]:
            if version.effective_from <= day:
                found = version
        return found

    def label_on(self, day: date) -> str:
        """``id@effective_from`` of the version in force on a day."""
        return f"{self.id}@{self.on(day).effective_from.isoformat()}"

    def changed(self, overrides: Mapping[str, str]) -> Program:
        """The same program under other settings, in every version (what-if). Raises: ``ProgramError``."""
        if not overrides:
            return self
        body = self.model_dump(mode="json")
        for version in body["versions"]:
            for given, text in overrides.items():
                names = (given, OTHER_NAMES.get(given, given))
                key = next((name for name in names if name in version["settings"]), given)
                read_setting(key, text, known=version["settings"], where="--set")
                require_allowed(key, text, tuple(version["settings"][key]["allowed"]), where="--set")
                version["settings"][key]["value"] = text
        return Program.model_validate_json(orjson.dumps(body))


def last_day_of_notice(before: Terms, starts: date) -> date | None:
    """The last day for announcing terms that follow ``before`` from a date on; ``None``: no notice is promised."""
    days = before.values.get("notice_days")
    return starts - timedelta(days=days) if isinstance(days, int) else None


def _require_notice(before: Terms, version: Terms, place: tuple[str | int, ...]) -> None:
    """Refuse terms that were announced later than the terms in force before them promise (TC-34)."""
    last = last_day_of_notice(before, version.effective_from)
    if last is None or version.announced_on is None or version.announced_on <= last:
        return
    clauses = ", ".join(before.clauses_of("notice_days"))
    raise ProgramError(
        f"version {version.effective_from}: announced_on: found {version.announced_on}; "
        f"allowed: at the latest {last}, notice_days before its start ({clauses})",
        place,
    )


SHIPPED = ("next-technik", "one-network", "code-ninety", "technology-consultant", "optimetriks")
"""Programs that come with the service."""


def load_program(name_or_path: str, overrides: Mapping[str, str] | None = None) -> Program:
    """Load a shipped program by name, or a program file by path.

    Raises: ``ProgramError`` naming file, line, key, what was found and what is allowed.
    """
    if name_or_path in SHIPPED:
        return _shipped(name_or_path).changed(overrides or {})
    path = Path(name_or_path)
    if not path.is_file():
        raise ProgramError(
            f"program: found {name_or_path!r}; allowed: {', '.join(SHIPPED)}, or the path of a program file"
        )
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProgramError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return parse_program(text, str(path)).changed(overrides or {})


@cache
def _shipped(name: str) -> Program:
    return parse_program((files("rules") / "programs" / f"{name}.yaml").read_text("utf-8"), f"{name}.yaml")


def parse_program(text: str, file: str) -> Program:
    """Read a program file's text. Raises: ``ProgramError`` with file, line, key, found, allowed."""
    program = examine_program(program_tree(text, file), file)
    if isinstance(program, Program):
        return program
    raise program[0]


def program_tree(text: str, file: str) -> Any:
    """A program file's text as a YAML tree that knows its lines. Raises: ``ProgramError`` for what is no such tree."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import RoundTripConstructor
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    class AsWritten(RoundTripConstructor):
        """Dates stay text, so that one that does not exist is told with its place."""

    AsWritten.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)
    yaml = YAML(typ="rt")
    yaml.Constructor = AsWritten
    try:
        tree = yaml.load(text)
    except MarkedYAMLError as error:
        line = (error.problem_mark.line + 1) if error.problem_mark else 1
        raise ProgramError(f"{file}:{line}: not YAML: {error.problem}") from None
    except (YAMLError, TypeError, ValueError, RecursionError) as error:
        raise ProgramError(f"{file}: not a program file: {error}") from None
    if not isinstance(tree, dict):
        found = "nothing" if tree is None else "a list" if isinstance(tree, list) else repr(tree)[:80]
        raise ProgramError(f"{file}:1: found {found}; allowed: keys with values, from `id:` to `versions:`")
    return tree


def examine_program(tree: Any, file: str) -> Program | list[ProgramError]:
    """The program of a tree, or everything that keeps it from being one: file, line, key, found, allowed."""
    try:
        return Program.model_validate_json(orjson.dumps(_plain(tree)))
    except ProgramError as error:
        path = list(error.path)
        return [ProgramError(f"{file}:{line_of(tree, path)}: {error}", error.path)]
    except ValidationError as error:
        found = error.errors(include_url=False)
        places = [one["loc"] for one in found]
        return [_told(one, tree, file) for one in found if not _follows(one, places)]
    except (TypeError, ValueError, RecursionError) as error:
        return [ProgramError(f"{file}: not a program file: {error}")]


def _follows(error: Any, places: Sequence[tuple[int | str, ...]]) -> bool:
    """Whether a list is only too short because what stands in it could not be read, which is told itself."""
    own = error["loc"]
    return error["type"] == "too_short" and any(each[: len(own)] == own and len(each) > len(own) for each in places)


def _told(error: Any, tree: Any, file: str) -> ProgramError:
    path = [part for part in error["loc"] if part not in TAGS]
    if error["type"] == "union_tag_invalid":
        place = [*path, "kind"]
        found, allowed = repr(error["ctx"]["tag"]), error["ctx"]["expected_tags"]
    else:
        place = path
        found, allowed = "nothing" if error["type"] == "missing" else repr(error["input"])[:80], _allowed(error)
    where = f"{file}:{line_of(tree, place)}: {'.'.join(map(str, place))}"
    return ProgramError(f"{where}: found {found}; allowed: {allowed}", tuple(place))


TAGS = {
    "share_of_collections", "share_of_invoices", "share_of_contract", "milestone_bonus",
    "not_engaged", "good_standing", "agreement_signed", "trained_staff",
    "introduced", "enrolled_at_signature", "minimum_age", "first_plan",
}  # fmt: skip
"""Kinds of terms, which the parser puts into the places of its errors."""

_PATTERNS = {
    DAY_PATTERN: "a date, YYYY-MM-DD, from 1900 on",
    r"^[A-Z]+-[A-Z]?[0-9]+$": "a clause id such as NT-14",
    r"^[a-z][a-z_]*$": "small letters and underscores",
    r"^[a-z0-9][a-z0-9-]*$": "small letters, digits and hyphens",
    r"^-?[0-9]{1,18}(\.[0-9]{1,6})?$": 'an amount in quotes, such as "1500.00"',
    r"^[0-9](\.[0-9]{1,12})?$": 'a fraction in quotes, such as "0.10" for 10 %',
}
_TYPES = {
    "extra_forbidden": "the keys that `referee schema program` lists",
    "string_type": "a valid string: text; numbers, true and false in quotes",
    "bool_type": "a valid boolean: true or false, without quotes",
    "int_type": "a valid integer: a whole number without quotes",
    "tuple_type": "a valid list",
    "dict_type": "a valid mapping: keys with values",
    "model_type": "a valid mapping: keys with values",
    "model_attributes_type": "a valid mapping: keys with values",
    "date_parsing": "a real date, YYYY-MM-DD, from 1900 on",
    "date_from_datetime_parsing": "a real date, YYYY-MM-DD, from 1900 on",
}


def _allowed(error: Any) -> str:
    if error["type"] == "literal_error" and error["loc"][-1] == "currency":
        return "an ISO 4217 currency code such as 'AUD'"
    if error["loc"] and error["loc"][-1] in ("effective_from", "effective_to") and error["type"] == "string_type":
        return "a date, YYYY-MM-DD"
    if (pattern := error.get("ctx", {}).get("pattern")) in _PATTERNS:
        return _PATTERNS[pattern]
    if error["type"] in _TYPES:
        return _TYPES[error["type"]]
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    if isinstance(node, date):
        return node.isoformat()
    return str(node)


def line_of(tree: Any, path: list[Any]) -> int:
    """The line (from 1) of the deepest part of the path that stands in a YAML tree read with its places."""
    line = 1
    for part in path:
        try:
            places = tree.lc
            line = (places.key(part) if isinstance(part, str) else places.item(part))[0] + 1
            tree = tree[part]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return line
