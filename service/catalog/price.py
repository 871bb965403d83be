"""What a request would cost, asked of the image API for exactly that request; nothing is charged for asking."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic

import orjson

from service.catalog.check import Wanted
from service.errors import MaxCreditsExceeded
from service.telemetry import timed
from service.upstream.client import UpstreamClient

Ask = Callable[[Wanted], Awaitable[Decimal]]

# Equal requests come in bursts; of those that came longest ago the price is forgotten first.
MAX_HELD = 1000


@dataclass(frozen=True, slots=True)
class Quote:
    """The exact charge in credits, and when the image API named it."""

    credits: Decimal
    priced_at: datetime


@dataclass(frozen=True, slots=True)
class _Held:
    """A question and its answer, if it is there already; good until the clock says `until_s`."""

    asked: asyncio.Task[Quote]
    until_s: float


def asked_of(upstream: UpstreamClient) -> Ask:
    """The question to this account at the image API."""

    def ask(wanted: Wanted) -> Awaitable[Decimal]:
        return upstream.price(wanted.model_id, wanted.generations_count, wanted.model_parameters, wanted.asset_count)

    return ask


class Prices:
    """One question for many callers who want the same; its answer serves for `fresh_s`, a failure only who waited."""

    def __init__(self, ask: Ask, fresh_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._ask = ask
        self._fresh_s = fresh_s
        self._clock = clock
        self._held: dict[bytes, _Held] = {}

    async def quote(self, wanted: Wanted) -> Quote:
        """Price a request that the catalogue has found good; its prompt does not matter.

        Raises UpstreamUnavailable (with Retry-After) when the image API stays away, UpstreamRefused for its verdict.
        """
        key = _key(wanted)
        held = self._held.get(key)
        if held is None or self._clock() >= held.until_s:
            held = self._hold(key, wanted)
        with timed("upstream"):
            # Shielded: a caller who goes away must not take the answer from the others who wait for it.
            return await asyncio.shield(held.asked)

    async def refuse_above(self, wanted: Wanted, max_credits: Decimal) -> None:
        """Raise MaxCreditsExceeded when the request costs more; raises also what `quote` does."""
        price = (await self.quote(wanted)).credits
        if price > max_credits:
            raise MaxCreditsExceeded(
                f"The request costs {price:f} credits, more than its max_credits of {max_credits:f}. Nothing was sent."
            )

    async def close(self) -> None:
        """End the questions in flight, if any."""
        open_questions = [held.asked for held in self._held.values() if not held.asked.done()]
        for asked in open_questions:
            asked.cancel()
        if open_questions:
            await asyncio.wait(open_questions)

    def _hold(self, key: bytes, wanted: Wanted) -> _Held:
        self._held.pop(key, None)
        while len(self._held) >= MAX_HELD:
            del self._held[next(iter(self._held))]
        held = self._held[key] = _Held(asyncio.create_task(self._asked(wanted)), self._clock() + self._fresh_s)
        held.asked.add_done_callback(lambda _: self._forget_failure(key, held))
        return held

    async def _asked(self, wanted: Wanted) -> Quote:
        return Quote(await self._ask(wanted), datetime.now(UTC))

    def _forget_failure(self, key: bytes, held: _Held) -> None:
        failed = held.asked.cancelled() or held.asked.exception() is not None
        if failed and self._held.get(key) is held:
            del self._held[key]


def _key(wanted: Wanted) -> bytes:
    """What the price depends on."""
    named = (wanted.model_id, wanted.generations_count, wanted.model_parameters, wanted.asset_count)
    return orjson.dumps(named, option=orjson.OPT_SORT_KEYS)
