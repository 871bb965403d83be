"""Waking across processes by LISTEN/NOTIFY. It only makes things sooner: every loop and waiter also polls."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any
from uuid import uuid4

import asyncpg
import structlog
from sqlalchemy import text

from service.db.engine import Database
from service.db.line import connect
from service.db.probe import Probe
from service.errors import Unavailable
from service.settings import Settings
from service.telemetry import bell_deaf_total

TASKS, DELIVERIES = "gateway_tasks", "gateway_deliveries"

# A payload may have 8,000 bytes; a task id takes 33 with its comma.
ITEMS_PER_NOTIFY = 200
ANSWER_WITHIN_S = 10.0
SESSION = {"application_name": "image-gateway bell"}
PROBE_EVERY_S = 10.0
HEARD_WITHIN_S = 3.0
REMEDY = "connect without a pooler, or set GATEWAY_LISTEN=false; until then polling does all"

Hearer = Callable[[frozenset[str]], None]

_NOTIFY = text("SELECT pg_notify(:channel, '')")
_LOST = (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

log = structlog.get_logger(__name__)


class Bell:
    """Rings a channel here at once and in the other processes soon; a loop of the usual outline.

    Rings are gathered while a NOTIFY is under way and go out together, outside every hot transaction, since a
    commit that notifies takes a lock over the whole database.

    A connection can listen and yet hear nothing: behind a pooler that gives it another server with each transaction, or
    when its path is dead and nobody says so. So every few seconds a probe is rung by another connection; a bell that
    does not hear it hangs up and listens anew.
    """

    name = "bell"

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        probe_every_s: float = PROBE_EVERY_S,
        heard_within_s: float = HEARD_WITHIN_S,
    ) -> None:
        self._settings = settings
        self._enabled = settings.listen
        self._database = database
        self._probe = Probe(probe_every_s, heard_within_s)
        self._hearers: dict[str, list[Hearer]] = defaultdict(list)
        self._unsent: dict[str, set[str]] = defaultdict(set)
        self._connection: asyncpg.Connection[Any] | None = None
        self._probe_channel = f"gateway_probe_{uuid4().hex}"
        self._is_deaf = False
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
        """Listen if that is not so, send what was rung, make sure that we hear, and answer how long to rest."""
        if not self._enabled:
            return PROBE_EVERY_S
        try:
            connection = await self._connected()
            await self._send(connection)
        except _LOST:
            self._hang_up()
            raise
        await self._test_hearing(connection)
        return self._probe.rest_s(monotonic())

    async def drain(self) -> None:
        """Send what is still unsent, then close the connection."""
        if self._connection is None:
            return
        with suppress(*_LOST):
            await self._send(self._connection)
            await self._connection.close(timeout=1.0)

    async def _send(self, connection: "asyncpg.Connection[Any]") -> None:
        pending, self._unsent = self._unsent, defaultdict(set)
        for channel, items in pending.items():
            for payload in _payloads(sorted(items)):
                await connection.execute("SELECT pg_notify($1, $2)", channel, payload, timeout=ANSWER_WITHIN_S)

    async def _connected(self) -> "asyncpg.Connection[Any]":
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._settings, SESSION, keeps_statements=False, within_s=ANSWER_WITHIN_S)
            await self._connection.add_listener(self._probe_channel, self._on_probe)
            for channel in (TASKS, DELIVERIES):
                await self._connection.add_listener(channel, self._on_notify)
                self._heard(channel, frozenset())  # whatever was rung while nobody listened
            # Where listening never works, not more often than needed.
            self._probe.start(monotonic() + (self._probe.every_s if self._is_deaf else 0.0))
        return self._connection

    def _hang_up(self) -> None:
        """Without a goodbye, which would take minutes on a dead path."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _test_hearing(self, connection: "asyncpg.Connection[Any]") -> None:
        now_s = monotonic()
        if self._probe.is_due(now_s):
            await self._send_probe(now_s)
        elif self._probe.is_overdue(now_s) and not await self._hears_after_all(connection):
            self._say_deaf()
            self._hang_up()
            self._probe.start(0.0)

    async def _send_probe(self, now_s: float) -> None:
        self._probe.send(now_s)  # first, for it may be heard before the statement has returned
        try:
            await self._database.statement(_NOTIFY, {"channel": self._probe_channel})
        except Unavailable:
            self._probe.start(now_s)
            raise

    async def _hears_after_all(self, connection: "asyncpg.Connection[Any]") -> bool:
        """Not if the probe is still missing after a round trip: what came before its answer has been read by then.

        So a process that was frozen, or too busy to read, is not taken for deaf.
        """
        with suppress(*_LOST):
            await connection.execute("SELECT 1", timeout=self._probe.within_s)
        return not self._probe.is_under_way

    def _say_deaf(self) -> None:
        bell_deaf_total.inc()
        if not self._is_deaf:
            log.warning("bell_deaf", remedy=REMEDY)
        self._is_deaf = True

    def _on_probe(self, connection: object, pid: int, channel: str, payload: object) -> None:
        self._probe.hear(monotonic())
        if self._is_deaf:
            log.info("bell_hears_again")
        self._is_deaf = False

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
