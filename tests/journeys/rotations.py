"""Secrets rotated while notifications are under way, and a receiver that changes to each new one a while later."""

import time
from dataclasses import dataclass
from typing import Any

from tests.journeys.subscribers import fits, path_of, subscribe
from tests.support.gateway import Gateway
from tests.support.receiver import Received, Receiver

WAIT_S = 120.0

# As reports leave them: events, each with its delivery, due now.
EVENTS = """
WITH event AS (
    INSERT INTO events (id, client, type, body)
    SELECT gateway_uuid7(now()), 'alpha', 'task.succeeded', json_build_object('number', n)::text
    FROM generate_series(1, $1::int) AS n RETURNING id
)
INSERT INTO deliveries (id, client, event_id, subscription_id)
SELECT gateway_uuid7(now()), 'alpha', event.id, s.id FROM event CROSS JOIN subscriptions s
"""


@dataclass(frozen=True)
class Rotated:
    """What came, and when the receiver took up which secret, by time.monotonic()."""

    received: list[Received]
    held: list[tuple[float, str]]

    def unverified(self) -> list[Received]:
        """What does not fit the one secret that the receiver held when it came."""
        return [each for each in self.received if not fits(self._held_at(each.arrived_at_s), each)]

    def event_ids(self) -> set[str]:
        """The events that arrived."""
        return {each.headers["webhook-id"] for each in self.received}

    def _held_at(self, at_s: float) -> str:
        return [secret for since_s, secret in self.held if since_s <= at_s][-1]


def rotate_under_way(gateway: Gateway, receiver: Receiver, deliveries: int, rotations: int) -> Rotated:
    """Send so many, rotate after each even share of them, and have the receiver follow half a share later."""
    subscription = subscribe(gateway.alpha, receiver.url)
    held = [(0.0, str(subscription["secret"]))]
    share = deliveries // (rotations + 1)
    gateway.database.execute(EVENTS, deliveries)
    for number in range(1, rotations + 1):
        receiver.wait_for(number * share, timeout_s=WAIT_S)
        secret = _rotated(gateway, subscription)
        receiver.wait_for(number * share + share // 2, timeout_s=WAIT_S)
        held.append((time.monotonic(), secret))
    return Rotated(receiver.wait_for(deliveries, timeout_s=WAIT_S), held)


def _rotated(gateway: Gateway, subscription: dict[str, Any]) -> str:
    asked = {"grace_s": 3600, "keep": "current"}
    answer = gateway.alpha.post(path_of(subscription, "rotate-secret"), json=asked)
    return str(answer.raise_for_status().json()["secret"])
