"""Runs named loops side by side, remembers which of them fail, and stops them gently."""

import asyncio
from random import random
from typing import Protocol

import structlog

from service.telemetry import loop_failures_total, loop_up

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 15.0
SPREAD = 0.2
# One deadlock or one lost connection is no reason to take a process out of service.
FAILURES_UNTIL_FAILING = 3

log = structlog.get_logger(__name__)


class Loop(Protocol):
    """One background concern: `turn` does what is due, then says how long it may rest unless `wake` is set."""

    @property
    def name(self) -> str:
        """For logs, metrics and /readyz."""

    @property
    def wake(self) -> asyncio.Event:
        """Set by whoever has new work for the loop."""

    async def turn(self) -> float:
        """Do what is due; the seconds to rest at most."""

    async def drain(self) -> None:
        """Take no new work and end what is in flight."""


class Loops:
    """All loops of this process."""

    def __init__(self, loops: tuple[Loop, ...]) -> None:
        self._loops = loops
        self._failures = {loop.name: 0 for loop in loops}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    def start(self) -> None:
        """Start every loop in the running event loop."""
        self._tasks = [asyncio.create_task(self._run(loop), name=loop.name) for loop in self._loops]

    async def stop(self, within_s: float) -> None:
        """Let every loop end its turn and drain; what has not ended by then is canceled."""
        self._stopping = True
        for loop in self._loops:
            loop.wake.set()
        if not self._tasks:
            return
        _, unfinished = await asyncio.wait(self._tasks, timeout=within_s)
        for task in unfinished:
            log.error("loop_cut_off", loop=task.get_name(), within_s=within_s)
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    def failing(self) -> list[str]:
        """The names of loops whose last turns all raised or that are gone; empty while all is well."""
        gone = {task.get_name() for task in self._tasks if task.done()}
        failing = {name for name, failures in self._failures.items() if failures >= FAILURES_UNTIL_FAILING}
        return sorted(failing | gone)

    async def _run(self, loop: Loop) -> None:
        while not self._stopping:
            loop.wake.clear()
            await _rest(loop.wake, await self._turn(loop))
        await loop.drain()

    async def _turn(self, loop: Loop) -> float:
        try:
            rest_s = await loop.turn()
        except Exception:
            self._failures[loop.name] += 1
            loop_up.labels(loop.name).set(0)
            loop_failures_total.labels(loop.name).inc()
            log.exception("loop_turn_failed", loop=loop.name, failures=self._failures[loop.name])
            return backoff_s(self._failures[loop.name])
        self._failures[loop.name] = 0
        loop_up.labels(loop.name).set(1)
        return rest_s


def backoff_s(failures: int) -> float:
    """How long a loop rests after so many failures in a row: 0.5 s, 1 s, 2 s … 15 s."""
    return float(min(FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 10), LONGEST_BACKOFF_S))


async def _rest(wake: asyncio.Event, rest_s: float) -> None:
    """Rest until woken, or a little less than `rest_s`: loops that began together must not all run at once for ever."""
    try:
        await asyncio.wait_for(wake.wait(), rest_s * (1 - SPREAD * random()))
    except TimeoutError:
        return
