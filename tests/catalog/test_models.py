"""The model list kept fresh: one fetch for many callers, and the last list while the upstream is down."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from service.catalog.models import Catalog
from service.errors import UpstreamUnavailable
from service.settings import Settings
from service.upstream.wire import ImageModel

SETTINGS = Settings(models_fresh_s=300, models_stale_s=86_400)


class Upstream:
    """What the catalogue fetches from: it answers what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.models: Sequence[ImageModel] | UpstreamUnavailable = (ImageModel("flux-2-pro"),)
        self.calls = 0
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self) -> Sequence[ImageModel]:
        self.calls += 1
        await self.open.wait()
        if isinstance(self.models, UpstreamUnavailable):
            raise self.models
        return self.models


class Clock:
    """A clock that is advanced by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalog(upstream: Upstream, clock: Clock) -> Catalog:
    return Catalog(upstream.fetch, SETTINGS, clock)


def ids(models: Sequence[ImageModel]) -> list[str]:
    return [model.model_id for model in models]


async def test_many_callers_at_once_cost_one_fetch(catalog: Catalog, upstream: Upstream) -> None:
    upstream.open.clear()
    callers = [asyncio.create_task(catalog.current()) for _ in range(50)]
    await asyncio.wait(callers, timeout=0.01)

    upstream.open.set()
    listings = await asyncio.gather(*callers)

    assert upstream.calls == 1
    assert {listing.etag for listing in listings} == {listings[0].etag}


async def test_a_caller_who_goes_away_does_not_take_the_fetch_from_the_others(
    catalog: Catalog, upstream: Upstream
) -> None:
    upstream.open.clear()
    first, second = (asyncio.create_task(catalog.current()) for _ in range(2))
    await asyncio.wait({first, second}, timeout=0.01)

    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    upstream.open.set()

    assert ids((await second).models) == ["flux-2-pro"]
    assert upstream.calls == 1


async def test_a_fresh_list_is_served_without_asking_again(catalog: Catalog, upstream: Upstream, clock: Clock) -> None:
    await catalog.current()

    clock.now_s += 299
    listing = await catalog.current()

    assert (upstream.calls, listing.is_stale) == (1, False)


async def test_a_list_past_its_time_is_served_at_once_and_fetched_anew_meanwhile(
    catalog: Catalog, upstream: Upstream, clock: Clock
) -> None:
    await catalog.current()
    upstream.models = (ImageModel("krea-2-large"),)
    upstream.open.clear()
    clock.now_s += 301

    at_once = await catalog.current()
    upstream.open.set()
    clock.now_s += 300
    later = await catalog.current()

    assert (ids(at_once.models), at_once.is_stale, at_once.age_s) == (["flux-2-pro"], True, 301)
    assert (ids(later.models), later.is_stale) == (["krea-2-large"], False)


async def test_a_list_long_past_its_time_is_fetched_before_it_is_served(
    catalog: Catalog, upstream: Upstream, clock: Clock
) -> None:
    await catalog.current()
    upstream.models = (ImageModel("krea-2-large"),)

    clock.now_s += 10_000

    assert ids((await catalog.current()).models) == ["krea-2-large"]


async def test_while_the_upstream_is_down_the_last_list_is_served(
    catalog: Catalog, upstream: Upstream, clock: Clock
) -> None:
    await catalog.current()
    upstream.models = UpstreamUnavailable("down")

    clock.now_s += 10_000
    listing = await catalog.current()

    assert (ids(listing.models), listing.is_stale, listing.age_s) == (["flux-2-pro"], True, 10_000)


async def test_an_upstream_that_is_down_is_not_asked_by_every_caller(
    catalog: Catalog, upstream: Upstream, clock: Clock
) -> None:
    await catalog.current()
    upstream.models = UpstreamUnavailable("down")
    clock.now_s += 10_000

    for _ in range(20):
        await catalog.current()

    assert upstream.calls == 2


async def test_a_list_as_old_as_may_be_is_not_served(catalog: Catalog, upstream: Upstream, clock: Clock) -> None:
    await catalog.current()
    upstream.models = UpstreamUnavailable("down")

    clock.now_s += 86_400

    with pytest.raises(UpstreamUnavailable):
        await catalog.current()


async def test_without_any_list_the_caller_is_told_when_to_come_back(catalog: Catalog, upstream: Upstream) -> None:
    upstream.models = UpstreamUnavailable("down", retry_after_s=17)

    with pytest.raises(UpstreamUnavailable) as raised:
        await catalog.current()

    assert raised.value.retry_after_s == 17


async def test_an_answer_without_models_does_not_replace_the_list(
    catalog: Catalog, upstream: Upstream, clock: Clock
) -> None:
    await catalog.current()
    upstream.models = ()

    clock.now_s += 10_000

    assert ids((await catalog.current()).models) == ["flux-2-pro"]


async def test_the_etag_changes_with_what_clients_see_and_with_nothing_else(
    catalog: Catalog, upstream: Upstream, clock: Clock
) -> None:
    etags = []
    for models in (
        (ImageModel("flux-2-pro"),),
        (ImageModel("flux-2-pro", raw={"presented_credits": 3}),),
        (ImageModel("flux-2-pro", max_assets=2),),
    ):
        upstream.models = models
        clock.now_s += 10_000
        etags.append((await catalog.current()).etag)

    assert etags[0] == etags[1] != etags[2]
