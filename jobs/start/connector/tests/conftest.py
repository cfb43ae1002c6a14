"""Readable failures of the acceptance suite."""

import pytest

pytest.register_assert_rewrite("connectors.conformance")
