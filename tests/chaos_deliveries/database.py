"""A PostgreSQL server of the run's own, which can crash and come back with all that was committed."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from service.demo import postgres
from service.demo.postgres_home import home_of


class CrashableServer:
    """Keeps its address and its data over all its lives; waits for the disk, since its crashes are real."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._life = ExitStack()
        self._server = self._life.enter_context(postgres.running(data_dir))
        self.url = self._server.url
        self._port = int(self.url.rpartition(":")[2].partition("/")[0])

    def crash(self) -> None:
        """End it at once, without a checkpoint and with no word to its clients."""
        os.kill(self._server.pid, signal.SIGQUIT)
        self._life.close()

    def come_back(self) -> None:
        """Start it again; it recovers from its log first."""
        self._server = self._life.enter_context(postgres.running(self._data_dir, port=self._port))

    def close(self) -> None:
        """Stop it."""
        self._life.close()


@contextmanager
def crashable_server(data_dir: Path) -> Iterator[CrashableServer]:
    """A server for the length of the block; its files go with it. Call it from the main thread."""
    server = CrashableServer(data_dir)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(home_of(data_dir).directory, ignore_errors=True)
