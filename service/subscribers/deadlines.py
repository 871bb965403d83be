"""Ends what takes too long, with one timer for all: one for each costs every send a tenth of its CPU (decision 19)."""

import asyncio
from math import inf
from time import monotonic
from types import TracebackType
from typing import Self

# A timer may go off a little before its time.
TIMER_IS_EARLY_BY_S = 0.001


class Deadlines:
    """`with deadlines.within(15.0):` raises TimeoutError in the task that is still inside after so many seconds.

    As asyncio.timeout does it, by canceling the task. Those of one length end in the order in which they began, so only
    the first of each length is looked at, and the timer is set anew when it has gone off, not with every block.
    """

    def __init__(self) -> None:
        self._by_length: dict[float, dict[Deadline, None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_s = inf

    def within(self, seconds: float) -> "Deadline":
        """A block that may take so long; without time left it ends at its first wait."""
        return Deadline(self, seconds)

    @property
    def running(self) -> int:
        """How many blocks are under way."""
        return sum(map(len, self._by_length.values()))

    def begin(self, deadline: "Deadline") -> None:
        """A block is entered."""
        self._by_length.setdefault(deadline.length_s, {})[deadline] = None
        if deadline.at_s < self._timer_at_s:
            self._set_timer(deadline.at_s)

    def end(self, deadline: "Deadline") -> None:
        """A block is left."""
        running = self._by_length[deadline.length_s]
        del running[deadline]
        if not running:
            del self._by_length[deadline.length_s]

    def _set_timer(self, at_s: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at_s - monotonic()), self._look)
        self._timer_at_s = at_s

    def _look(self) -> None:
        self._timer, self._timer_at_s = None, inf
        now_s = monotonic() + TIMER_IS_EARLY_BY_S
        next_s = min((_end_all_until(now_s, running) for running in self._by_length.values()), default=inf)
        if next_s < inf:
            self._set_timer(next_s)


class Deadline:
    """One such block."""

    __slots__ = ("_among", "_cancels", "_is_over", "_task", "at_s", "length_s")

    def __init__(self, among: Deadlines, length_s: float) -> None:
        self._among = among
        self.length_s = length_s
        self.at_s = inf
        self._task: asyncio.Task[object] | None = None
        self._cancels = 0
        self._is_over = False

    def __enter__(self) -> Self:
        """Begin to count. Raises RuntimeError outside of a task."""
        self._task = asyncio.current_task()
        if self._task is None:
            raise RuntimeError("a deadline is for a task")
        self._cancels = self._task.cancelling()
        self.at_s = monotonic() + self.length_s
        self._among.begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raise TimeoutError where the cancellation was ours alone."""
        self._among.end(self)
        if self._is_over and self._task and self._task.uncancel() <= self._cancels and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def cut_off(self) -> None:
        """Its time is over."""
        if self._task and not self._is_over:
            self._is_over = True
            self._task.cancel()


def _end_all_until(now_s: float, running: dict[Deadline, None]) -> float:
    """Cut off those whose time is over; when the next one's is."""
    for deadline in running:
        if deadline.at_s > now_s:
            return deadline.at_s
        deadline.cut_off()
    return inf
