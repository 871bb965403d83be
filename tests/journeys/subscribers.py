"""Subscriptions over HTTP: made with one call, and what their receivers got of tasks, verified."""

from typing import Any

import httpx
from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.receiver import Received, Receiver

SUBSCRIPTIONS = "/api/v1/subscriptions"


def subscribe(client: httpx.Client, url: str, **fields: Any) -> dict[str, Any]:
    """A new subscription, with its secret."""
    answer = client.post(SUBSCRIPTIONS, json={"url": url, **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def path_of(subscription: dict[str, Any], action: str = "") -> str:
    """Where it is found, or where an action on it is asked for."""
    return f"{SUBSCRIPTIONS}/{subscription['id']}{action and f'/{action}'}"


def about(task: dict[str, Any], *receivers: Receiver) -> list[int]:
    """How many notifications about the task each of the receivers got so far."""
    return [sum(task["id"].encode() in each.body for each in receiver.received()) for receiver in receivers]


def fits(secret: str, received: Received) -> bool:
    """Whether its signature verifies with this secret, by the library that subscribers use."""
    try:
        Webhook(secret).verify(received.body, dict(received.headers))
    except WebhookVerificationError:
        return False
    return True
