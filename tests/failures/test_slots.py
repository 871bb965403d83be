"""At most so many tasks are open at the image API, over all processes; what a dead process held comes free."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import httpx

from tests.journeys.orders import order
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

CAP = 20
PROCESSES = 4
SUBMISSIONS = 200
SLOT_S = 6.0
SETTINGS = {
    "GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": str(CAP),
    "GATEWAY_SUBMIT_TOTAL_S": "3",
    "GATEWAY_SUBMIT_LEASE_MARGIN_S": "1",
}


def test_200_submissions_over_4_processes_never_open_a_21st_task(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateways = four_gateways(start_gateway, {})
    # The image API has no cap here: what keeps us below it is our own doing.
    sandbox.moods({"active_task_cap": 0, "duration_form": "range", "duration_s": 0.1, "duration_max_s": 0.6})

    statuses = asyncio.run(submit_at_once(gateways))
    eventually(lambda: ended(gateways[0]) == SUBMISSIONS, timeout_s=60, what="every task has ended")

    assert statuses == {202: SUBMISSIONS}
    ledger = sandbox.ledger()
    assert (ledger["creates_total"], ledger["highest_open"]) == (SUBMISSIONS, CAP)


def test_slots_of_killed_processes_come_free_within_their_time(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateways = four_gateways(start_gateway, {"GATEWAY_UPSTREAM_SLOT_MAX_S": str(SLOT_S)})
    # No task ever ends: nothing but time can free a slot.
    sandbox.moods({"active_task_cap": 0, "duration_s": 3600})
    asyncio.run(submit_at_once(gateways))
    for gateway in gateways:
        gateway.program.kill()
    database = gateways[0].database
    longest_s = database.value("SELECT EXTRACT(EPOCH FROM max(slot_until) - now())::float8 FROM tasks")
    opened = sandbox.ledger()["creates_total"]

    free = "SELECT NOT EXISTS (SELECT FROM tasks WHERE slot_until > now())"
    eventually(lambda: database.value(free), timeout_s=SLOT_S + 1, what="every slot is free")
    gateways[0].start_again()
    eventually(lambda: sandbox.ledger()["creates_total"] == opened + CAP, what="the queue moves on by as many")

    assert opened == CAP
    assert longest_s <= SLOT_S


def four_gateways(start_gateway: StartGateway, environment: dict[str, str]) -> list[Gateway]:
    gateways = [start_gateway(SETTINGS | environment, wait=False) for _ in range(PROCESSES)]
    for gateway in gateways:
        gateway.wait_until_ready()
        gateway.alpha.get("/api/v1/models").raise_for_status()
    return gateways


async def submit_at_once(gateways: Sequence[Gateway]) -> Counter[int]:
    """The statuses of the answers to all submissions, an equal share to each process."""

    async def submit(client: httpx.AsyncClient, number: int) -> int:
        answer = await client.post(f"{gateways[number % PROCESSES].url}/api/v1/tasks", json=order())
        return answer.status_code

    async with gateways[0].async_client() as client:
        return Counter(await asyncio.gather(*(submit(client, number) for number in range(SUBMISSIONS))))


def ended(gateway: Gateway) -> int:
    return int(gateway.database.value("SELECT count(*) FROM tasks WHERE state = 'succeeded'"))
