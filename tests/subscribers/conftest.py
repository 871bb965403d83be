"""Subscriptions, events and a delivery loop on a database where no other loop runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from service.db.engine import Database as GatewayDatabase
from service.settings import Settings
from service.subscribers.deliver import DeliveryLoop
from service.subscribers.guard import Guard
from service.subscribers.sender import open_sender
from service.worker import Loops
from tests.subscribers.notifications import Notifications, OpenLoop
from tests.support.database import Database


@pytest.fixture
async def gateway_database(quiet_database: Database) -> AsyncIterator[GatewayDatabase]:
    """The gateway's own way to that database."""
    opened = GatewayDatabase(Settings(database_url=SecretStr(quiet_database.url)))
    yield opened
    await opened.close()


@pytest.fixture
def notifications(gateway_database: GatewayDatabase) -> Notifications:
    return Notifications(gateway_database)


@pytest.fixture
def open_loop(notifications: Notifications) -> OpenLoop:
    """A delivery loop that takes turns only when told."""

    @asynccontextmanager
    async def opened(timeout_s: float = 5.0, places: int = 64) -> AsyncIterator[DeliveryLoop]:
        settings = Settings(
            outbound_allow=("127.0.0.0/8",),
            delivery_timeout_s=timeout_s,
            delivery_max_in_flight=places,
            poll_floor_s=0.05,
        )

        def observe(outcome: str, error_class: str | None, seconds: float) -> None:
            notifications.attempts_observed.append((outcome, error_class))

        async with open_sender(settings, Guard.of(settings)) as sender:
            yield DeliveryLoop(notifications.database, sender, settings, observe)

    return opened


@pytest.fixture
def run_loop(open_loop: OpenLoop) -> OpenLoop:
    """A delivery loop that runs as in a worker, and is drained at the end."""

    @asynccontextmanager
    async def running(timeout_s: float = 5.0, places: int = 64) -> AsyncIterator[DeliveryLoop]:
        async with open_loop(timeout_s, places) as loop:
            loops = Loops((loop,))
            loops.start()
            try:
                yield loop
            finally:
                await loops.stop(30.0)

    return running
