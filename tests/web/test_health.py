"""Ready is who may get traffic: every check passes and nobody has asked the process to end."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from service.errors import Unavailable
from service.web.health import Health, loops_check, router


async def fine() -> None:
    """A check that passes."""


async def away() -> None:
    raise Unavailable("The database cannot be reached.")


async def silent() -> None:
    await asyncio.Event().wait()


async def answered(health: Health, path: str) -> httpx.Response:
    app = FastAPI()
    app.include_router(router)
    app.state.health = health
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.get(path)


async def test_a_process_whose_checks_pass_is_ready() -> None:
    answer = await answered(Health({"database": fine}), "/readyz")

    assert (answer.status_code, answer.json()) == (200, {"ready": True, "checks": {"database": "ok"}})


async def test_a_failing_check_says_why() -> None:
    answer = await answered(Health({"database": away, "loops": fine}), "/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": "The database cannot be reached.", "loops": "ok"}


async def test_a_check_without_an_answer_fails_in_time() -> None:
    answer = await answered(Health({"database": silent}), "/readyz")

    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "no answer within 3 s")


async def test_a_process_that_shuts_down_gets_no_new_traffic_but_is_alive() -> None:
    health = Health({"database": fine}, draining=True)

    ready, alive = await answered(health, "/readyz"), await answered(health, "/livez")

    assert (ready.status_code, alive.status_code) == (503, 200)
    assert "draining" in ready.json()["checks"]


async def test_a_database_outage_restarts_nobody() -> None:
    assert (await answered(Health({"database": away}), "/livez")).status_code == 200


async def test_a_loop_that_fails_is_named() -> None:
    check = loops_check(lambda: ["deliver"])["loops"]

    with pytest.raises(Exception, match="deliver"):
        await check()
