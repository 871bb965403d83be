"""What every test may ask for: a real Postgres, a sandbox upstream, a gateway, a webhook receiver (tests/support)."""

import pytest

pytest_plugins = [
    "tests.support.postgres",
    "tests.support.database",
    "tests.support.processes",
    "tests.support.sandbox",
    "tests.support.gateway",
    "tests.support.receiver",
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
