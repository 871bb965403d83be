"""Waking across processes by LISTEN/NOTIFY. It only makes things sooner: every loop and waiter also polls."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import asyncpg
import structlog
from sqlalchemy.engine import URL

from service.db.engine import asyncpg_url
from service.settings import Settings

TASKS, DELIVERIES = "gateway_tasks", "gateway_deliveries"

# A payload may have 8,000 bytes; a task id takes 33 with its comma.
ITEMS_PER_NOTIFY = 200
KEEPALIVE_S = 10.0

Hearer = Callable[[frozenset[str]], None]

log = structlog.get_logger(__name__)


class Bell:
    """Rings a channel here at once and in the other processes soon; a loop of the usual outline.

    Rings are gathered while a NOTIFY is under way and go out together, outside every hot transaction, since a
    commit that notifies takes a lock over the whole database.
    """

    name = "bell"

    def __init__(self, settings: Settings) -> None:
        self._url = asyncpg_url(settings.database_url.get_secret_value())
        self._enabled = settings.listen
        self._hearers: dict[str, list[Hearer]] = defaultdict(list)
        self._unsent: dict[str, set[str]] = defaultdict(set)
        self._connection: asyncpg.Connection[Any] | None = None
        self.wake = asyncio.Event()

    def hear(self, channel: str, hearer: Hearer) -> None:
        """Call `hearer` with the items rung on `channel`, by whichever process; it must be quick and not raise."""
        self._hearers[channel].append(hearer)

    def ring(self, channel: str, item: str = "") -> None:
        """Say that something changed. Call it after the commit: who is woken must see the change."""
        self._heard(channel, frozenset({item}))
        if self._enabled:
            self._unsent[channel].add(item)
            self.wake.set()

    async def turn(self) -> float:
        """Connect if needed, send what was rung, and answer how long to rest."""
        if not self._enabled:
            return KEEPALIVE_S
        connection = await self._connected()
        pending, self._unsent = self._unsent, defaultdict(set)
        if not pending:
            await connection.execute("SELECT 1", timeout=KEEPALIVE_S)
        for channel, items in pending.items():
            for payload in _payloads(sorted(items)):
                await connection.execute("SELECT pg_notify($1, $2)", channel, payload, timeout=KEEPALIVE_S)
        return KEEPALIVE_S

    async def drain(self) -> None:
        """Send what is still unsent, then close the connection."""
        if self._connection is None:
            return
        await self.turn()
        await self._connection.close(timeout=1.0)

    async def _connected(self) -> "asyncpg.Connection[Any]":
        if self._connection is None or self._connection.is_closed():
            self._connection = await _connect(self._url)
            for channel in (TASKS, DELIVERIES):
                await self._connection.add_listener(channel, self._on_notify)
                self._heard(channel, frozenset())  # whatever was rung while nobody listened
        return self._connection

    def _on_notify(self, connection: object, pid: int, channel: str, payload: object) -> None:
        mine = self._connection is not None and pid == self._connection.get_server_pid()
        if not mine:
            self._heard(channel, frozenset(str(payload).split(",")))

    def _heard(self, channel: str, items: frozenset[str]) -> None:
        for hearer in self._hearers[channel]:
            hearer(items)


def _payloads(items: list[str]) -> list[str]:
    starts = range(0, len(items), ITEMS_PER_NOTIFY)
    return [",".join(items[start : start + ITEMS_PER_NOTIFY]) for start in starts]


async def _connect(url: URL) -> "asyncpg.Connection[Any]":
    return await asyncpg.connect(
        host=url.host,
        port=url.port,
        user=url.username,
        password=url.password,
        database=url.database,
        ssl=url.query.get("ssl"),
        server_settings={"application_name": "image-gateway bell"},
    )
