"""Requests without a key for the tests of joining, kept with a task as `begin` keeps them, by several processes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from pydantic import SecretStr

from service.db.engine import Database as GatewayDatabase
from service.db.ids import new_id
from service.settings import Settings
from service.tasks.attach import UnansweredRequest, UnansweredRequests
from service.tasks.unanswered import note_unanswered
from tests.support.database import Database

WINDOW_S = 120.0


class Processes:
    """Gateway processes as far as joining goes: each has its own memory, all have one database."""

    def __init__(self, database: GatewayDatabase) -> None:
        self._database = database

    def start(self) -> UnansweredRequests:
        return UnansweredRequests(self._database)

    async def make_task(self, request: UnansweredRequest) -> UUID:
        """The commit that makes a task for the request."""
        task_id = new_id()
        async with self._database.transaction() as connection:
            await note_unanswered(connection, task_id, request.key)
        return task_id


@asynccontextmanager
async def processes_on(database: Database) -> AsyncIterator[Processes]:
    opened = GatewayDatabase(Settings(database_url=SecretStr(database.url)))
    try:
        yield Processes(opened)
    finally:
        await opened.close()


def ask(
    process: UnansweredRequests, wish: str = "a cat", client: str = "alpha", route: str = "create"
) -> UnansweredRequest:
    """A request that is being served by the process."""
    return process.begin(client, route, wish.encode())
