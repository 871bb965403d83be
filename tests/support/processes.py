"""Real processes under test: started with a clean environment, waited for, signalled, their logs shown on failure."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from service.demo.children import dies_with_parent
from tests.support.postgres import ROOT, TestRun
from tests.support.waiting import eventually
from tests.support.warm import WarmStart

LOG_CHARACTERS_SHOWN = 8000
START_TIMEOUT_S = 30.0


class Child(Protocol):
    """A process that was started: subprocess.Popen, or one that was forked."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""

    def wait(self, timeout: float = ..., /) -> int:
        """Its exit code once it ended."""

    def send_signal(self, number: signal.Signals, /) -> None:
        """Send it, unless it has ended."""

    def kill(self) -> None:
        """End it at once."""


class Start(Protocol):
    """Starts `python -m <arguments>` in the project's root with this environment and this log."""

    def __call__(self, arguments: Sequence[str], environment: Mapping[str, str], log_path: Path, /) -> Child:
        """The running process."""


def started_cold(arguments: Sequence[str], environment: Mapping[str, str], log_path: Path) -> Child:
    """A process of its own, which has everything to import."""
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )


class Program:
    """One process of ours; whatever it prints is kept in a file."""

    def __init__(self, child: Child, log_path: Path) -> None:
        self.name = log_path.stem
        self._child = child
        self._log_path = log_path
        self._bytes_of_former_tests = 0

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; -9 after SIGKILL."""
        return self._child.poll()

    def log(self) -> str:
        """Everything it printed so far."""
        return self._log_path.read_text(errors="replace")

    def log_of_this_test(self) -> str:
        """What it printed since the running test began."""
        return self._log_path.read_bytes()[self._bytes_of_former_tests :].decode(errors="replace")

    def begin_test(self) -> None:
        """What is in the log now belongs to former tests."""
        self._bytes_of_former_tests = self._log_path.stat().st_size

    def wait_for_line(self, pattern: str, *, timeout_s: float = START_TIMEOUT_S) -> re.Match[str]:
        """The first match in its log; fails when the process ends without one."""

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.log())
            assert found or self.exit_code is None, f"{self.name} ended with {self.exit_code}:\n{self.log()}"
            return found

        return eventually(look, timeout_s=timeout_s, what=f"{pattern!r} in the log of {self.name}")

    def terminate(self) -> None:
        """Ask it to end (SIGTERM) and do not wait."""
        self._child.send_signal(signal.SIGTERM)

    def wait(self, *, timeout_s: float = 20.0) -> int:
        """Its exit code once it ended."""
        return self._child.wait(timeout_s)

    def stop(self, *, timeout_s: float = 20.0) -> int:
        """End it gently; its exit code. One that does not end in time is killed, and that is a failure."""
        if self.exit_code is None:
            self.terminate()
        try:
            return self.wait(timeout_s=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"{self.name} did not end within {timeout_s:g} s of SIGTERM:\n{self.log()}")

    def kill(self) -> None:
        """End it at once (`kill -9`), as a lost pod does."""
        self._child.kill()
        self._child.wait()

    def freeze(self) -> None:
        """Stop it from running (SIGSTOP), as a stalled machine does."""
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run on."""
        self._child.send_signal(signal.SIGCONT)


class Programs:
    """Starts programs and ends those that are left."""

    def __init__(self, log_directory: Path, start: Start = started_cold) -> None:
        self._log_directory = log_directory
        self._start = start
        self.started: list[Program] = []

    def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Program:
        """Run `python -m <arguments>` in the project's root with these GATEWAY_ and SANDBOX_ variables and no others.

        Call it from the main thread: on Linux the program is killed when the thread that started it ends.
        """
        log_path = self._log_directory / f"{name}-{len(self.started)}.log"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "SANDBOX_"))}
        program = Program(self._start(arguments, {**inherited, **environment}, log_path), log_path)
        self.started.append(program)
        return program

    def kill_all(self) -> None:
        """Leave nothing behind; tests that care how a program ends stop it themselves."""
        for program in self.started:
            program.kill()


ALL_PROGRAMS = pytest.StashKey[list[Programs]]()


@pytest.fixture(scope="session")
def warm_start() -> Iterator[WarmStart]:
    """Starts programs without their having to import everything anew."""
    with WarmStart(ROOT) as server:
        yield server


@pytest.fixture(scope="session")
def shared_programs(
    test_run: TestRun, worker_id_or_main: str, warm_start: WarmStart, pytestconfig: pytest.Config
) -> Iterator[Programs]:
    """Programs that live as long as the worker."""
    log_directory = Path(test_run.directory) / worker_id_or_main
    log_directory.mkdir()
    programs = Programs(log_directory, warm_start.start)
    pytestconfig.stash.setdefault(ALL_PROGRAMS, []).append(programs)
    yield programs
    programs.kill_all()


@pytest.fixture
def programs(tmp_path: Path, warm_start: WarmStart, pytestconfig: pytest.Config) -> Iterator[Programs]:
    """Programs that live as long as the test."""
    programs = Programs(tmp_path, warm_start.start)
    everybodys = pytestconfig.stash.setdefault(ALL_PROGRAMS, [])
    everybodys.append(programs)
    yield programs
    programs.kill_all()
    everybodys.remove(programs)


@pytest.fixture(scope="session")
def worker_id_or_main(request: pytest.FixtureRequest) -> str:
    """gw0, gw1 … under xdist."""
    worker_input = getattr(request.config, "workerinput", None)
    return worker_input["workerid"] if worker_input else "main"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for program in _started(item.config):
        program.begin_test()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for program in _started(item.config):
            if shown := program.log_of_this_test()[-LOG_CHARACTERS_SHOWN:]:
                report.sections.append((f"log of {program.name}", shown))
    return report


def _started(config: pytest.Config) -> list[Program]:
    return [program for programs in config.stash.get(ALL_PROGRAMS, []) for program in programs.started]
