"""A recovery of 100,000 deliveries whose worker is killed (-9) three times: not one missing, not one made twice.

The events of a day are recovered to one subscription; three in ten had arrived before and must not come again. What the
API counts is held against the rows that are there at the end, and against what the receiver got.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.request import urlopen

import orjson

from bench.report import Figure, show
from bench.stack import Stack, running_stack
from tests.failures.killed_recovery import DELIVERED_OF_TEN, KilledRecovery, Recovered
from tests.journeys.after_the_fact import shown
from tests.journeys.subscribers import subscribe

DELIVERIES = 100_000
EVENTS = DELIVERIES * 10 // (10 - DELIVERED_OF_TEN) + 1
KILL_AT = (0.2, 0.5, 0.8)
WITHIN_S = 900.0
# Faster than the deliveries are sent, so that the job also has to wait for them.
PACE = {"GATEWAY_RECOVER_PER_S": "20000"}


def main() -> int:
    """Run it once; the promise is exact, so there is nothing to alternate."""
    with ExitStack() as resources:
        stack = resources.enter_context(running_stack())
        url = resources.enter_context(_receiver(stack))
        api = resources.enter_context(stack.gateway("api"))
        subscription = subscribe(api.alpha, f"{url}/hook")
        killed = KilledRecovery(api, lambda: resources.enter_context(stack.gateway("worker", PACE)))
        began_s = time.monotonic()
        recovered = killed.run(subscription, EVENTS, KILL_AT, WITHIN_S)
        took_s = time.monotonic() - began_s
        with urlopen(f"{url}/arrivals") as answer:
            arrived = frozenset(orjson.loads(answer.read()))
    return _report(recovered, arrived, took_s)


def _report(recovered: Recovered, arrived: frozenset[str], took_s: float) -> int:
    for sentence in recovered.wrong:
        print(f"   {sentence}", file=sys.stderr)
    missing = {shown(event) for event in recovered.missing}
    return show(
        Figure("events looked at", recovered.recovery["events_looked_at"]),
        Figure("deliveries that were missing", len(missing), at_least=DELIVERIES),
        Figure("deliveries made, as the API counts them", recovered.recovery["deliveries_made"]),
        Figure("kills of the worker meanwhile", recovered.kills, at_least=len(KILL_AT)),
        Figure("counts that are not exact", len(recovered.wrong), at_most=0),
        Figure("events that the receiver lacks", len(missing - arrived), at_most=0),
        Figure("events that it got and had before", len(arrived - missing), at_most=0),
        Figure("seconds from the request to the last delivery", took_s, " s"),
    )


@contextmanager
def _receiver(stack: Stack) -> Iterator[str]:
    """The address of a receiver in its own process."""
    program = stack.programs.start("receiver", ["bench.receiver"], {})
    port = program.wait_for_line(r"listening on (\d+)")[1]
    yield f"http://127.0.0.1:{port}"
