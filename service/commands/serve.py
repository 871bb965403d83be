"""`all`, `api`, `worker`: checks settings and schema, then serves until SIGTERM and drains."""

import asyncio
import gc
import resource
import sys
from types import FrameType

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from service.app import Role, begin_shutdown, create_app
from service.commands.settings import settings_with_keys_or_exit
from service.db.engine import Database
from service.db.schema import MigrationsPending, require_migrated
from service.errors import Unavailable
from service.settings import Settings
from service.telemetry import start_logging

DATABASE_RETRY_S = 0.5
EXIT_NOT_READY = 1

log = structlog.get_logger(__name__)


class GatewayServer(uvicorn.Server):
    """uvicorn's server, but waiters hear of SIGTERM before it waits for their connections, for it would wait forever.

    Measured: with long polls open, the lifespan's shutdown never runs by itself.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On the first signal, let go of the waiters."""
        if not self.should_exit and self.started:
            self._loop.call_soon_threadsafe(begin_shutdown, self._app)
        super().handle_exit(sig, frame)


def main(name: str) -> int:
    """Serve; status 0 after a drained shutdown, 1 when the database is not there or not migrated, 2 for settings."""
    settings = settings_with_keys_or_exit()
    start_logging(settings.log_level)
    raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, Role(name)))


async def _serve(settings: Settings, role: Role) -> int:
    log.info("starting", role=role, **settings.masked())
    try:
        await _await_schema(settings)
    except (Unavailable, MigrationsPending) as exc:
        log.error("not_started", reason=exc.detail)
        print(f"gateway: {exc.detail}", file=sys.stderr)
        return EXIT_NOT_READY
    app = create_app(settings, role)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.drain_timeout_s),
    )
    spare_the_collector()
    server = GatewayServer(config, app)
    await server.serve()
    log.info("stopped", role=role)
    return 0 if server.started else EXIT_NOT_READY


async def _await_schema(settings: Settings) -> None:
    """Wait a while for Postgres and for whoever migrates it; then refuse to serve. Pods of a release start together."""
    database = Database(settings)
    deadline_s = asyncio.get_running_loop().time() + settings.database_wait_s
    try:
        while True:
            try:
                return await require_migrated(database)
            except (Unavailable, MigrationsPending) as exc:
                if asyncio.get_running_loop().time() > deadline_s:
                    raise
                log.warning("waiting_for_database", reason=exc.detail, retry_in_s=DATABASE_RETRY_S)
                await asyncio.sleep(DATABASE_RETRY_S)
    finally:
        await database.close()


def spare_the_collector() -> None:
    """Take what lives as long as the process out of the garbage collector's sight: 8 % of the CPU of a callback."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


def raise_file_limit() -> None:
    """Every waiter holds a connection: take as many file descriptors as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
