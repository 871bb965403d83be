"""What every test may ask for: a real Postgres, a sandbox upstream, a gateway, a webhook receiver (tests/support)."""

import gc

import pytest

pytest_plugins = [
    "tests.support.postgres",
    "tests.support.database",
    "tests.support.processes",
    "tests.support.sandbox",
    "tests.support.gateway",
    "tests.support.receiver",
]


def pytest_collection_finish() -> None:
    """What was imported and collected lives to the end: looking through it again and again took a tenth of the CPU."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
