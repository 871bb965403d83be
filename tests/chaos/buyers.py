"""Clients that want each of their tasks exactly once: they send a request again until it is acknowledged."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from tests.chaos.plan import Order
from tests.journeys.orders import MODEL, picture
from tests.support.gateway import ALPHA_KEY, BETA_KEY, auth

BUYERS = 32
ANSWER_WITHIN_S = 6.0
PAUSE_S = 0.2
LONGEST_PAUSE_S = 1.0
TOO_MANY = 429
PNG = picture()

KEYS: Mapping[str, str] = {"alpha": ALPHA_KEY, "beta": BETA_KEY}


@dataclass(slots=True)
class Purchases:
    """What the clients were told: the task of each key, and what nobody should ever have told them."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    def take(self, order: Order, task_id: str) -> None:
        """A 2xx: the key stands for this task from now on."""
        known = self.acknowledged.setdefault(order.key, task_id)
        if known != task_id:
            self.contradictions.append(f"{order.key}: first {known}, then {task_id}")


class Buyers:
    """All clients; they use every process in turn and pause between attempts, less as soon as the run is given up."""

    def __init__(self, urls: Sequence[str], seed: int) -> None:
        self.purchases = Purchases()
        self._urls = urls
        self._seed = seed
        self._given_up = asyncio.Event()

    async def buy(self, orders: Iterable[Order]) -> None:
        """Send every order until each is acknowledged, refused for good, or the run is given up."""
        waiting = iter(orders)
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.gather(*(self._buy_one_by_one(session, waiting) for _ in range(BUYERS)))

    async def give_up(self) -> None:
        """Let no order be sent again."""
        self._given_up.set()

    async def _buy_one_by_one(self, session: aiohttp.ClientSession, waiting: Iterable[Order]) -> None:
        for order in waiting:
            await self._buy_one(session, order)

    async def _buy_one(self, session: aiohttp.ClientSession, order: Order) -> None:
        chance, attempt = random.Random(f"{self._seed} {order.number}"), 0
        wanted = 2 if order.asks_again else 1
        while wanted and not self._given_up.is_set():
            pause_s = await self._attempt(session, order, attempt)
            attempt += 1
            if pause_s is None:
                wanted -= 1
            elif order.key in self.purchases.refused:
                return
            else:
                await self._pause(pause_s * chance.uniform(0.5, 1.5))

    async def _attempt(self, session: aiohttp.ClientSession, order: Order, attempt: int) -> float | None:
        """None when the order is acknowledged; otherwise how long to wait before the next attempt."""
        hangs_up = order.hangs_up_after_s if attempt == 0 else None
        url = self._urls[(order.number + attempt) % len(self._urls)]
        try:
            async with asyncio.timeout(hangs_up):
                return await self._post(session, f"{url}/api/v1/tasks", order)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as exc:
            self.purchases.answers["hung up" if hangs_up else type(exc).__name__] += 1
            return PAUSE_S

    async def _post(self, session: aiohttp.ClientSession, url: str, order: Order) -> float | None:
        headers = auth(KEYS[order.client]) | {"Idempotency-Key": order.key}
        async with session.post(url, data=_form(order), headers=headers) as answer:
            text = await answer.text()
            replayed = " replayed" if answer.headers.get("Idempotency-Replayed") else ""
            self.purchases.answers[f"{answer.status}{replayed}"] += 1
            if answer.ok:
                self.purchases.take(order, (await answer.json())["id"])
                return None
            if answer.status < 500 and answer.status != TOO_MANY:
                self.purchases.refused[order.key] = f"{answer.status} {text}"
            return min(float(answer.headers.get("Retry-After") or PAUSE_S), LONGEST_PAUSE_S)

    async def _pause(self, pause_s: float) -> None:
        try:
            await asyncio.wait_for(self._given_up.wait(), pause_s)
        except TimeoutError:
            return


def _form(order: Order) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("prompt", order.prompt)
    form.add_field("model_id", MODEL)
    form.add_field("client_reference", order.key)
    if order.asset:
        form.add_field("assets", PNG + order.asset, filename="1.png", content_type="image/png")
    return form
