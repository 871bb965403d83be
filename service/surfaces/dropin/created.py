"""The answer to a create: its credits are always there, since clients compute with them."""

import asyncio
from collections.abc import Awaitable
from decimal import Decimal
from typing import TypeVar

import orjson
from starlette.responses import Response

from service.catalog.check import Wanted
from service.errors import GatewayError
from service.surfaces.dropin.answers import json_response
from service.surfaces.dropin.numbers import in_words, json_number
from service.tasks.store import StoredTask
from service.web.context import Gateway

PATIENCE_S = 2.0

T = TypeVar("T")


async def created_response(gateway: Gateway, priceable: Wanted, task: StoredTask) -> Response:
    """The task's id, what it costs, and what is left; 0 for what cannot be known soon.

    The task may be paid: an error here, or a missing key, would make a client pay for another.
    """
    price = await _price(gateway, priceable, task)
    left = await _soon(gateway.balance.current())
    answer = {
        "success": True,
        "task_id": str(task.id),
        "estimated_credits": json_number(price),
        "ec_remain_credits": in_words(left or Decimal(0)),
    }
    return json_response(orjson.dumps(answer))


def note_charge(gateway: Gateway, task: StoredTask) -> None:
    """Take the charge of a task that was sent just now off the balance that is held, which was asked for before."""
    price = _estimate(task) or Decimal(0)
    gateway.balance.change(lambda balance: max(balance - price, Decimal(0)))


async def _price(gateway: Gateway, priceable: Wanted, task: StoredTask) -> Decimal:
    """What the image API said when it took the task; of one that it has not taken yet, what it says when asked."""
    estimate = _estimate(task)
    if estimate is not None:
        return estimate
    quote = await _soon(gateway.prices.quote(priceable))
    return quote.credits if quote else Decimal(0)


def _estimate(task: StoredTask) -> Decimal | None:
    estimate = orjson.loads(task.body)["estimated_credits"]
    return None if estimate is None else Decimal(str(estimate))


async def _soon(answer: Awaitable[T]) -> T | None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await answer
    except (GatewayError, TimeoutError):
        return None
