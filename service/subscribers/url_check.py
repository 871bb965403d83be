"""Checks addresses as they are registered: the allow-list, and where their names lead just now."""

import asyncio
from time import monotonic

from service.subscribers.guard import Guard
from service.subscribers.target_url import TargetUrl, read_target_url

GOOD_FOR_S = 30.0
LOOKUP_WAIT_S = 1.0
# Lookups take threads that the calls to the image API need for theirs.
MAX_LOOKUPS = 8
MAX_REMEMBERED = 10_000


class UrlCheck:
    """Gives a caller a clear answer early; whether a notification may go out is decided when it is sent.

    Many requests name the same few hosts, so a host that passed is not looked up again for half a minute, and those who
    ask for one at the same time share a lookup. A slow answer holds nobody up: then the dial decides.
    """

    def __init__(self, guard: Guard, *, wait_s: float = LOOKUP_WAIT_S) -> None:
        self._guard = guard
        self._wait_s = wait_s
        self._good_until_s: dict[str, float] = {}
        self._lookups: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def checked(self, url: str, field: str = "callback_url") -> str:
        """The URL as it is to be stored and called, within a second. Raises InvalidRequest that names `field`."""
        target = read_target_url(self._guard.check_url(url, field))
        if target.address is None and self._good_until_s.get(target.host, 0.0) < monotonic():
            await self._look_up(target, field)
        return target.url

    async def _look_up(self, target: TargetUrl, field: str) -> None:
        key = target.host, field
        if key not in self._lookups:
            if len(self._lookups) >= MAX_LOOKUPS:
                return
            self._lookups[key] = asyncio.create_task(self._guard.check_lookup(target.url, field))
            self._lookups[key].add_done_callback(lambda done: self._remember(key, done))
        lookup = self._lookups[key]
        ended, _ = await asyncio.wait({lookup}, timeout=self._wait_s)
        if ended:
            lookup.result()

    def _remember(self, key: tuple[str, str], done: "asyncio.Task[None]") -> None:
        del self._lookups[key]
        if done.cancelled() or done.exception():
            return
        if len(self._good_until_s) >= MAX_REMEMBERED:
            self._good_until_s.clear()
        self._good_until_s[key[0]] = monotonic() + GOOD_FOR_S
