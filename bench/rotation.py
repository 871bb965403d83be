"""10,000 notifications while their secret is rotated: not one whose signature its receiver cannot verify.

The receiver holds one secret at a time and verifies with the library that subscribers use. It goes on with the old one
after each of five rotations, and changes to the new one later, within the grace. A single failure fails the run.
"""

from bench.report import Figure, show
from bench.stack import running_stack
from tests.journeys.rotations import Rotated, rotate_under_way
from tests.support.receiver import Receiver

DELIVERIES = 10_000
ROTATIONS = 5


def main() -> int:
    """Rotate while deliveries are under way; then verify each as its receiver could when it came."""
    with running_stack() as stack, stack.gateway("all") as gateway, Receiver() as receiver:
        return _report(rotate_under_way(gateway, receiver, DELIVERIES, ROTATIONS))


def _report(rotated: Rotated) -> int:
    two_signatures = sum(" " in each.headers["webhook-signature"] for each in rotated.received)
    seconds = rotated.received[-1].arrived_at_s - rotated.received[0].arrived_at_s
    return show(
        Figure("notifications that arrived", len(rotated.event_ids()), at_least=DELIVERIES),
        Figure("rotations meanwhile", ROTATIONS),
        Figure("notifications with two signatures", two_signatures, at_least=DELIVERIES // 2),
        Figure("failed verifications", len(rotated.unverified()), at_most=0),
        Figure("seconds from the first to the last", seconds, " s"),
    )
