"""Addresses as they are registered: refused where their name leads nowhere allowed, and never waited for long."""

import asyncio
from dataclasses import dataclass, field

import pytest

from service.errors import FieldError, InvalidRequest
from service.subscribers.guard import Guard
from service.subscribers.url_check import MAX_LOOKUPS, UrlCheck

URL = "http://hooks.svc.cluster.local/images"


@dataclass(frozen=True)
class Names(Guard):
    """An allow-list for the cluster, whose lookups the test answers and counts."""

    networks: tuple[()] = ()
    suffixes: tuple[str, ...] = (".svc.cluster.local",)
    any_public: bool = False
    forbidden: frozenset[str] = frozenset()
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)

    async def check_lookup(self, url: str, field: str = "callback_url") -> None:
        self.asked.append(url)
        await self.may_answer.wait()
        if url in self.forbidden:
            raise InvalidRequest(FieldError(field, "leads nowhere allowed"))


def answering(*forbidden: str) -> Names:
    names = Names(forbidden=frozenset(forbidden))
    names.may_answer.set()
    return names


async def test_an_address_comes_back_in_its_one_spelling() -> None:
    assert await UrlCheck(answering()).checked("HTTP://Hooks.svc.cluster.local.:80/images") == (
        "http://hooks.svc.cluster.local:80/images"
    )


async def test_an_address_off_the_allow_list_is_refused_without_a_lookup() -> None:
    names = answering()

    with pytest.raises(InvalidRequest) as refused:
        await UrlCheck(names).checked("http://elsewhere.example/", "url")

    assert [each.field for each in refused.value.fields] == ["url"]
    assert names.asked == []


async def test_a_name_that_leads_nowhere_allowed_is_refused_each_time() -> None:
    names = answering(URL)
    check = UrlCheck(names)

    for wanted in ("url", "callback_url"):
        with pytest.raises(InvalidRequest) as refused:
            await check.checked(URL, wanted)
        assert [each.field for each in refused.value.fields] == [wanted]
    assert len(names.asked) == 2


async def test_a_name_that_passed_is_not_looked_up_for_the_next_request() -> None:
    names = answering()
    check = UrlCheck(names)

    for path in range(10):
        await check.checked(f"{URL}/{path}")

    assert names.asked == [f"{URL}/0"]


async def test_those_who_ask_at_once_share_a_lookup_and_its_answer() -> None:
    names = Names(forbidden=frozenset({URL}))
    check = UrlCheck(names)

    async def answer() -> None:
        names.may_answer.set()

    *ends, _ = await asyncio.gather(*(check.checked(URL) for _ in range(5)), answer(), return_exceptions=True)

    assert names.asked == [URL]
    assert [type(end) for end in ends] == [InvalidRequest] * 5


async def test_a_slow_lookup_is_left_to_the_dial() -> None:
    check = UrlCheck(Names(), wait_s=0.01)

    assert await check.checked(URL) == URL


async def test_many_slow_lookups_do_not_queue_up() -> None:
    names = Names()
    check = UrlCheck(names, wait_s=0.01)
    urls = [f"http://hooks{n}.svc.cluster.local/" for n in range(4 * MAX_LOOKUPS)]

    passed = await asyncio.gather(*(check.checked(url) for url in urls))

    assert passed == urls
    assert len(names.asked) == MAX_LOOKUPS
