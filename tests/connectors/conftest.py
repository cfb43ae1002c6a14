"""The acceptance suite is no test module, so pytest has to be told to explain its assertions."""

import pytest

pytest.register_assert_rewrite("connectors.conformance")
