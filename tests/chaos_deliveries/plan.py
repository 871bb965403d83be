"""What a run of chaos among deliveries does: how many events, which fault when and how long; drawn from one seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal, get_args

# The first three strike the gateway and its database, the others a subscriber.
FaultKind = Literal["kill", "crash database", "cut backends", "hang", "refuse", "slow", "error", "throttle"]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
OURS: frozenset[FaultKind] = frozenset({"kill", "crash database", "cut backends"})

DELIVERY_TIMEOUT_S = 2.0
SLOW_ANSWER_S = 0.5

# Short rests and times, so that every way to heal is gone through within a run.
SETTINGS: Mapping[str, str] = {
    "GATEWAY_DELIVERY_TIMEOUT_S": str(DELIVERY_TIMEOUT_S),
    "GATEWAY_DELIVERY_CONNECT_TIMEOUT_S": "1",
    "GATEWAY_DELIVERY_BREAKER_FIRST_S": "0.5",
    "GATEWAY_DELIVERY_BREAKER_MAX_S": "1",
    "GATEWAY_DATABASE_POOL_TIMEOUT_S": "2",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong so many seconds after the first event, for a while, with one of several targets."""

    kind: FaultKind
    at_s: float
    lasts_s: float
    target: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One run; the same numbers give the same faults in the same order."""

    events: int
    seed: int
    events_per_s: float = 100.0
    fault_every_s: float = 5.0
    lasts_max_s: float = 2.0
    processes: int = 2
    subscriptions: int = 5

    @property
    def lasts_s(self) -> float:
        """How long events are made."""
        return self.events / self.events_per_s

    def faults(self) -> list[Fault]:
        """Every kind once before any comes twice, in the seed's order; the last one ends while events are made."""
        chance = random.Random(f"{self.seed} faults")
        order = list(FAULT_KINDS)
        chance.shuffle(order)
        count = int(self.lasts_s / self.fault_every_s) - 1
        return [self._fault(chance, kind, number) for number, kind in enumerate(islice(cycle(order), count), start=1)]

    def _fault(self, chance: random.Random, kind: FaultKind, number: int) -> Fault:
        lasts_s = chance.uniform(0.2, 1.0) * self.lasts_max_s
        targets = self.processes if kind == "kill" else self.subscriptions
        return Fault(kind, number * self.fault_every_s, lasts_s, chance.randrange(targets))
