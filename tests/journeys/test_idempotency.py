"""The same Idempotency-Key and request make one task, however often and however quickly they come."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.journeys.orders import create_with_assets, ended, order, picture
from tests.support.gateway import ALPHA_KEY, Gateway, StartGateway
from tests.support.sandbox import Sandbox


def ask(client: httpx.Client, key: str, **fields: object) -> httpx.Response:
    return client.post("/api/v1/tasks", json=order(**fields), headers={"Idempotency-Key": key})


def test_the_second_request_joins_the_first_ones_task(gateway: Gateway, sandbox: Sandbox) -> None:
    first, second = ask(gateway.alpha, "k1"), ask(gateway.alpha, "k1")

    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json()["id"] == first.json()["id"]
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
    assert len(sandbox.ledger()["creates"]) == 1


@pytest.mark.parametrize("other", [{"prompt": "another"}, {"metadata": {"a": 1}}, {"generations_count": 2}])
def test_another_request_with_the_same_key_is_refused(other: dict[str, object], gateway: Gateway) -> None:
    ask(gateway.alpha, "k1")

    answer = ask(gateway.alpha, "k1", **other)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_other_files_are_another_request(gateway: Gateway) -> None:
    with gateway.client(ALPHA_KEY) as client:
        client.headers["Idempotency-Key"] = "with-files"
        first = create_with_assets(client, [picture("red")])

        same, other = create_with_assets(client, [picture("red")]), create_with_assets(client, [picture("blue")])

    assert same.json()["id"] == first.json()["id"]
    assert other.status_code == 422


def test_twenty_requests_at_once_make_one_task(gateway: Gateway, sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(gateway.alpha, "at-once"), range(20)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(sandbox.ledger()["creates"]) == 1


def test_clients_do_not_share_keys(gateway: Gateway) -> None:
    assert ask(gateway.alpha, "k1").json()["id"] != ask(gateway.beta, "k1").json()["id"]


def test_a_refused_request_frees_its_key(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_error": {"next": 1, "status": 400, "shape": "message", "message": "not like this"}})
    refused = ask(gateway.alpha, "k1")

    again = ask(gateway.alpha, "k1")

    assert (refused.status_code, again.status_code) == (422, 202)
    assert "idempotency-replayed" not in again.headers


def test_a_call_of_unknown_outcome_keeps_its_key(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_cut": {"next": 1, "at": "accepted", "how": "reset"}, "callbacks": "held"})
    first = ask(gateway.alpha, "k1")

    second = ask(gateway.alpha, "k1")

    assert (first.json()["state"], second.json()["id"]) == ("unknown", first.json()["id"])
    assert len(sandbox.ledger()["creates"]) == 1


def test_the_end_of_the_task_is_what_a_late_repetition_gets(gateway: Gateway) -> None:
    task = ask(gateway.alpha, "k1").json()
    done = ended(gateway.alpha, task["id"])

    assert ask(gateway.alpha, "k1").json() == done


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "tab\there"])
def test_a_key_of_the_wrong_form_is_refused(key: str, gateway: Gateway) -> None:
    assert ask(gateway.alpha, key).status_code == 400


def test_where_a_key_is_required_a_request_without_one_is_refused(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"GATEWAY_REQUIRE_IDEMPOTENCY_KEY": "true"})

    answer = gateway.alpha.post("/api/v1/tasks", json=order())

    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["detail"]
