"""How tests wait: for a condition, with a deadline; the only place in the tests that sleeps between two looks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")
POLL_S = 0.05


def eventually(look: Callable[[], Found | None], *, timeout_s: float = 30.0, what: str = "") -> Found:
    """The first truthy value of `look`; fails with the last one when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, _too_late(timeout_s, what, found)
        time.sleep(POLL_S)
    return found


async def eventually_async(
    look: Callable[[], Awaitable[Found | None]], *, timeout_s: float = 30.0, what: str = ""
) -> Found:
    """`eventually` for a coroutine function; the event loop keeps running between two looks."""
    deadline = time.monotonic() + timeout_s
    while not (found := await look()):
        assert time.monotonic() < deadline, _too_late(timeout_s, what, found)
        await asyncio.sleep(POLL_S)
    return found


def _too_late(timeout_s: float, what: str, found: object) -> str:
    return f"not within {timeout_s:g} s: {what or 'the condition'}; last seen: {found!r}"


def pause() -> None:
    """Between two polls of a client that polls: how such clients fare is what is tested."""
    time.sleep(POLL_S)
