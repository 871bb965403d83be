"""Waking across processes: heard when all is well, noticed and mended when the listening connection is deaf."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from structlog.testing import capture_logs

from service.db.engine import Database as GatewayDatabase
from service.db.listen import DELIVERIES, TASKS, Bell
from service.settings import Settings
from service.worker import Loops
from tests.db.dead_path import DeadPath
from tests.support.database import Database
from tests.support.waiting import eventually_async

Heard = list[frozenset[str]]


class OpenBell(Protocol):
    def __call__(self, listen_url: str = ..., *, listen: bool = ...) -> AbstractAsyncContextManager["Ringer"]: ...


class Ringer:
    """A running bell and what was heard on its channel of tasks."""

    def __init__(self, bell: Bell) -> None:
        self.bell = bell
        self.heard: Heard = []
        bell.hear(TASKS, self.heard.append)

    async def listens(self) -> None:
        """Return as soon as it has begun to listen, which it says by an empty ring."""
        await eventually_async(self._was_called)

    async def hears(self, item: str) -> None:
        """Return as soon as the item was rung."""

        async def came() -> bool:
            return any(item in each for each in self.heard)

        await eventually_async(came, what=f"{item} is heard")

    async def _was_called(self) -> bool:
        return bool(self.heard)


@pytest.fixture
def open_bell(quiet_database: Database) -> OpenBell:
    """Bells that are tested every 0.1 s; their pool is that of the database, wherever they listen."""

    @asynccontextmanager
    async def opened(listen_url: str = "", *, listen: bool = True) -> AsyncIterator[Ringer]:
        pool = GatewayDatabase(Settings(database_url=SecretStr(quiet_database.url)))
        settings = Settings(database_url=SecretStr(listen_url or quiet_database.url), listen=listen)
        bell = Bell(settings, pool, probe_every_s=0.1, heard_within_s=0.3)
        loops = Loops((bell,))
        loops.start()
        try:
            yield Ringer(bell)
        finally:
            await loops.stop(10.0)
            await pool.close()

    return opened


def times_deaf() -> float:
    return REGISTRY.get_sample_value("gateway_bell_deaf_total") or 0.0


async def test_what_one_process_rings_another_one_hears(open_bell: OpenBell) -> None:
    async with open_bell() as here, open_bell() as there:
        await there.listens()

        here.bell.ring(TASKS, "a1")
        here.bell.ring(DELIVERIES)

        await there.hears("a1")
        assert here.heard.count(frozenset({"a1"})) == 1


async def test_a_bell_that_hears_is_left_alone(open_bell: OpenBell, quiet_database: Database) -> None:
    before = times_deaf()
    async with DeadPath(quiet_database.url) as path, open_bell(path.url) as here:
        await here.listens()

        # Time for many probes: each takes a turn of its own, and every ring is one as well.
        for number in range(20):
            async with open_bell() as there:
                there.bell.ring(TASKS, f"ring {number}")
                await here.hears(f"ring {number}")

        assert path.connections == 1
    assert times_deaf() == before


async def test_a_bell_whose_path_died_listens_anew_and_hears_again(
    open_bell: OpenBell, quiet_database: Database
) -> None:
    before = times_deaf()
    with capture_logs() as lines:
        async with DeadPath(quiet_database.url) as path, open_bell(path.url) as here, open_bell() as there:
            await here.listens()
            path.die()

            await eventually_async(lambda: logged(lines, "bell_hears_again"))
            there.bell.ring(TASKS, "after")

            await here.hears("after")
            assert path.connections > 1
    assert times_deaf() == before + 1


async def test_a_bell_that_will_never_hear_says_so_once_with_the_remedy_and_goes_on_trying(
    open_bell: OpenBell, worker_database: Database
) -> None:
    before = times_deaf()
    with capture_logs() as lines:
        # As behind a pooler: it may listen, but what others ring happens elsewhere.
        async with open_bell(worker_database.url) as here:
            await eventually_async(lambda: reached(before + 3))
            here.bell.ring(TASKS, "mine")

    assert [line for line in lines if line["event"] == "bell_deaf"] == [
        {
            "event": "bell_deaf",
            "log_level": "warning",
            "remedy": "connect without a pooler, or set GATEWAY_LISTEN=false; until then polling does all",
        }
    ]
    assert frozenset({"mine"}) in here.heard
    assert not any(line["event"] == "loop_turn_failed" for line in lines)


async def test_with_listening_off_no_connection_is_made_and_rings_are_heard_here_only(
    open_bell: OpenBell, quiet_database: Database
) -> None:
    async with open_bell(listen=False) as silent, open_bell() as other:
        await other.listens()
        silent.bell.ring(TASKS, "silent")
        other.bell.ring(TASKS, "other")

        connections = quiet_database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'image-gateway bell' "
            "AND datname = current_database()"
        )

    assert connections == 1
    assert silent.heard == [frozenset({"silent"})]
    assert frozenset({"silent"}) not in other.heard


async def logged(lines: list[dict[str, object]], event: str) -> bool:
    return any(line["event"] == event for line in lines)


async def reached(times: float) -> bool:
    return times_deaf() >= times
