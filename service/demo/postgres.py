"""Runs a private PostgreSQL for development and tests; it ends with the process that started it, even by `kill -9`."""

import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from service.demo.children import free_port
from service.demo.postgres_home import Home, home_of, locked

ROLE = "gateway"
READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
POLL_S = 0.01
PORT_ATTEMPTS = 5
ALWAYS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200")
NEVER_WAIT_FOR_THE_DISK = ("fsync=off", "full_page_writes=off")


@dataclass(frozen=True)
class Server:
    """A running server: where to connect, and the process to signal when a test wants it gone."""

    url: str
    pid: int


@contextmanager
def running(data_dir: Path, *, durable: bool = True, port: int = 0, wait_s: float = 10.0) -> Iterator[Server]:
    """A server on 127.0.0.1 for as long as the block runs; call it from the main thread, whose end is the server's end.

    Durable: the data of the last run is there again. Not durable: starts empty, never waits for the disk, for tests.
    Port 0 takes a free one. Waits `wait_s` for a former server of the same directory to end.
    Raises PostgresUnavailable.
    """
    home = home_of(data_dir)
    with locked(home, wait_s) as lock:
        home.log_file.write_bytes(b"")
        if not durable:
            shutil.rmtree(home.cluster, ignore_errors=True)
        if not (home.cluster / "pgdata").exists():
            _create_cluster(home, lock, durable=durable)
        chosen_port, server = _start(home, lock, durable=durable, port=port)
        try:
            url = f"postgresql://{ROLE}:{home.password_file.read_text()}@127.0.0.1:{chosen_port}/postgres"
            yield Server(url, server.pid)
        finally:
            _stop(server)


def _create_cluster(home: Home, lock: IO[str], *, durable: bool) -> None:
    scratch = home.cluster / "pgdata.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    home.cluster.mkdir(mode=0o700, exist_ok=True)
    home.give_to_account(home.cluster)
    home.password_file.unlink(missing_ok=True)
    home.password_file.touch(mode=0o600)
    home.password_file.write_text(secrets.token_hex(16))
    home.give_to_account(home.password_file)
    locale = ("--no-locale", "-E", "UTF8")
    access = ("-U", ROLE, "-A", "scram-sha-256", f"--pwfile={home.password_file}")
    sync = () if durable else ("--no-sync",)
    if home.spawn("initdb", "-D", str(scratch), *locale, *access, *sync, lock=lock).wait() != 0:
        raise home.failed("initdb failed")
    scratch.rename(home.cluster / "pgdata")


def _start(home: Home, lock: IO[str], *, durable: bool, port: int) -> tuple[int, subprocess.Popen[bytes]]:
    """Start the server; a free port may be taken by another process before ours has it, then another one is tried."""
    (home.cluster / "pgdata" / "postmaster.pid").unlink(missing_ok=True)  # the lock says that nobody lives
    for attempt in range(1, PORT_ATTEMPTS + 1):
        chosen_port = port or free_port()
        options = (*ALWAYS, f"port={chosen_port}", *(() if durable else NEVER_WAIT_FOR_THE_DISK))
        arguments = [part for option in options for part in ("-c", option)]
        server = home.spawn("postgres", "-D", str(home.cluster / "pgdata"), *arguments, lock=lock)
        try:
            if _is_ready(server, home):
                return chosen_port, server
        except BaseException:
            _stop(server)
            raise
        if port or attempt == PORT_ATTEMPTS or "Address already in use" not in home.log_file.read_text():
            break
    raise home.failed("the server did not start")


def _is_ready(server: subprocess.Popen[bytes], home: Home) -> bool:
    """Wait until the server takes connections; False when it ended instead."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while server.poll() is None:
        if _says_ready(home.cluster / "pgdata" / "postmaster.pid"):
            return True
        if time.monotonic() > deadline:
            raise home.failed(f"the server was not ready after {READY_TIMEOUT_S:g} s")
        time.sleep(POLL_S)
    return False


def _says_ready(pid_file: Path) -> bool:
    """Line 8 of postmaster.pid is the server's state; the file comes and goes with the server."""
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)  # "fast": connections are cut, everything committed is written
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)
        server.wait()
