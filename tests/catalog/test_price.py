"""Prices: asked once for many who want the same, remembered for a moment, failures not at all."""

import asyncio
from decimal import Decimal

import pytest

from service.catalog.check import Wanted
from service.catalog.price import MAX_HELD, Prices
from service.errors import MaxCreditsExceeded, UpstreamUnavailable

FRESH_S = 10.0


class ImageApi:
    """Names a price once it is let; counts how often it was asked."""

    def __init__(self) -> None:
        self.answer: Decimal | Exception = Decimal(1188)
        self.asked: list[Wanted] = []
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.now_s = 0.0
        self.prices = Prices(self._price, FRESH_S, clock=lambda: self.now_s)

    async def _price(self, wanted: Wanted) -> Decimal:
        self.asked.append(wanted)
        self.was_asked.set()
        await self.may_answer.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
async def api() -> ImageApi:
    return ImageApi()


def wanted(count: int = 1, *, prompt: str | None = None, ratio: str = "1:1", assets: int = 0) -> Wanted:
    return Wanted("seedream", count, {"resolution": "2K", "aspect_ratio": ratio}, assets, prompt)


async def test_many_who_want_the_same_at_once_cause_one_question(api: ImageApi) -> None:
    api.may_answer.clear()
    asking = [asyncio.create_task(api.prices.quote(wanted(prompt=f"picture {n}"))) for n in range(50)]
    await api.was_asked.wait()
    api.may_answer.set()

    quotes = await asyncio.gather(*asking)

    assert {quote.credits for quote in quotes} == {Decimal(1188)}
    assert len(api.asked) == 1


async def test_a_price_is_asked_anew_when_it_is_no_longer_fresh(api: ImageApi) -> None:
    await api.prices.quote(wanted())
    api.now_s, api.answer = FRESH_S - 0.1, Decimal(1200)
    remembered = await api.prices.quote(wanted())
    api.now_s = FRESH_S

    asked_anew = await api.prices.quote(wanted())

    assert (remembered.credits, asked_anew.credits) == (Decimal(1188), Decimal(1200))


@pytest.mark.parametrize("other", [wanted(2), wanted(ratio="16:9"), wanted(assets=1)], ids=["count", "ratio", "assets"])
async def test_what_changes_the_price_is_asked_for_by_itself(api: ImageApi, other: Wanted) -> None:
    await api.prices.quote(wanted())

    await api.prices.quote(other)

    assert api.asked == [wanted(), other]


async def test_a_failure_is_told_to_all_who_waited_and_then_forgotten(api: ImageApi) -> None:
    api.answer = UpstreamUnavailable("busy", retry_after_s=3.0)
    failed = await asyncio.gather(*(api.prices.quote(wanted()) for _ in range(3)), return_exceptions=True)
    api.answer = Decimal(1188)

    answered = await api.prices.quote(wanted())

    assert [type(each) for each in failed] == [UpstreamUnavailable] * 3
    assert answered.credits == Decimal(1188)


async def test_a_caller_who_goes_away_does_not_take_the_answer_from_the_others(api: ImageApi) -> None:
    api.may_answer.clear()
    first, second = (asyncio.create_task(api.prices.quote(wanted())) for _ in range(2))
    await api.was_asked.wait()
    first.cancel()
    api.may_answer.set()

    assert (await second).credits == Decimal(1188)
    assert len(api.asked) == 1


@pytest.mark.parametrize(("most", "is_refused"), [("1187.99", True), ("1188", False), ("5000", False)])
async def test_a_request_is_refused_only_when_it_costs_more_than_its_limit(
    api: ImageApi, most: str, is_refused: bool
) -> None:
    outcome = await asyncio.gather(api.prices.refuse_above(wanted(), Decimal(most)), return_exceptions=True)

    assert isinstance(outcome[0], MaxCreditsExceeded) is is_refused
    assert ("costs 1188 credits" in str(outcome[0])) is is_refused


async def test_a_flood_of_different_requests_does_not_grow_the_memory(api: ImageApi) -> None:
    for count in range(MAX_HELD + 10):
        await api.prices.quote(wanted(count))
    await api.prices.quote(wanted(MAX_HELD + 9))
    await api.prices.quote(wanted(0))

    assert len(api.asked) == MAX_HELD + 11


async def test_closing_ends_the_questions_that_are_still_open(api: ImageApi) -> None:
    api.may_answer.clear()
    asking = asyncio.create_task(api.prices.quote(wanted()))
    await api.was_asked.wait()

    await api.prices.close()

    assert isinstance((await asyncio.gather(asking, return_exceptions=True))[0], asyncio.CancelledError)
