"""Starts programs of ours by forking a process that has imported them already: to import them takes a second each.

`WarmStart` is the tests' side. Run as a program, this module is the other side: it reads a request a line, forks, and
tells how a child ended when asked. A child is a process like any other: its own environment, log and end.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from service.demo.children import dies_with_parent
from tests.support.waiting import eventually

IMPORTED = ("service.commands.serve", "service.sandbox.serve")


class ForkedChild:
    """As much of `subprocess.Popen` as tests need."""

    def __init__(self, server: "WarmStart", pid: int) -> None:
        self.pid = pid
        self._server = server
        self._code: int | None = None

    def poll(self) -> int | None:
        """None while it runs, else its exit code, or minus the signal that ended it."""
        if self._code is None:
            self._code = self._server.ask({"ended": self.pid})
        return self._code

    def wait(self, timeout_s: float = 60.0) -> int:
        """Its exit code once it ended; subprocess.TimeoutExpired if it does not in time."""
        try:
            eventually(lambda: self.poll() is not None, timeout_s=timeout_s)
        except AssertionError:
            raise subprocess.TimeoutExpired(str(self.pid), timeout_s) from None
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """At once."""
        self.send_signal(signal.SIGKILL)


class WarmStart:
    """One warm process; its children die with it, and it with the test process."""

    def __init__(self, root: Path) -> None:
        self._asking = threading.Lock()
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm"],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.kill()
        self._server.communicate()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log_path: Path) -> ForkedChild:
        """Run `python -m <arguments>` with this environment; what it prints goes to the end of the file."""
        log_path.touch()  # somebody may read it before the child has opened it
        request = {"arguments": list(arguments), "environment": dict(environment), "log_path": str(log_path)}
        return ForkedChild(self, self.ask(request))

    def ask(self, request: Mapping[str, Any]) -> Any:
        """The answer to one request."""
        assert self._server.stdin
        assert self._server.stdout
        with self._asking:
            self._server.stdin.write(json.dumps(request).encode() + b"\n")
            self._server.stdin.flush()
            answer = self._server.stdout.readline()
        assert answer, "the process that starts programs has ended"
        return json.loads(answer)


def serve() -> None:
    """Answer requests until there are no more."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # for the children too: a collector that went through all this would copy it for each of them
    for line in sys.stdin.buffer:
        request = json.loads(line)
        answer = ended(request["ended"]) if "ended" in request else forked(request)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def ended(pid: int) -> int | None:
    """The exit code of a child, None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def forked(request: Mapping[str, Any]) -> int:
    """The id of a new process; in that process itself, its program has run when this ends, by SystemExit."""
    bind = dies_with_parent(signal.SIGKILL)
    pid = os.fork()
    if pid:
        return pid
    bind()
    os.environ.clear()
    os.environ.update(request["environment"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log_path"], os.O_WRONLY | os.O_APPEND)
    for ours, theirs in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(ours, theirs)
    os.close(nothing)
    os.close(log)
    sys.argv = list(request["arguments"])
    runpy.run_module(request["arguments"][0], run_name="__main__", alter_sys=True)
    sys.exit(0)


if __name__ == "__main__":
    serve()
