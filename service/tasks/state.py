"""The life of a task as one pure function: what a report does to a task that stands somewhere.

    (request) ─► queued ──slot free──► submitting ──accepted──► processing ──report──► succeeded
                   ▲ │                  │   │                     │   └──────report──► failed
                   │ └─cancel─►canceled │   └─refused──► failed   └─deadline─► failed
                   └──not taken─────────┤
                                        └─ outcome unknown ─► unknown ──report──► processing | succeeded | failed
                                                                 └─give up─► failed

Final states stay. But an end that the gateway declared itself (deadline, outcome unknown, cancel) still takes the
upstream's late word: the state stays, result and cost are added, and `task.result_late` tells of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Literal, NamedTuple

State = Literal["queued", "submitting", "processing", "unknown", "succeeded", "failed", "canceled"]
EventType = Literal[
    "task.queued", "task.processing", "task.succeeded", "task.failed", "task.canceled", "task.result_late"
]
# What somebody learned about a task:
Report = Literal[
    "sending",  # a process is about to make the paid call
    "accepted",  # the upstream took it and named its id
    "refused",  # the upstream's verdict on the request
    "not_taken",  # provably not accepted, and assets are at hand to send it again
    "not_taken_finally",  # provably not accepted, and it will not be sent again
    "outcome_unknown",  # the call ended without a verdict, or the process that made it is gone
    "running",  # the upstream works on it
    "finished",  # the upstream has images
    "errored",  # the upstream gave up
    "gone",  # the upstream does not know it any more
    "gave_up",  # nobody knows, and the time to find out is over
    "deadline_passed",  # the task is older than it may become
    "canceled",  # the caller took it back, and that is settled with the upstream
    "hint",  # somebody who holds the receive_url said something: a reason to ask, no more
]

STATES: tuple[State, ...] = ("queued", "submitting", "processing", "unknown", "succeeded", "failed", "canceled")
FINAL: frozenset[State] = frozenset({"succeeded", "failed", "canceled"})


class Standing(NamedTuple):
    """Where a task stands when a report about it comes in."""

    state: State
    reported: bool  # the upstream itself has already told the end
    current: bool  # the report is about the latest attempt, not about one taken for not accepted


@dataclass(frozen=True, slots=True)
class Move:
    """The state a task goes to, which may be the one it is in, and the event that tells of it."""

    state: State
    event: EventType | None


def is_final(state: State) -> bool:
    """Whether a task in this state has ended."""
    return state in FINAL


def is_terminal(report: Report) -> bool:
    """Whether the upstream itself tells the end with it; its slot is free then and nothing can follow."""
    return report in {"finished", "errored"}


OPEN: frozenset[State] = frozenset(STATES) - FINAL
SENT: frozenset[State] = frozenset({"submitting", "unknown"})
# Whoever is heard of upstream runs there: also one that we took for not accepted and queued again.
UNHEARD: frozenset[State] = frozenset({"queued", "submitting", "unknown"})
AT_REST: frozenset[State] = frozenset({"queued", "processing", "unknown"})

# What each report does to an open task: the states it moves, and where to.
MOVES: Mapping[Report, tuple[frozenset[State], Move]] = {
    "sending": (frozenset({"queued"}), Move("submitting", None)),
    "accepted": (UNHEARD, Move("processing", "task.processing")),
    "running": (UNHEARD, Move("processing", "task.processing")),
    "refused": (SENT, Move("failed", "task.failed")),
    "not_taken": (SENT, Move("queued", "task.queued")),
    "not_taken_finally": (SENT, Move("failed", "task.failed")),
    "outcome_unknown": (frozenset({"submitting"}), Move("unknown", None)),
    "finished": (OPEN, Move("succeeded", "task.succeeded")),
    "errored": (OPEN, Move("failed", "task.failed")),
    "gone": (frozenset({"processing"}), Move("failed", "task.failed")),
    "gave_up": (frozenset({"unknown"}), Move("failed", "task.failed")),
    # Not while the call is under way: its lease ends first, and the task becomes unknown.
    "deadline_passed": (AT_REST, Move("failed", "task.failed")),
    "canceled": (AT_REST, Move("canceled", "task.canceled")),
}


def next_move(standing: Standing, report: Report) -> Move | None:
    """What the report does to a task that stands there; None when it moves nothing. Every pair has an answer."""
    # Images are paid for whichever attempt they came from; any other word on an older attempt says nothing on this one.
    if (not standing.current and report != "finished") or report == "hint":
        return None
    if is_final(standing.state):
        return _late(standing, report)
    sources, move = MOVES[report]
    return move if standing.state in sources else None


def _late(standing: Standing, report: Report) -> Move | None:
    """Final wins; only an end that the upstream has not told yet takes its word, once."""
    told_before = standing.reported or standing.state == "succeeded"
    return Move(standing.state, "task.result_late") if is_terminal(report) and not told_before else None


@lru_cache
def moves_for(report: Report) -> tuple[tuple[Standing, Move], ...]:
    """Every standing that the report moves, with its move: the table from which SQL picks the row's line."""
    return tuple(_moves(report))


def _moves(report: Report) -> Iterator[tuple[Standing, Move]]:
    for state, reported, current in product(STATES, (False, True), (False, True)):
        standing = Standing(state, reported, current)
        move = next_move(standing, report)
        if move is not None:
            yield standing, move
