"""What 20 of 100 subscribers that hang for their full timeout cost the others in p99 from commit to receipt.

200 events a second go to 100 subscriptions in turn, with and without those that hang in turn. In the rounds with
hanging subscribers only the events of the other 80 are measured. Good is at most twice the p99 without. The worker
starts anew in each round, so what its first meeting with those that hang costs is in it.
"""

from statistics import median

import uvloop

from bench.delivery_parts import Port, clear, emit_steadily, latencies_s, quantile, start_receiver, subscribe
from bench.report import Figure, alternate, show
from bench.stack import Stack, running_stack

SUBSCRIPTIONS, HANGING = 100, 20
EVENTS_PER_S = 200
ROUND_S = 20
ROUNDS = 3


def main() -> int:
    """Alternate rounds in which all answer and rounds in which some hang."""
    with running_stack() as stack:
        port = start_receiver(stack.programs)
        found = alternate(
            ROUNDS,
            {"all answer": lambda: _round(stack, port, hanging=0), "some hang": lambda: _round(stack, port, HANGING)},
        )
    return _report(found)


def _round(stack: Stack, port: Port, hanging: int) -> list[float]:
    """Seconds from commit to receipt of all events for subscribers that answer, sorted."""
    clear(stack.database)
    if hanging:
        subscribe(stack.database, port.hang, 1, hanging)
    subscribe(stack.database, port.hook, hanging + 1, SUBSCRIPTIONS)
    with stack.gateway("worker"):
        return uvloop.run(_measure(stack, port, hanging))


async def _measure(stack: Stack, port: Port, hanging: int) -> list[float]:
    emitted = await emit_steadily(stack, SUBSCRIPTIONS, EVENTS_PER_S, ROUND_S)
    return await latencies_s(port, [each for each in emitted if each.client > hanging])


def _report(found: dict[str, list[list[float]]]) -> int:
    p50 = {name: median(quantile(each, 0.5) for each in rounds) for name, rounds in found.items()}
    p99 = {name: median(quantile(each, 0.99) for each in rounds) for name, rounds in found.items()}
    return show(
        Figure("commit to receipt, p50, all answer", p50["all answer"] * 1000, " ms"),
        Figure(f"commit to receipt, p50, {HANGING} of {SUBSCRIPTIONS} hang", p50["some hang"] * 1000, " ms"),
        Figure("commit to receipt, p99, all answer", p99["all answer"] * 1000, " ms"),
        Figure(f"commit to receipt, p99, {HANGING} of {SUBSCRIPTIONS} hang", p99["some hang"] * 1000, " ms"),
        Figure("p99 with hanging subscribers ÷ without", p99["some hang"] / p99["all answer"], "x", at_most=2),
    )
