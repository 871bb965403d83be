"""Code written for the image API works against the gateway unchanged, and better: its moods stay inside."""

from urllib.error import HTTPError

import httpx
import pytest

from tests.dropin.small_clients import CLIENTS, Client, full_poller, own_queue, sends_again
from tests.support.gateway import ALPHA_KEY, Gateway, StartGateway
from tests.support.sandbox import API_KEY, Sandbox

BUSY_FORMS = ("503", "429", "200", "mixed")
EVERY_CLIENT = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS.keys())
ACTIVE_TASK_CAP = 20


def prompts(count: int) -> list[str]:
    return [f"A lighthouse, view {number}" for number in range(1, count + 1)]


def assert_images(urls: list[str], count: int) -> None:
    assert len(set(urls)) == count
    assert {httpx.get(url, trust_env=False).headers["Content-Type"] for url in urls} == {"image/png"}


@EVERY_CLIENT
def test_each_client_is_one_that_works_with_the_image_api(sandbox: Sandbox, client: Client) -> None:
    urls = client(sandbox.url, API_KEY, prompts(2))

    assert_images(urls, 2)
    assert sandbox.ledger()["creates_total"] == 2


@EVERY_CLIENT
def test_each_client_works_through_the_gateway_while_the_image_api_is_busy(
    gateway: Gateway, sandbox: Sandbox, client: Client
) -> None:
    sandbox.moods({"duration_s": 0.05})
    for form in BUSY_FORMS:
        sandbox.moods({"busy_poll": {"rate": 0.33, "form": form}})
        assert_images(client(gateway.url, ALPHA_KEY, [form]), 1)

    assert sandbox.ledger()["creates_total"] == len(BUSY_FORMS)


@EVERY_CLIENT
def test_no_client_hears_that_the_image_api_throttles(gateway: Gateway, sandbox: Sandbox, client: Client) -> None:
    sandbox.moods({"throttle_401": {"next": 1}, "duration_s": 0.05})

    urls = client(gateway.url, ALPHA_KEY, prompts(1))

    assert_images(urls, 1)
    assert sandbox.ledger()["creates_total"] == 1


def test_each_client_works_where_the_gateway_itself_has_to_poll(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway({"GATEWAY_PUBLIC_URL": "", "GATEWAY_RECONCILE_FIRST_S": "0.3"})
    sandbox.moods({"busy_poll": {"rate": 0.33, "form": "mixed"}})

    for name, client in CLIENTS.items():
        assert_images(client(gateway.url, ALPHA_KEY, [name]), 1)

    assert sandbox.ledger()["creates_total"] == len(CLIENTS)


def test_no_client_hears_of_the_cap_of_open_tasks(gateway: Gateway, sandbox: Sandbox) -> None:
    wanted = prompts(ACTIVE_TASK_CAP + 5)

    urls = own_queue(gateway.url, ALPHA_KEY, wanted)

    assert_images(urls, len(wanted))
    ledger = sandbox.ledger()
    assert ledger["creates_total"] == len(wanted)
    assert ledger["highest_open"] <= ACTIVE_TASK_CAP


def test_without_the_gateway_one_busy_poll_ends_a_client(sandbox: Sandbox) -> None:
    sandbox.moods({"busy_poll": {"next": 1}})

    with pytest.raises(HTTPError, match="503") as busy:
        full_poller(sandbox.url, API_KEY, prompts(1))

    busy.value.close()


def test_without_the_gateway_one_busy_poll_makes_a_client_pay_twice(sandbox: Sandbox) -> None:
    sandbox.moods({"busy_poll": {"next": 1}})

    sends_again(sandbox.url, API_KEY, prompts(1))

    assert sandbox.ledger()["creates_total"] == 2
