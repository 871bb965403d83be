"""A secret is rotated while thousands of notifications are under way, and nobody who verifies them fails."""

from collections.abc import Iterable, Mapping

import standardwebhooks

from service.db.ids import new_id
from service.subscribers.fan_out import FAN_OUT_SQL
from service.subscribers.signature import webhook_id
from tests.support.database import Database
from tests.support.gateway import StartGateway
from tests.support.receiver import Received, Receiver

HALF = 5000
PER_STATEMENT = 500
SUBSCRIPTIONS = "/api/v1/subscriptions"

EMIT = f"""
WITH event AS (
    INSERT INTO events (id, client, type, body)
    SELECT id, 'alpha', 'task.succeeded', '{{"type":"task.succeeded"}}' FROM unnest($1::uuid[]) AS made (id)
    RETURNING id, client, type, NULL::uuid AS callback_subscription_id, 'seedream' AS model_id,
        NULL::text AS client_reference, '{{}}'::jsonb AS metadata
), fan_out AS ({FAN_OUT_SQL})
SELECT pg_notify('gateway_deliveries', '')
"""


def test_of_ten_thousand_notifications_during_a_rotation_none_fails_to_verify(
    start_gateway: StartGateway, own_database: Database, receiver: Receiver
) -> None:
    gateway = start_gateway({"GATEWAY_DELIVERY_SUBSCRIPTION_MAX_IN_FLIGHT": "64"})
    made = gateway.alpha.post(SUBSCRIPTIONS, json={"url": receiver.url}).raise_for_status().json()

    before = emit(own_database)
    rotated = gateway.alpha.post(f"{SUBSCRIPTIONS}/{made['id']}/rotate-secret", json={}).raise_for_status().json()
    after = emit(own_database)
    received = {each.headers["webhook-id"]: each for each in receiver.wait_for(2 * HALF, timeout_s=120)}

    assert received.keys() == before | after
    assert failures(received, made["secret"], before | after) == []
    assert failures(received, rotated["secret"], after) == []
    # Some of those that waited when the secret changed were signed by both: it did happen in the midst of them.
    assert any(" v1," in received[webhook].headers["webhook-signature"] for webhook in before)


def emit(database: Database) -> set[str]:
    """The webhook-ids of so many new events."""
    ids = [new_id() for _ in range(HALF)]
    for start in range(0, HALF, PER_STATEMENT):
        database.execute(EMIT, ids[start : start + PER_STATEMENT])
    return {webhook_id(each) for each in ids}


def failures(received: Mapping[str, Received], secret: str, webhooks: Iterable[str]) -> list[str]:
    """Those that a subscriber with this secret would refuse."""
    verifier, failed = standardwebhooks.Webhook(secret), []
    for webhook in webhooks:
        try:
            verifier.verify(received[webhook].body, dict(received[webhook].headers))
        except standardwebhooks.WebhookVerificationError:
            failed.append(webhook)
    return failed
