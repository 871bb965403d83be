"""One client's long queue does not keep another client's single task waiting."""

import pytest

from tests.journeys.orders import create, order
from tests.support.gateway import StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

QUEUED = 2000

# As many rows like a task that really waits; ids before it, so that they are older.
MANY_LIKE_IT = """
INSERT INTO tasks
SELECT copy.* FROM tasks t, generate_series(1, $2::int) AS n,
    jsonb_populate_record(t, jsonb_build_object(
        'id', (left(t.id::text, 13) || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
        'prompt', 'number ' || n
    )) AS copy
WHERE t.id = $1
"""


@pytest.mark.parametrize("slots", [1, 3], ids=["one slot", "several slots"])
def test_2000_tasks_of_one_client_delay_anothers_single_task_by_one_slot_at_most(
    start_gateway: StartGateway, sandbox: Sandbox, slots: int
) -> None:
    gateway = start_gateway({"GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": str(slots)})
    sandbox.moods({"duration_s": 3600})
    running = [create(gateway.alpha, prompt="runs already") for _ in range(slots)]
    waiting = create(gateway.alpha, prompt="waits as well")
    gateway.database.execute(MANY_LIKE_IT, waiting["id"], QUEUED - 1)

    single = create(gateway.beta, prompt="the single task")
    for _ in range(2):
        free_a_slot(sandbox)

    assert {task["state"] for task in running} == {"processing"}
    assert (waiting["state"], single["state"]) == ("queued", "queued")
    assert "the single task" in sent_prompts(sandbox)[slots : slots + 2]
    assert gateway.database.value("SELECT count(*) FROM tasks WHERE state = 'queued'") == QUEUED - 1


def test_two_clients_with_long_queues_take_turns(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway({"GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": "1"})
    sandbox.moods({"duration_s": 3600})
    for prompt, client in (("alpha", gateway.alpha), ("beta", gateway.beta)):
        for _ in range(4):
            create(client, prompt=prompt)

    for _ in range(4):
        free_a_slot(sandbox)

    sent = sent_prompts(sandbox)[1:5]
    assert (sent.count("alpha"), sent.count("beta")) == (2, 2)


def test_low_priority_waits_until_nothing_else_does(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway({"GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": "1"})
    sandbox.moods({"duration_s": 3600})
    create(gateway.alpha, prompt="runs already")
    for priority in ("low", "normal"):
        gateway.alpha.post("/api/v1/tasks", json=order(prompt=priority, priority=priority)).raise_for_status()

    free_a_slot(sandbox)

    assert sent_prompts(sandbox) == ["runs already", "normal"]


def free_a_slot(sandbox: Sandbox) -> None:
    """End the oldest open task at the image API and wait until its slot is used again."""
    creates = sandbox.ledger()["creates"]
    oldest = next(create["task_id"] for create in creates if create["open"])
    sandbox.api.post(f"/_sandbox/tasks/{oldest}/finish").raise_for_status()
    eventually(lambda: len(sent_prompts(sandbox)) > len(creates), what="the free slot is used")


def sent_prompts(sandbox: Sandbox) -> list[str]:
    """In the order in which the image API took them."""
    return [create["prompt"] for create in sandbox.ledger()["creates"]]
