"""Lets the faults of a plan happen at their time and end at theirs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.plan import KILL, Blow
from tests.chaos.targets import Target
from tests.chaos_deliveries.database import CrashableServer
from tests.chaos_deliveries.plan import Fault, FaultKind
from tests.chaos_deliveries.receiver import How
from tests.chaos_deliveries.subscribers import Subscribers
from tests.chaos_deliveries.verdict import Fallen
from tests.support.database import Database

_HOW: dict[FaultKind, How] = {
    "hang": "hang",
    "refuse": "refuse",
    "slow": "slow",
    "error": "error",
    "throttle": "throttle",
}
_CUT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name LIKE 'image-gateway%' AND datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Parts:
    """What can go wrong: gateways, their database, subscribers by name."""

    targets: Sequence[Target]
    server: CrashableServer
    database: Database
    subscribers: Subscribers
    names: Sequence[str]


@dataclass(slots=True)
class Faults:
    """One fault after the other; moments are monotonic seconds."""

    parts: Parts
    left: list[Fault]
    fallen: list[Fallen] = field(default_factory=list)
    _ends_at_s: float = 0.0
    _end: Callable[[], None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether all have happened and ended."""
        return not self.left and self._end is None

    def tick(self, began_at_s: float) -> None:
        """Begin what is due, end what has lasted long enough, bring killed processes back."""
        now_s = time.monotonic()
        for target in self.parts.targets:
            target.tick()
        if self._end is not None:
            if now_s >= self._ends_at_s:
                self._end()
                self._end = None
        elif self.left and now_s >= began_at_s + self.left[0].at_s:
            self._begin(self.left.pop(0))

    def _begin(self, fault: Fault) -> None:
        began_s = time.monotonic()
        self._ends_at_s = began_s + fault.lasts_s
        target, undo = self._strike(fault)

        def end() -> None:
            undo()
            self.fallen.append(Fallen(fault.kind, target, began_s, time.monotonic()))

        self._end = end

    def _strike(self, fault: Fault) -> tuple[str, Callable[[], None]]:
        """Do it; whom it struck, and what ends it."""
        parts = self.parts
        match fault.kind:
            case "kill":
                parts.targets[fault.target].strike(Blow(fault.target, KILL, 0.0, fault.lasts_s))
                return f"process {fault.target}", _nothing
            case "crash database":
                parts.server.crash()
                return "the database", parts.server.come_back
            case "cut backends":
                parts.database.value(_CUT)
                return "the database", _nothing
            case _:
                name = parts.names[fault.target]
                parts.subscribers.behave(name, _HOW[fault.kind])
                return name, lambda: parts.subscribers.behave(name, "well")


def _nothing() -> None:
    """It is over by itself."""
