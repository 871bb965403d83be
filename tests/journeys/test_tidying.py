"""What has outlived its use is deleted: stored assets, keys and unanswered requests, and only what nobody needs."""

from tests.journeys.orders import create, create_with_assets, ended, picture
from tests.support.gateway import ALPHA_KEY, Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

KEYS = "SELECT count(*) FROM idempotency_keys"
UNANSWERED = """
INSERT INTO unanswered_requests (task_id, client, route, fingerprint, waiter, created_at)
SELECT gen_random_uuid(), 'alpha', 'create', '', gen_random_uuid(), now() - age
FROM unnest(ARRAY[interval '25 hours', interval '23 hours']) AS age
"""
CHUNKS = "SELECT count(DISTINCT task_id) FROM asset_chunks"


def two_ended_tasks_that_waited(gateway: Gateway) -> tuple[str, str]:
    """Both with a stored asset and a key; ids of the first and the second."""
    create(gateway.alpha)
    ids = []
    for number in range(2):
        with gateway.client(ALPHA_KEY) as client:
            client.headers["Idempotency-Key"] = f"key-{number}"
            ids.append(create_with_assets(client, [picture()]).json()["id"])
    for task_id in ids:
        ended(gateway.alpha, task_id)
    return ids[0], ids[1]


def test_assets_and_keys_go_a_day_after_the_end(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0.5})
    gateway = start_gateway({"GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": "1"})
    old, young = two_ended_tasks_that_waited(gateway)
    stored = gateway.database.value(CHUNKS), gateway.database.value(KEYS)
    gateway.database.execute("UPDATE idempotency_keys SET created_at = now() - interval '3 days'")
    gateway.database.execute("UPDATE tasks SET ended_at = now() - interval '2 days' WHERE id = $1", old)

    gateway.program.stop()
    gateway.start_again()  # it tidies up at once, then every minute

    eventually(lambda: (gateway.database.value(CHUNKS), gateway.database.value(KEYS)) == (1, 1), what="one of each")
    assert stored == (2, 2)
    assert str(gateway.database.value("SELECT task_id FROM asset_chunks LIMIT 1")) == young
    assert gateway.database.value("SELECT stored_bytes FROM tasks WHERE id = $1", old) == 0


def test_a_request_that_was_never_answered_is_forgotten_after_a_day(start_gateway: StartGateway) -> None:
    gateway = start_gateway(role="api")
    gateway.database.execute(UNANSWERED)

    start_gateway(role="worker")

    look = "SELECT array_agg(now() - created_at < interval '1 day') FROM unanswered_requests"
    eventually(lambda: gateway.database.value(look) == [True], what="the younger one alone is left")
