"""What a run of chaos does: how many tasks, which blows to which process and when; all drawn from one seed."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Literal

Kind = Literal["kill", "freeze"]
KILL: Kind = "kill"
FREEZE: Kind = "freeze"

ACTIVE_TASK_CAP = 20
SUBMIT_TOTAL_S = 2.0
LEASE_MARGIN_S = 1.0
# A frozen process sleeps past the lease of every task that it was sending.
FREEZE_S = SUBMIT_TOTAL_S + LEASE_MARGIN_S + 1.0
# Blows fall while tasks are submitted and while they end; the last of them end in peace.
LAST_BLOW_AT = 0.9
KILLS_PER_FREEZE = 5

MOODS: Mapping[str, Any] = {
    "active_task_cap": ACTIVE_TASK_CAP,
    "duration_form": "range",
    "duration_s": 0.2,
    "duration_max_s": 1.2,
    # A call takes long enough for a process to be killed in it, on either side of the charge.
    "accept_delay_s": 0.05,
    "answer_delay_s": 0.05,
    "create_cut": {"rate": 0.1, "at": "accepted", "how": "close"},
    "create_error": {"rate": 0.05, "status": 502, "when": "before"},
    "callback_lost": {"rate": 0.3},
    "callback_twice": {"rate": 0.1},
    "busy_poll": {"rate": 0.33, "form": "mixed"},
    "task_error": {"rate": 0.05, "code": "content_policy_violation"},
}

# Short lives for leases, slots and patience, so that every way to heal is gone through within a run.
SETTINGS: Mapping[str, str] = {
    "GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": str(ACTIVE_TASK_CAP),
    "GATEWAY_SUBMIT_TOTAL_S": str(SUBMIT_TOTAL_S),
    "GATEWAY_SUBMIT_LEASE_MARGIN_S": str(LEASE_MARGIN_S),
    "GATEWAY_UPSTREAM_SLOT_MAX_S": "30",
    "GATEWAY_UPSTREAM_CONNECT_TIMEOUT_S": "1",
    "GATEWAY_UPSTREAM_READ_TIMEOUT_S": "2",
    "GATEWAY_UPSTREAM_RETRY_BUDGET_S": "3",
    "GATEWAY_RECONCILE_QUIET_S": "1.5",
    "GATEWAY_RECONCILE_POLLS_PER_S": "40",
    "GATEWAY_RECONCILE_INTERVAL_MAX_S": "5",
    "GATEWAY_UNKNOWN_SEARCH_FIRST_S": "0.5",
    "GATEWAY_UNKNOWN_GIVE_UP_S": "60",
    "GATEWAY_DATABASE_POOL_SIZE": "10",
}


@dataclass(frozen=True, slots=True)
class Blow:
    """What is done to one process once the run has come so far (0 to 1), and what the upstream turns to with it."""

    target: int
    kind: Kind
    at_progress: float
    down_s: float
    moods: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run; the same numbers give the same blows, requests and moods in the same order."""

    tasks: int
    kills: int
    seed: int
    processes: int = 2

    @property
    def freezes(self) -> int:
        """How often a process is frozen."""
        return max(1, self.kills // KILLS_PER_FREEZE)

    def blows(self) -> list[Blow]:
        """Every blow, in the order in which they fall."""
        chance = random.Random(f"{self.seed} blows")
        kinds: list[Kind] = [*repeat(KILL, self.kills), *repeat(FREEZE, self.freezes)]
        chance.shuffle(kinds)
        moments = sorted(chance.uniform(0, LAST_BLOW_AT) for _ in kinds)
        return [self._blow(chance, kind, moment) for kind, moment in zip(kinds, moments, strict=True)]

    def orders(self) -> Iterator["Order"]:
        """What the clients ask for; no two prompts are alike."""
        chance = random.Random(f"{self.seed} orders")
        return (self._order(chance, number) for number in range(self.tasks))

    def _blow(self, chance: random.Random, kind: Kind, moment: float) -> Blow:
        moods = {
            "create_cut": {"how": chance.choice(["close", "reset"])},
            "create_error": {"when": chance.choice(["before", "after"])},
        }
        down_s = FREEZE_S if kind == "freeze" else chance.uniform(0, 0.5)
        return Blow(chance.randrange(self.processes), kind, moment, down_s, moods)

    def _order(self, chance: random.Random, number: int) -> "Order":
        return Order(
            number=number,
            client=chance.choice(["alpha", "beta"]),
            key=f"chaos-{self.seed}-{number}",
            asset=chance.randbytes(150_000) if chance.random() < 0.2 else b"",
            hangs_up_after_s=chance.uniform(0.02, 0.2) if chance.random() < 0.1 else None,
            asks_again=chance.random() < 0.05,
        )


@dataclass(frozen=True, slots=True)
class Order:
    """One task that a client wants; some clients hang up on their first request, some send the last one again."""

    number: int
    client: Literal["alpha", "beta"]
    key: str
    asset: bytes
    hangs_up_after_s: float | None
    asks_again: bool

    @property
    def prompt(self) -> str:
        """Tells this order from every other one in the sandbox's ledger."""
        return f"{self.key} @img1" if self.asset else self.key
