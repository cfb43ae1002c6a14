"""Refresh tokens that change with every use: kept sealed for all processes, and the keys can be changed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import pytest
from cryptography.fernet import Fernet
from ruamel.yaml import YAML
from typer.testing import CliRunner

from connectors.base import Query
from connectors.errors import NeedsOperator
from connectors.hubspot.simulator import HubSpotSimulator
from connectors.simulation import Faults, SimRequest
from jobs.cli import app
from jobs.config import load_settings
from jobs.connections import Open, open_connection
from jobs.installation import installation
from jobs.problems import UserError
from jobs.secrets import forget_secret, rotate_secrets, secrets_status, set_secret
from sync.kept_tokens import KeptToken
from sync.store import Store
from tests.sync.empty_store import empty_store

FIRST = "refresh-token-of-tests"
LISTS = """
system: files
objects:
  - object: partners
    record: partner
    fields: {name: name}
"""


@dataclass
class Place:
    """A portal whose refresh tokens work once, and an installation that logs in with them."""

    folder: Path
    portal: HubSpotSimulator
    moment: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    keys: list[str] = field(default_factory=lambda: [Fernet.generate_key().decode()])
    refresh_token: str = FIRST

    @property
    def config(self) -> Path:
        return self.folder / "referee.yaml"

    def write_settings(self, more: dict[str, Any] | None = None) -> None:
        login = {
            "auth": "oauth", "client_id": "client-of-tests", "client_secret": "secret-of-tests",
            "refresh_token": self.refresh_token, "url": self.portal.url, "allow_loopback": True,
        }  # fmt: skip
        body = {
            "programs": ["next-technik"],
            "connections": {"crm": {"system": "hubspot", "settings": login}, **(more or {})},
        }
        with self.config.open("w", encoding="utf-8") as out:
            YAML().dump(body, out)

    def opened(self) -> Open:
        """The connection as a new process has it: its own settings, its own store."""
        settings = load_settings(self.config, {"REFEREE_SECRET_KEYS": ", ".join(self.keys)})
        store = Store.open(settings.store_url)
        return open_connection(settings, "crm", store, lambda: self.moment, lambda _: os.sched_yield())

    def read(self) -> int:
        """How many companies a new process reads."""
        pages = self.opened().connector.changes(Query("companies", ("name",)), since=None)
        return sum(len(page.records) for page in pages)

    def here(self) -> Any:
        return installation(self.config, clock=lambda: self.moment)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, HubSpotSimulator(now=lambda: made.moment))
    with made.portal as portal:
        portal.logins.rotates = True
        portal.limits.burst = portal.limits.searches = None
        portal.insert("companies", {"name": "Invented"})
        made.moment += timedelta(hours=2)
        made.write_settings()
        empty_store(tmp_path / "referee.db")
        yield made
    assert portal.crashes == []


def everything_stored(folder: Path) -> str:
    """A dump of the database, and the bytes of its files."""
    with sqlite3.connect(folder / "referee.db") as database:
        dump = "\n".join(database.iterdump())
    return dump + "".join(path.read_bytes().decode("latin-1") for path in folder.glob("referee.db*"))


def test_the_next_process_goes_on_with_the_token_that_came_back(place: Place) -> None:
    for _ in range(3):
        assert place.read() == 1
    assert place.portal.logins.tokens_made == 3
    [present] = place.portal.logins.refresh_tokens
    stored = everything_stored(place.folder)
    assert present != FIRST and present not in stored and FIRST not in stored


def test_processes_that_log_in_at_the_same_time_use_each_token_once(place: Place) -> None:
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda _: place.read(), range(6))) == [1] * 6
    assert place.portal.logins.tokens_made == 6  # a token used twice would have been refused
    assert place.portal.requests["POST", "token"] == 6


def test_a_token_is_kept_before_anything_of_its_answer_is_used(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFEREE_SECRET_KEYS", place.keys[0])
    kept_at_first_use: list[int] = []

    def look(request: SimRequest) -> bool:
        if not kept_at_first_use and "/oauth/" not in request.path:
            with place.here() as here:
                kept_at_first_use.append(len(secrets_status(here)))
        return False

    place.portal.faults.add(Faults.status(500, times=None, match=look))
    place.read()
    assert kept_at_first_use == [1]


def test_without_a_key_the_token_is_not_even_tried(place: Place) -> None:
    place.keys = []
    with pytest.raises(NeedsOperator, match="found no REFEREE_SECRET_KEYS.*referee secrets key"):
        place.read()
    assert place.portal.logins.tokens_made == 0


def test_doctor_says_that_a_key_is_needed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFEREE_SECRET_KEYS", raising=False)
    asked = [CliRunner().invoke(app, ["doctor", "--json", "--config", str(place.config)]).output]
    monkeypatch.setenv("REFEREE_SECRET_KEYS", place.keys[0])
    asked.append(CliRunner().invoke(app, ["doctor", "--json", "--config", str(place.config)]).output)
    assert ["found no REFEREE_SECRET_KEYS" in each for each in asked] == [True, False]


def test_a_person_who_authorises_anew_is_followed(place: Place) -> None:
    place.read()
    place.portal.logins.refresh_tokens = {"another-one": "client-of-tests"}
    with pytest.raises(NeedsOperator, match="BAD_REFRESH_TOKEN"):
        place.read()
    place.refresh_token = "another-one"
    place.write_settings()
    assert [place.read(), place.read()] == [1, 1]


def token_asked(request: SimRequest) -> bool:
    return "/oauth/" in request.path


def test_a_lost_answer_harms_nothing_where_the_old_token_still_answers(place: Place) -> None:
    """Within a grace period, or where tokens are not ended at all."""
    place.read()
    for rotates, grace in ((True, timedelta(seconds=60)), (False, timedelta(0))):
        place.portal.logins.rotates, place.portal.logins.grace = rotates, grace
        place.portal.faults.add(Faults.lose_answer(1, token_asked))
        assert place.read() == 1
    place.portal.logins.rotates = True
    assert [place.read(), place.read()] == [1, 1]


@pytest.mark.parametrize("died", [False, True])
def test_a_token_whose_answer_was_lost_is_told_as_such_and_mended_with_one_command(
    place: Place, monkeypatch: pytest.MonkeyPatch, died: bool
) -> None:
    monkeypatch.setenv("REFEREE_SECRET_KEYS", place.keys[0])
    place.read()
    if died:  # between the answer and keeping the token that came with it
        with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
            killed.setattr(KeptToken, "replace", raise_interrupt)
            place.read()
    else:
        place.portal.faults.add(Faults.lose_answer(1, token_asked))
    lost_at = f"{place.moment:%Y-%m-%d at %H:%M}"
    with pytest.raises(NeedsOperator, match="'crm'.*was lost.*referee secrets set crm"):
        place.read()
    place.moment += timedelta(hours=3)
    with pytest.raises(NeedsOperator, match=f"was lost on {lost_at} UTC.*other connections go on") as error:
        place.read()  # is told the same later on, by another process
    assert error.value.code == "REFRESH_TOKEN_LOST"
    [present] = place.portal.logins.refresh_tokens
    assert present not in everything_stored(place.folder)

    runner = CliRunner()
    place.portal.logins.refresh_tokens = {"got-by-a-person": "client-of-tests"}
    ran = runner.invoke(app, ["secrets", "set", "crm", "--config", str(place.config)], input="got-by-a-person\n")
    assert ran.exit_code == 0 and "got-by-a-person" not in ran.output, ran.output
    assert [place.read(), place.read()] == [1, 1]
    assert "got-by-a-person" not in everything_stored(place.folder)


def test_a_token_refused_without_a_lost_answer_is_told_as_it_is(place: Place) -> None:
    place.read()
    place.portal.logins.refresh_tokens.clear()
    for _ in range(2):
        with pytest.raises(NeedsOperator, match="BAD_REFRESH_TOKEN"):
            place.read()


def test_a_lost_token_stops_its_own_connection_only(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFEREE_SECRET_KEYS", place.keys[0])
    place.read()
    place.write_settings(
        {
            "lists": {
                "system": "files",
                "mapping": "lists.yaml",
                "settings": {"folder": ".", "objects": {"partners": {"file": "partners.csv", "id": "id"}}},
            }
        }
    )
    (place.folder / "lists.yaml").write_text(LISTS, "utf-8")
    (place.folder / "partners.csv").write_text("id,name\nP1,Northline\n", "utf-8")
    place.portal.faults.add(Faults.lose_answer(1, token_asked))
    runner = CliRunner()
    ran = runner.invoke(app, ["sync", "--config", str(place.config)])
    assert ran.exit_code == 1
    with place.here() as here:
        assert [fact["name"] for fact in here.store.facts(types=["partner"])] == ["Northline"]
    told = runner.invoke(app, ["status", "--json", "--config", str(place.config)]).output
    assert "referee secrets set crm" in told


def test_only_a_connection_with_refresh_tokens_takes_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFEREE_SECRET_KEYS", place.keys[0])
    with place.here() as here:
        with pytest.raises(UserError, match="found the connection 'erp'; allowed: crm"):
            set_secret(here, "erp", lambda: pytest.fail("asked for a token that is of no use"))
        with pytest.raises(UserError, match="found no token"):
            set_secret(here, "crm", lambda: " ")


def raise_interrupt(*_args: Any) -> None:
    raise KeyboardInterrupt


def test_keys_are_changed_without_losing_a_token(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def used(*keys: str) -> None:
        place.keys = list(keys)
        monkeypatch.setenv("REFEREE_SECRET_KEYS", ",".join(keys))

    old, new = place.keys[0], Fernet.generate_key().decode()
    used(old)
    place.read()
    used(new, old)
    with place.here() as here:
        assert [one["state"] for one in secrets_status(here)] == ["old key"]
    assert place.read() == 1  # sealed with the new key by being used
    used(old)
    with pytest.raises(NeedsOperator, match="sealed with a key that REFEREE_SECRET_KEYS does not hold"):
        place.read()
    used(old, new)
    with place.here() as here:
        assert rotate_secrets(here) == 1
        assert rotate_secrets(here) == 0
    used(old)
    assert place.read() == 1


def test_a_token_that_no_key_opens_stops_a_rotation_and_can_be_dropped(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.read()
    monkeypatch.setenv("REFEREE_SECRET_KEYS", Fernet.generate_key().decode())
    runner = CliRunner()
    with place.here() as here:
        with pytest.raises(NeedsOperator, match="'crm'.*nothing was changed"):
            rotate_secrets(here)
        with pytest.raises(UserError, match="found 'erp'; allowed: crm"):
            forget_secret(here, "erp")
    shown = runner.invoke(app, ["secrets", "status", "--config", str(place.config)])
    assert shown.exit_code == 1 and "unreadable" in shown.output and "secrets forget" in shown.output
    assert runner.invoke(app, ["secrets", "forget", "crm", "--config", str(place.config)]).exit_code == 0
    with place.here() as here:
        assert secrets_status(here) == []


def test_a_key_that_is_none_is_told_by_its_place(place: Place) -> None:
    place.keys = [Fernet.generate_key().decode(), "canary-of-a-bad-key"]
    with pytest.raises(NeedsOperator, match="key 2 of 2") as error:
        place.read()
    assert "canary" not in str(error.value)


def test_a_secret_comes_from_the_keyring(tmp_path: Path) -> None:
    class Drawer(keyring.backend.KeyringBackend):
        """A keyring that is open."""

        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            return "secret-of-the-keyring" if (service, username) == ("referee", "crm") else None

        def set_password(self, service: str, username: str, password: str) -> None:
            raise AssertionError("Referee only reads")

    keyring.set_keyring(Drawer())  # type: ignore[no-untyped-call]
    path = tmp_path / "referee.yaml"
    text = "programs: [next-technik]\nconnections: {crm: {system: memory, settings: {path: '${keyring:%s}'}}}\n"
    path.write_text(text % "referee/crm", "utf-8")
    assert load_settings(path, {}).connections["crm"].settings == {"path": "secret-of-the-keyring"}
    for name, why in (("referee/erp", "holds no referee/erp"), ("referee", "allowed: keyring:SERVICE/NAME")):
        path.write_text(text % name, "utf-8")
        with pytest.raises(UserError, match=why):
            load_settings(path, {})
