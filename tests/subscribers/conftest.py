"""Subscriptions, events and a delivery loop on a database where no other loop runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from service.db.engine import BY_INDEX
from service.db.engine import Database as GatewayDatabase
from service.db.line import Line
from service.settings import Settings
from service.subscribers.deliver import DeliveryLoop
from service.subscribers.guard import Guard
from service.subscribers.lines import open_lines
from service.subscribers.sender import open_sender
from tests.subscribers.notifications import Notifications, OpenLoop, running
from tests.support.database import Database


@pytest.fixture
async def gateway_database(quiet_database: Database) -> AsyncIterator[GatewayDatabase]:
    """The gateway's own way to that database."""
    opened = GatewayDatabase(Settings(database_url=SecretStr(quiet_database.url)))
    yield opened
    await opened.close()


@pytest.fixture
async def notifications(gateway_database: GatewayDatabase, quiet_database: Database) -> AsyncIterator[Notifications]:
    line = Line(Settings(database_url=SecretStr(quiet_database.url)), BY_INDEX)
    yield Notifications(gateway_database, line)
    await line.close()


@pytest.fixture
def open_loop(notifications: Notifications, quiet_database: Database) -> OpenLoop:
    """A delivery loop that takes turns only when told, and looks at everything in each."""

    @asynccontextmanager
    async def opened(
        timeout_s: float = 5.0, places: int = 64, poll_floor_s: float = 0.0001, patience_s: float = 10.0
    ) -> AsyncIterator[DeliveryLoop]:
        settings = Settings(
            database_url=SecretStr(quiet_database.url),
            outbound_allow=("127.0.0.0/8",),
            delivery_timeout_s=timeout_s,
            delivery_max_in_flight=places,
            poll_floor_s=poll_floor_s,
            database_statement_timeout_s=patience_s,
        )

        def observe(outcome: str, error_class: str | None, seconds: float) -> None:
            notifications.attempts_observed.append((outcome, error_class))

        async with (
            open_sender(settings, Guard.of(settings)) as sender,
            open_lines(settings, notifications.database) as lines,
        ):
            yield DeliveryLoop(lines, sender, settings, observe)

    return opened


@pytest.fixture
def run_loop(open_loop: OpenLoop) -> OpenLoop:
    """A delivery loop that runs as in a worker, and is drained at the end."""

    @asynccontextmanager
    async def run(timeout_s: float = 5.0, places: int = 64, patience_s: float = 10.0) -> AsyncIterator[DeliveryLoop]:
        async with open_loop(timeout_s, places, 0.05, patience_s) as loop, running(loop):
            yield loop

    return run
