"""The client and a faithful upstream: every call of the API, and its moods as the sandbox acts them."""

import pytest

from service.errors import UpstreamRefused, UpstreamUnavailable
from service.upstream.client import CreateRequest
from service.upstream.outcome import Accepted, NotAccepted, Refused, Unknown
from tests.support.sandbox import API_KEY, Sandbox
from tests.support.waiting import eventually_async
from tests.uploads.forms import image
from tests.upstream.builders import make_request, open_client, soon

pytestmark = pytest.mark.anyio

MODEL = "gpt-image-2"
FOX = CreateRequest("a fox", MODEL, 1)


def client_of(sandbox: Sandbox, **changes: float | str):
    return open_client(sandbox.url, upstream_api_key=API_KEY, **changes)


async def test_a_quote_is_what_a_create_then_charges(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        before = await client.credits()
        price = await client.price(MODEL, 1, {}, 0)
        created = await client.create(FOX, soon())

        assert isinstance(created, Accepted)
        assert created.estimated_credits == price
        assert created.remaining_credits == before - price == await client.credits()


async def test_a_task_is_followed_to_its_images(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        created = await client.create(FOX, soon())
        assert isinstance(created, Accepted)

        async def finished():
            report = await client.task(created.upstream_id)
            return report if report.phase != "running" else None

        report = await eventually_async(finished)

    assert report.phase == "done"
    assert report.upstream_id == created.upstream_id
    assert report.credits == created.estimated_credits
    assert [(each.mime_type, each.width is not None) for each in report.images] == [("image/png", True)]


async def test_models_health_and_listing_are_read(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        created = await client.create(FOX, soon())
        models, page, health = await client.models(), await client.tasks(1, 20), await client.health()

    assert isinstance(created, Accepted)
    assert MODEL in {model.model_id for model in models}
    assert [(task.report.upstream_id, task.prompt, task.model_id) for task in page.tasks] == [
        (created.upstream_id, "a fox", MODEL)
    ]
    assert set(health.values()) == {"good"}


async def test_files_arrive_as_they_were_sent(sandbox: Sandbox) -> None:
    contents = [image("PNG", 64, 64) + bytes(1_000_000), image("JPEG", 32, 32)]
    async with client_of(sandbox) as client:
        with make_request(*contents, prompt="@img1 like @img2", model_id=MODEL) as request:
            created = await client.create(request, soon())

    assert isinstance(created, Accepted)
    assert len(sandbox.ledger()["creates"]) == 1


async def test_a_mistake_is_refused_in_the_upstreams_words_and_costs_nothing(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        outcome = await client.create(CreateRequest("a fox", "no-such-model", 1), soon())
        with pytest.raises(UpstreamRefused):
            await client.price("no-such-model", 1, {}, 0)

    assert isinstance(outcome, Refused)
    assert sandbox.ledger()["creates"] == []


async def test_the_cap_on_open_tasks_asks_to_wait(sandbox: Sandbox) -> None:
    sandbox.moods({"active_task_cap": 1, "duration_s": 60})
    async with client_of(sandbox) as client:
        assert isinstance(await client.create(FOX, soon()), Accepted)
        outcome = await client.create(FOX, soon())

    assert isinstance(outcome, NotAccepted)
    assert outcome.reason == "active_task_limit"


async def test_a_dead_key_is_told_from_neither_side_as_a_refusal(sandbox: Sandbox) -> None:
    async with open_client(sandbox.url, upstream_retry_budget_s=0.2) as client:
        outcome = await client.create(FOX, soon())
        with pytest.raises(UpstreamUnavailable, match="401"):
            await client.models()

    assert isinstance(outcome, NotAccepted)
    assert outcome.reason == "unauthorized_throttle"


async def test_an_unknown_task_is_told_from_a_busy_upstream(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        with pytest.raises(UpstreamRefused) as problem:
            await client.task("never-created")

    assert problem.value.upstream_status == 404


async def test_an_acceptance_whose_answer_is_lost_is_unknown_and_stands_in_the_ledger(sandbox: Sandbox) -> None:
    sandbox.moods({"create_cut": {"rate": 1, "at": "accepted"}})
    async with client_of(sandbox) as client:
        outcome = await client.create(FOX, soon())

    assert isinstance(outcome, Unknown)
    assert len(sandbox.ledger()["creates"]) == 1


async def test_a_deleted_task_names_its_refund(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 60})
    async with client_of(sandbox) as client:
        created = await client.create(FOX, soon())
        assert isinstance(created, Accepted)

        refund = await client.delete([created.upstream_id])

    assert refund == created.estimated_credits
