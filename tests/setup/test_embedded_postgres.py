"""The private Postgres of `make run` and of the tests: keeps its data, and never outlives whoever started it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.demo import postgres, postgres_home
from service.demo.postgres_home import PostgresUnavailable
from tests.support.postgres import ROOT
from tests.support.waiting import eventually

HOLDER = """
import sys, time
from pathlib import Path
from service.demo import postgres
with postgres.running(Path(sys.argv[1])) as server:
    print(server.url, server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "postgres"
    yield place
    for made in tmp_path.iterdir():
        with postgres_home.locked(postgres_home.home_of(made), wait_s=10):  # a killed server may still be ending
            shutil.rmtree(made.resolve())


@pytest.fixture
def holder(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(data_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        yield child
        child.kill()


def ask(url: str, sql: str) -> Any:
    async def asked() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(asked())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_the_data_of_the_last_run_is_there_again(data_dir: Path) -> None:
    with postgres.running(data_dir) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")

    with postgres.running(data_dir) as server:
        assert ask(server.url, "SELECT answer FROM kept") == 42


def test_a_server_for_tests_starts_empty(data_dir: Path) -> None:
    with postgres.running(data_dir, durable=False) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")

    with postgres.running(data_dir, durable=False) as server:
        assert ask(server.url, "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_kill_9_of_the_starter_leaves_no_server_and_every_committed_row(
    data_dir: Path, holder: subprocess.Popen[str]
) -> None:
    assert holder.stdout is not None
    url, pid = holder.stdout.readline().split()
    ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")

    holder.send_signal(signal.SIGKILL)

    eventually(lambda: not is_alive(int(pid)), what="the server is gone")
    with postgres.running(data_dir) as server:
        assert ask(server.url, "SELECT answer FROM kept") == 42


def test_a_second_server_on_the_same_data_is_refused_with_a_sentence(
    data_dir: Path, holder: subprocess.Popen[str]
) -> None:
    assert holder.stdout is not None
    holder.stdout.readline()

    with pytest.raises(PostgresUnavailable, match="is in use"), postgres.running(data_dir, wait_s=0):
        pass


def test_only_the_generated_password_opens_it(data_dir: Path) -> None:
    with postgres.running(data_dir, durable=False) as server:
        password = postgres_home.home_of(data_dir).password_file.read_text()

        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(server.url.replace(password, "guessed"), "SELECT 1")


def test_a_server_that_cannot_start_says_why(data_dir: Path) -> None:
    with postgres.running(data_dir, durable=False) as server:
        taken_port = int(server.url.split(":")[-1].split("/")[0])

        with (
            pytest.raises(PostgresUnavailable, match="Address already in use"),
            postgres.running(data_dir.with_name("second"), durable=False, port=taken_port),
        ):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
def test_as_root_the_server_runs_as_somebody_else_and_its_data_is_closed_to_others(data_dir: Path) -> None:
    with postgres.running(data_dir, durable=False) as server:
        home = postgres_home.home_of(data_dir)

        assert Path(f"/proc/{server.pid}").stat().st_uid != 0
        assert home.cluster.stat().st_mode & 0o077 == 0
        assert home.directory.stat().st_uid == 0
