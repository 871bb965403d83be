"""The parts that all other tests stand on do what they say."""

import time

import httpx
import pytest

from tests.support.database import Database, DatabaseServer
from tests.support.gateway import Gateway, StartGateway
from tests.support.receiver import Answer, Receiver
from tests.support.sandbox import Sandbox

REPORT = "INSERT INTO reports (id, task_id, attempt, source, body, outcome) VALUES ($1, $1, 1, 'poll', '', 'applied')"
SOME_ID = "01900000-0000-7000-8000-000000000000"


def post(receiver: Receiver, body: bytes = b"{}") -> httpx.Response:
    return httpx.post(receiver.url, content=body, headers={"webhook-id": "evt_1"}, timeout=5, trust_env=False)


@pytest.mark.parametrize("round_", [1, 2])
def test_every_test_finds_an_empty_database(database: Database, round_: int) -> None:
    assert database.value("SELECT count(*) FROM reports") == 0

    database.execute(REPORT, SOME_ID)


def test_a_database_of_its_own_shows_nothing_of_the_others(database: Database, own_database: Database) -> None:
    database.execute(REPORT, SOME_ID)

    assert own_database.rows("SELECT * FROM reports") == []


def test_databases_are_gone_after_use(database_server: DatabaseServer, database: Database) -> None:
    with database_server.migrated() as temporary:
        name = temporary.value("SELECT current_database()")

    assert database.value("SELECT count(*) FROM pg_database WHERE datname = $1", name) == 0


async def test_sql_works_in_async_tests_too(database: Database) -> None:
    assert database.value("SELECT 1 + $1", 1) == 2


def test_the_receiver_keeps_what_came_byte_for_byte(receiver: Receiver) -> None:
    post(receiver, b'{"a":  1}')

    (request,) = receiver.wait_for(1)
    assert request.body == b'{"a":  1}'
    assert request.headers["webhook-id"] == "evt_1"


def test_the_receiver_answers_by_its_script_and_then_as_told(receiver: Receiver) -> None:
    receiver.answer(Answer(503, {"Retry-After": "7"}), Answer(307, {"Location": "/x"}), then=Answer(200, body=b"ok"))

    answers = [post(receiver) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [503, 307, 200, 200]
    assert answers[0].headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(ending="close"), httpx.RemoteProtocolError),
        (Answer(ending="reset"), httpx.TransportError),
        (Answer(ending="hang"), httpx.ReadTimeout),
    ],
    ids=["closes", "resets", "hangs"],
)
def test_the_receiver_can_fail_as_real_ones_do(
    receiver: Receiver, answer: Answer, error: type[httpx.TransportError]
) -> None:
    receiver.answer(answer)

    with pytest.raises(error):
        httpx.post(receiver.url, content=b"{}", timeout=0.5, trust_env=False)


def test_waiting_for_what_does_not_come_fails_in_time(receiver: Receiver) -> None:
    started_at_s = time.monotonic()

    with pytest.raises(AssertionError, match="0 of 1 requests"):
        receiver.wait_for(1, timeout_s=0.1)
    assert time.monotonic() - started_at_s < 2


@pytest.mark.parametrize("round_", [1, 2])
def test_every_test_finds_the_sandbox_in_its_best_mood_with_an_empty_ledger(sandbox: Sandbox, round_: int) -> None:
    assert sandbox.api.get("/v1/credits").status_code == 200
    assert sandbox.ledger()["creates"] == []

    sandbox.moods({"down": "503"})


def test_the_shared_gateway_serves_two_clients_and_nobody_else(gateway: Gateway) -> None:
    assert gateway.alpha.get("/api/v1/tasks").status_code == 200
    assert gateway.beta.get("/api/v1/tasks").status_code == 200
    assert gateway.anonymous.get("/api/v1/tasks").status_code == 401


def test_a_killed_gateway_comes_back_at_the_same_address(start_gateway: StartGateway) -> None:
    gateway = start_gateway()

    gateway.program.kill()
    gateway.start_again()

    assert gateway.anonymous.get("/readyz").status_code == 200
