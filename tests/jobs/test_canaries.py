"""Canaries: secrets put into every place they can come from, and looked for in every place that is kept or shown."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from connectors.hubspot.simulator import HubSpotSimulator
from connectors.simulation import Faults, SimRequest
from jobs.logs import MASK, Masking, set_up_logs
from tests.jobs.sync_world import Killable, Ran, killable, office, writes

KEY = Fernet.generate_key().decode()
IN_SETTINGS = "canary-in-the-settings-file"
CLIENT_SECRET = "canary-in-the-environment"
REFRESH_TOKEN = "canary-refresh-token"
MAIL_PASSWORD = "canary-of-the-mail-server"
ERROR_BODY = "canary-in-an-error-body"
RECORD_FIELD = "Canary Field Ltd"
ACCESS_TOKEN = "SIMULATED."
SECRETS = (KEY, IN_SETTINGS, CLIENT_SECRET, REFRESH_TOKEN, MAIL_PASSWORD, ERROR_BODY, ACCESS_TOKEN)
COMMANDS = (
    ("check", "--json"), ("sync", "--json", "--allow", "Mara Lind"), ("plan", "--json"), ("status", "--json"), ("doctor", "--json"),
    ("dead-letters", "list", "--json"), ("secrets", "status", "--json"), ("secrets", "rotate", "--json"), ("plan",),
    ("notifications", "send", "--json"), ("notifications", "--json"),
)  # fmt: skip


@dataclass
class Place:
    """A portal, an installation beside it, and everything that its commands have printed."""

    folder: Path
    portal: HubSpotSimulator
    child: Killable
    moment: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def run(self, *arguments: str) -> Ran:
        """Run a command and let half an hour pass."""
        world = SimpleNamespace(config=self.folder / "referee.yaml", folder=self.folder, world=self)
        ran = self.child.referee(world, *arguments)  # type: ignore[arg-type]
        self.moment += timedelta(minutes=35)
        return ran

    def write_settings(self, **settings: Any) -> None:
        login = {
            "auth": "oauth", "client_id": "client-of-tests", "client_secret": "${HUBSPOT_CLIENT_SECRET}",
            "refresh_token": "${file:refresh-token}", "url": self.portal.url, "allow_loopback": True, **settings,
        }  # fmt: skip
        body = {
            "programs": ["next-technik"], "log": {"level": "debug", "format": "json"},
            "connections": {"crm": {"system": "hubspot", "settings": login}},
            "notifications": {
                "channel": "smtp", "sender": "desk@vendor.example",
                "smtp": {"host": "127.0.0.1", "port": 1, "security": "none", "username": "me", "password": "${SMTP_PASSWORD}"},
            },
        }  # fmt: skip
        with (self.folder / "referee.yaml").open("w", encoding="utf-8") as out:
            YAML().dump(body, out)

    def kept(self) -> str:
        """A dump of the database, and its files byte for byte: raw records, facts, outbox, runs, sealed tokens."""
        with sqlite3.connect(self.folder / "referee.db") as database:
            dump = "\n".join(database.iterdump())
        return dump + "".join(path.read_bytes().decode("latin-1") for path in self.folder.glob("referee.db*"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with killable() as child:
        made = Place(tmp_path, HubSpotSimulator(now=lambda: made.moment), child)
        with made.portal as portal:
            portal.limits.burst = portal.limits.searches = None
            portal.seed(5, 20)
            portal.insert("companies", {"name": RECORD_FIELD, "domain": "canary.example"})
            portal.logins.rotates = True
            portal.logins.apps = {"client-of-tests": CLIENT_SECRET}
            portal.logins.refresh_tokens = {REFRESH_TOKEN: "client-of-tests"}
            made.moment += timedelta(hours=1)
            (tmp_path / ".env").write_text(
                f"HUBSPOT_CLIENT_SECRET={CLIENT_SECRET}\nREFEREE_SECRET_KEYS={KEY}\nSMTP_PASSWORD={MAIL_PASSWORD}\n"
            )
            (tmp_path / "refresh-token").write_text(REFRESH_TOKEN + "\n")
            made.write_settings()
            yield made


def found(texts: dict[str, str], canaries: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(where, canary) for where, text in texts.items() for canary in canaries if canary in text]


def test_no_canary_is_printed_logged_or_kept(place: Place) -> None:
    said: dict[str, str] = {}

    def ran(*arguments: str) -> Ran:
        one = place.run(*arguments)
        name = f"{len(said)}: {' '.join(arguments)}"
        said[f"{name}: out"], said[f"{name}: err"] = one.out, one.err
        return one

    for command in COMMANDS:
        ran(*command)
    log = "".join(said.values())
    assert "refresh_token_rotated" in log and place.portal.logins.tokens_made >= 3

    def calls(request: SimRequest) -> bool:
        return "/oauth/" not in request.path

    bodies = json.dumps({"status": "error", "category": "OOPS", "message": ERROR_BODY, "context": {"x": [ERROR_BODY]}})
    for status in (400, 403, 429, 500):  # the last two are repeated, and the pause is a real one
        place.portal.faults.add(Faults.status(status, body=bodies.encode(), times=1, match=calls))
        ran("sync", "--json")
        place.portal.faults.clear()
    for status in (400, 401):
        refused = Faults.status(status, body=bodies.encode(), match=lambda request: not calls(request))
        place.portal.faults.add(refused)
        ran("sync")
        place.portal.faults.clear()
    for name in ("access_token", "page_size", "no_such_setting", "url"):
        place.write_settings(**{name: IN_SETTINGS})
        ran("check")

    assert len(said) >= 30
    assert found(said, SECRETS) == []
    # Names of customers are shown where a person asks for them, and are in no log and no error.
    errors = {where: text for where, text in said.items() if where.endswith("err")}
    assert found(errors, (RECORD_FIELD, "canary.example")) == []
    kept = place.kept()
    assert found({"database": kept}, SECRETS) == []
    assert RECORD_FIELD in kept  # so that the search is seen to find what is there


NESTED = st.recursive(
    st.sampled_from(["{}", "it is {} here", "Bearer {}", 'Authorization: Basic {}"']),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, min_size=1),
    max_leaves=6,
)


@given(NESTED, st.sampled_from(["body", "access_token", "Authorization", "event"]))
def test_a_known_secret_is_masked_wherever_it_stands_in_an_event(shape: Any, key: str) -> None:
    def filled(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: filled(one) for name, one in node.items()}
        return [filled(one) for one in node] if isinstance(node, list) else node.format("s3cret-value")

    masked = Masking(["s3cret-value", "a"])(
        None, "info", {key: filled(shape), "calls": 3, "error": ValueError("s3cret-value")}
    )
    assert "s3cret-value" not in repr(masked) and MASK in repr(masked)
    assert masked["calls"] == 3


@pytest.mark.parametrize("name", ["access_token", "Authorization", "client_secret", "Set-Cookie", "oauth_signature"])
def test_a_field_named_like_a_secret_is_masked_although_nobody_knows_its_value(name: str) -> None:
    masked = Masking()(None, "info", {"event": "token_kept", "headers": {name: "value-of-it", "Accept": "text/csv"}})
    assert masked == {"event": "token_kept", "headers": {name: MASK, "Accept": "text/csv"}}


@pytest.mark.parametrize("scheme", ["Bearer", "Basic", "bearer", "OAuth"])
def test_credentials_of_a_header_are_masked_in_any_text(scheme: str) -> None:
    masked = Masking()(None, "info", {"found": f'answered 401 to "{scheme} value-of-it", again'})
    assert masked["found"] == f'answered 401 to "{scheme} {MASK}, again'


SHAPES = re.compile(
    r"\b(?!client-of-tests)[a-z_-]+-of-tests|SIMULATED\.|(Bearer|Basic) (?!scrubbed)\S|oauth_signature=|eyJ[\w-]{10,}|BEGIN [A-Z ]*PRIVATE KEY"
)


def test_no_cassette_of_any_system_holds_what_looks_like_a_secret() -> None:
    """Every credential of the simulators and their tests, signed tokens, signatures and keys."""
    cassettes = sorted((Path(__file__).parents[2] / "cassettes").rglob("*.yaml"))
    assert {path.parent.name for path in cassettes} >= {"hubspot", "netsuite", "salesforce"}
    assert [(path.name, hit.group()) for path in cassettes for hit in SHAPES.finditer(path.read_text("utf-8"))] == []


@pytest.mark.parametrize("style", ["console", "json"])
@pytest.mark.filterwarnings("error")
def test_an_exception_is_logged_without_the_secret_in_its_text(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(style, "info", ["s3cret-value"])
    try:
        raise ValueError("found s3cret-value")
    except ValueError:
        structlog.get_logger().exception("job_failed", connection="crm")
    finally:
        structlog.reset_defaults()
    said = capsys.readouterr().err
    assert "ValueError" in said and "job_failed" in said and "s3cret-value" not in said


def test_systems_that_repeat_our_secrets_make_nobody_print_log_or_keep_them(tmp_path: Path) -> None:
    """Salesforce by client secret and NetSuite by signed tokens, in all that is printed, in the database and in its backup."""
    with office(tmp_path) as place, killable() as child:
        world = place.world
        settings = YAML().load(place.config.read_text("utf-8"))
        settings["log"] = {"level": "debug", "format": "json"}
        with place.config.open("w", encoding="utf-8") as out:
            YAML().dump(settings, out)
        crm, erp = (settings["connections"][name]["settings"] for name in ("crm", "erp"))
        canaries = {crm["client_secret"], *erp["private_key"].splitlines()[1:3]}

        def overhears(request: SimRequest) -> bool:
            canaries.update(word for word in request.headers.get("Authorization", "").split() if len(word) > 20)
            canaries.update(text for key in ("client_assertion", "assertion") for text in request.form().get(key, ()))
            return False

        for system in (world.crm, world.erp):
            system.faults.add(Faults.status(500, match=overhears))
        place.morning(24)
        said: dict[str, str] = {}

        def ran(*arguments: str) -> None:
            one = child.referee(place, *arguments)
            said[f"{len(said)} {arguments[0]} out"], said[f"{len(said)} {arguments[0]} err"] = one.out, one.err
            place.later(hours=1)

        ran("sync", "--json", "--allow", "Mara Lind")
        heard = tuple(sorted(canaries))
        assert len(heard) >= 5, "two sessions, two secrets and a signed assertion at least"
        repeated = json.dumps([{"errorCode": "OOPS", "message": " ".join(heard), "fields": list(heard)}]).encode()
        for status, command in ((400, "sync"), (401, "check"), (403, "reconcile")):
            for system in (world.crm, world.erp):
                system.faults.add(Faults.status(status, body=repeated))
            ran(command)
            for system in (world.crm, world.erp):
                system.faults.clear()
        world.crm.faults.add(Faults.status(400, body=repeated, match=writes))
        place.morning(40)
        for arguments in (("sync",), ("dead-letters", "list", "--json"), ("status", "--json")):
            ran(*arguments)
        lead = f"crm:Lead:{world.ids['lead Harbour by Northline']}"
        ran("trace", lead, "--json")
        assert found(said, heard) == []
        assert any(lead in text for text in said.values()), "so that the commands are seen to have told something"
        with sqlite3.connect(tmp_path / "referee.db") as database, sqlite3.connect(tmp_path / "backup.db") as backup:
            database.backup(backup)
        kept = {path.name: path.read_bytes().decode("latin-1") for path in tmp_path.glob("*.db*")}
        assert "backup.db" in kept and found(kept, heard) == []
