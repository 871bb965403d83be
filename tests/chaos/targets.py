"""Gateway processes in the line of fire: killed and started again, frozen and thawed, as a plan says."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import httpx

from tests.chaos.plan import Blow
from tests.support.processes import Program, Programs
from tests.support.sandbox import Sandbox

LOOK_EVERY_S = 0.02
READY_WITHIN_S = 30.0
# When nothing moves on, the next blow falls anyway: the run must not wait for what only a blow would bring.
STALLED_S = 3.0


class State(StrEnum):
    """How a process stands."""

    STARTING = "starting"
    UP = "up"
    DEAD = "dead"
    FROZEN = "frozen"


class Target:
    """One gateway process; it keeps its address over all its lives."""

    def __init__(self, programs: Programs, environment: Mapping[str, str]) -> None:
        self.url = f"http://127.0.0.1:{environment['GATEWAY_PORT']}"
        self.ended_by_itself: list[str] = []
        self._programs = programs
        self._environment = environment
        self._program = self._started()
        self._client = httpx.Client(base_url=self.url, timeout=0.5, trust_env=False)

    @property
    def is_up(self) -> bool:
        """Whether it answers, so that a blow meets it at work."""
        return self.state is State.UP

    def strike(self, blow: Blow) -> None:
        """Kill or freeze it."""
        if blow.kind == "kill":
            self._program.kill()
            self.state = State.DEAD
        else:
            self._program.freeze()
            self.state = State.FROZEN
        self._back_at_s = time.monotonic() + blow.down_s

    def tick(self) -> None:
        """Bring it back when its time has come; notice when it is ready, or has ended by itself."""
        now_s = time.monotonic()
        if self.state is State.DEAD and now_s >= self._back_at_s:
            self._program = self._started()
        elif self.state is State.FROZEN and now_s >= self._back_at_s:
            self._program.thaw()
            self.state = State.UP
        elif self.state is State.STARTING and self._is_ready():
            self.state = State.UP
        elif self.state is not State.DEAD and self._program.exit_code is not None:
            self.ended_by_itself.append(f"{self._program.name} ended with {self._program.exit_code}")
            self.state, self._back_at_s = State.DEAD, now_s
        assert self.state is not State.STARTING or now_s < self._ready_until_s, f"not ready: {self._program.log()}"

    def close(self) -> None:
        """End it and its client."""
        self._program.kill()
        self._client.close()

    def _started(self) -> Program:
        self.state = State.STARTING
        self._ready_until_s = time.monotonic() + READY_WITHIN_S
        return self._programs.start("gateway", ["service", "all"], self._environment)

    def _is_ready(self) -> bool:
        try:
            return self._client.get("/readyz").is_success
        except httpx.TransportError:
            return False


class Firing:
    """Lets the blows of a plan fall one after the other, each on a process that is at work."""

    def __init__(self, targets: Sequence[Target], sandbox: Sandbox, blows: Sequence[Blow]) -> None:
        self.fallen: Counter[str] = Counter()
        self._targets = targets
        self._sandbox = sandbox
        self._left = list(blows)
        self._last_at_s = time.monotonic()
        self._never = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether every blow has fallen."""
        return not self._left

    def run_until(self, is_done: Callable[[], bool], progress: Callable[[], float], timeout_s: float) -> bool:
        """Strike, and bring back what was struck, until all is done; False when that does not come in time."""
        deadline_s = time.monotonic() + timeout_s
        while not (self.is_over and self._all_up() and is_done()):
            if time.monotonic() > deadline_s:
                return False
            self._tick(progress)
            self._never.wait(LOOK_EVERY_S)
        return True

    def _tick(self, progress: Callable[[], float]) -> None:
        for target in self._targets:
            target.tick()
        if self._left and self._targets[self._left[0].target].is_up and self._is_due(self._left[0], progress):
            blow = self._left.pop(0)
            self._sandbox.moods(blow.moods)
            self._targets[blow.target].strike(blow)
            self.fallen[blow.kind] += 1
            self._last_at_s = time.monotonic()

    def _is_due(self, blow: Blow, progress: Callable[[], float]) -> bool:
        return time.monotonic() > self._last_at_s + STALLED_S or progress() >= blow.at_progress

    def _all_up(self) -> bool:
        return all(target.is_up for target in self._targets)
