"""Runs the gateway's own commands as child processes: a log file each, ended in order and never left behind."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from service.demo.children import dies_with_parent
from service.demo.ending import DemoFailed
from service.demo.plan import ROOT
from service.demo.screen import shown

POLL_S = 0.02
LOG_LINES_SHOWN = 12


@dataclass(frozen=True)
class Program:
    """One running command."""

    name: str
    child: subprocess.Popen[bytes]
    log_file: Path

    def wait_until(self, is_ready: Callable[[], bool], within_s: float) -> None:
        """Return once it is ready. Raises DemoFailed when it ends instead or takes longer."""
        deadline_s = time.monotonic() + within_s
        while self.require_alive() and not is_ready():
            if time.monotonic() > deadline_s:
                raise self.failed(f"was not ready after {within_s:g} s")
            time.sleep(POLL_S)

    def wait_until_done(self, within_s: float) -> None:
        """Return once it ended well. Raises DemoFailed when it did not, or takes longer."""
        try:
            status = self.child.wait(within_s)
        except subprocess.TimeoutExpired as exc:
            raise self.failed(f"was not done after {within_s:g} s") from exc
        if status != 0:
            raise self.failed(f"ended with status {status}")

    def require_alive(self) -> bool:
        """True. Raises DemoFailed when it has ended."""
        status = self.child.poll()
        if status is not None:
            raise self.failed(f"ended with status {status}")
        return True

    def failed(self, what: str) -> DemoFailed:
        """The error to raise, with the end of its log."""
        log_end = "\n".join(self.log_file.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
        return DemoFailed(f"{self.name} {what}. The end of {shown(self.log_file)}:\n{log_end}")


@contextmanager
def running(
    command: str, environment: Mapping[str, str], log_file: Path, *, stop_within_s: float = 5.0
) -> Iterator[Program]:
    """`python -m service COMMAND` for as long as the block runs; then it is asked to end, and killed if it does not.

    A session of its own keeps the terminal's Ctrl-C from it, so that what needs another part ends before that part.
    """
    with log_file.open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "service", command],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )
    try:
        yield Program(log_file.stem, child, log_file)
    finally:
        _stop(child, stop_within_s)


def _stop(child: subprocess.Popen[bytes], within_s: float) -> None:
    """A second Ctrl-C cuts the waiting short, hence `finally`."""
    child.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            child.wait(within_s)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
