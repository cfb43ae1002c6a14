"""What all connector tests share: readable failures of the acceptance suite, and cassettes without secrets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

# The acceptance suite is no test module, so pytest has to be told to explain its assertions.
pytest.register_assert_rewrite("connectors.conformance")

_SECRETS = ("access_token", "refresh_token", "id_token", "signature", "assertion", "client_assertion", "client_secret")


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    """One way to record for every system: no credentials in headers, forms or answers."""
    return {
        "filter_headers": [("authorization", "scrubbed"), ("cookie", None)],
        "filter_post_data_parameters": [(key, "scrubbed") for key in _SECRETS],
        "before_record_response": _scrubbed,
        "decode_compressed_response": True,
        "match_on": ["method", "scheme", "host", "port", "path", "query", "body"],
    }


@pytest.fixture(scope="module")
def vcr_cassette_dir(request: pytest.FixtureRequest) -> str:
    """``test_<system>_….py`` keeps its cassettes in ``cassettes/<system>``, beside the tests' own tree."""
    system = re.sub(r"^test_([a-z]+).*$", r"\1", Path(str(request.node.fspath)).stem)
    return str(Path(__file__).parents[2] / "cassettes" / system)


def _scrubbed(response: dict[str, Any]) -> dict[str, Any]:
    try:
        body = json.loads(response["body"]["string"])
    except ValueError:
        return response
    if not isinstance(body, dict) or body.keys().isdisjoint(_SECRETS):
        return response
    text = json.dumps({key: "scrubbed" if key in _SECRETS else value for key, value in body.items()}).encode()
    headers = {**response["headers"], "Content-Length": [str(len(text))]}
    return {**response, "headers": headers, "body": {"string": text}}
