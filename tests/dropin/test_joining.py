"""A create that was never answered is joined by the one that is sent again; one that was answered never is."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.dropin.orders import CREATE, MODEL, create, ended, flat
from tests.journeys.native_orders import picture
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

IMPATIENCE_S = 0.4


def leave_while_submitting(gateway: Gateway, sandbox: Sandbox, **fields: Any) -> None:
    """A create whose client goes away before the image API has answered the paid call."""
    sandbox.moods({"answer_delay_s": 1.2})
    with pytest.raises(httpx.ReadTimeout):
        gateway.alpha.post(CREATE, json=flat(**fields), timeout=IMPATIENCE_S)


def test_a_client_that_left_while_submitting_and_comes_again_pays_once(gateway: Gateway, sandbox: Sandbox) -> None:
    leave_while_submitting(gateway, sandbox)

    created = create(gateway.alpha)

    assert (created["estimated_credits"], int(created["ec_remain_credits"]) > 0) == (1188, True)
    assert ended(gateway.alpha, created["task_id"])["status"] == "done"
    assert sandbox.ledger()["creates_total"] == 1


def test_the_form_of_the_request_does_not_matter_to_joining(gateway: Gateway, sandbox: Sandbox) -> None:
    leave_while_submitting(gateway, sandbox)

    answer = gateway.alpha.post(CREATE, data=flat(model_parameters='{"resolution": "2K"}'))

    assert answer.json()["success"] is True
    assert sandbox.ledger()["creates_total"] == 1


def test_once_answered_the_joined_create_makes_another_image(gateway: Gateway, sandbox: Sandbox) -> None:
    leave_while_submitting(gateway, sandbox)
    joined = create(gateway.alpha)

    again = create(gateway.alpha)

    assert joined["task_id"] != again["task_id"]
    assert sandbox.ledger()["creates_total"] == 2


def test_another_wish_is_never_joined(gateway: Gateway, sandbox: Sandbox) -> None:
    leave_while_submitting(gateway, sandbox)

    create(gateway.alpha, prompt="A lighthouse at dawn")
    create(gateway.beta)

    assert sandbox.ledger()["creates_total"] == 3


def test_the_same_words_with_other_files_are_another_wish(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"answer_delay_s": 1.2})
    wish = {"prompt": "Paint @img1", "model_id": MODEL}
    with pytest.raises(httpx.ReadTimeout):
        gateway.alpha.post(CREATE, data=wish, files={"assets": picture()}, timeout=IMPATIENCE_S)

    answer = gateway.alpha.post(CREATE, data=wish, files={"assets": picture(width=64)})

    assert answer.json()["success"] is True
    assert sandbox.ledger()["creates_total"] == 2


def test_an_answered_create_that_is_repeated_makes_two_images(gateway: Gateway, sandbox: Sandbox) -> None:
    first = create(gateway.alpha)

    second = create(gateway.alpha)

    assert first["task_id"] != second["task_id"]
    assert sandbox.ledger()["creates_total"] == 2


def test_two_identical_creates_at_once_make_two_images(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"answer_delay_s": 0.5})

    with ThreadPoolExecutor(2) as threads:
        created = list(threads.map(lambda _: create(gateway.alpha), range(2)))

    assert created[0]["task_id"] != created[1]["task_id"]
    assert sandbox.ledger()["creates_total"] == 2


def test_a_client_whose_gateway_was_killed_and_comes_again_pays_once(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway({"GATEWAY_SUBMIT_TOTAL_S": "2", "GATEWAY_SUBMIT_LEASE_MARGIN_S": "1"})
    sandbox.moods({"answer_delay_s": 30, "duration_s": 1})
    with ThreadPoolExecutor(1) as threads:
        broken = threads.submit(gateway.alpha.post, CREATE, json=flat())
        eventually(lambda: sandbox.ledger()["creates_total"] == 1, what="the image API has the task")
        gateway.program.kill()
        assert isinstance(broken.exception(), httpx.TransportError)
    gateway.start_again()

    created = create(gateway.alpha)

    assert ended(gateway.alpha, created["task_id"])["status"] == "done"
    assert sandbox.ledger()["creates_total"] == 1


def test_a_refused_create_that_is_repeated_is_asked_anew(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_error": {"next": 1, "status": 422, "message": "prompt was blocked"}})
    refused = gateway.alpha.post(CREATE, json=flat())

    again = gateway.alpha.post(CREATE, json=flat())

    assert (refused.status_code, refused.json()["error"]) == (422, "prompt was blocked")
    assert again.status_code == 200
    assert sandbox.ledger()["creates_total"] == 1


def test_an_idempotency_key_joins_also_what_was_answered(gateway: Gateway, sandbox: Sandbox) -> None:
    answers = [gateway.alpha.post(CREATE, json=flat(), headers={"Idempotency-Key": "order-1"}) for _ in range(2)]

    assert answers[0].json()["task_id"] == answers[1].json()["task_id"]
    assert sandbox.ledger()["creates_total"] == 1


def test_an_idempotency_key_with_another_request_is_refused_in_the_image_apis_shape(gateway: Gateway) -> None:
    headers = {"Idempotency-Key": "order-1"}
    gateway.alpha.post(CREATE, json=flat(), headers=headers)

    reused = gateway.alpha.post(CREATE, json=flat(prompt="Another"), headers=headers)

    assert reused.status_code == 422
    assert (reused.json()["success"], reused.json()["code"]) == (False, "idempotency_key_reused")
