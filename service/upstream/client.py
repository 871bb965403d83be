"""The image API as calls: free ones sit out its moods within a budget, the paid one is made once, judged by facts."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Self, TypeVar, assert_never
from urllib.parse import quote

from service.errors import UpstreamRefused, UpstreamUnavailable, UpstreamUnknown
from service.settings import Settings
from service.upstream.outcome import Exchange, NotAccepted, SubmitOutcome, classify_exchange
from service.upstream.read_verdict import Answered, Busy, Denied, ReadVerdict, judge_read
from service.upstream.retry import next_wait_s
from service.upstream.submission import CreateRequest, SubmissionBody
from service.upstream.transport import Transport
from service.upstream.wire import (
    ImageModel,
    TaskPage,
    TaskReport,
    read_credits,
    read_health,
    read_models,
    read_price,
    read_refund,
    read_task,
    read_task_page,
)

__all__ = ["CreateRequest", "Observe", "UpstreamClient"]

DEFAULT_RETRY_AFTER_S = 5.0
TASK_TYPE = "imagen2"

Observe = Callable[[str, str, float], None]
"""Told of every attempt: the call's name, its outcome in one word, its seconds."""

T = TypeVar("T")


def _observe_nothing(call: str, outcome: str, seconds: float) -> None:
    pass


def _guard_nothing() -> None:
    pass


class UpstreamClient:
    """One account at the image API.

    Every call but `create` raises `UpstreamRefused` (the API's own denial; `upstream_status` 404 on a task means not
    known there, which right after a create is not final) or `UpstreamUnavailable` (it stayed busy, throttled or
    unreachable for `GATEWAY_UPSTREAM_RETRY_BUDGET_S`; `retry_after_s` says when to come back).
    """

    def __init__(self, settings: Settings, observe: Observe, guard: Callable[[], None]) -> None:
        self._transport = Transport.open(settings)
        self._budget_s = settings.upstream_retry_budget_s
        self._observe = observe
        self._guard = guard

    @classmethod
    def open(
        cls, settings: Settings, observe: Observe = _observe_nothing, guard: Callable[[], None] = _guard_nothing
    ) -> Self:
        """Open the client inside the event loop; `guard` is called before every network call and may raise."""
        return cls(settings, observe, guard)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    async def models(self) -> tuple[ImageModel, ...]:
        """The models on sale, in the API's order; an empty list counts as no answer."""
        return await self._ask(
            "models", lambda: self._transport.get("/v1i/models"), lambda body: read_models(body) or None
        )

    async def price(
        self, model_id: str, generations_count: int, model_parameters: Mapping[str, object], asset_count: int
    ) -> Decimal:
        """The exact charge in credits for such a request; free of charge."""
        asked = {
            "model_id": model_id,
            "generations_count": generations_count,
            "model_parameters": dict(model_parameters),
            "assets": asset_count,
        }
        return await self._ask("price", lambda: self._transport.post("/v1i/task/price", asked), read_price)

    async def task(self, upstream_id: str) -> TaskReport:
        """What the API says about one task now."""
        path = f"/v1/task/{quote(upstream_id, safe='')}"
        return await self._ask("task", lambda: self._transport.get(path), read_task)

    async def tasks(self, page: int, limit: int) -> TaskPage:
        """One page (from 1) of at most `limit` (1 to 100) of the account's image tasks."""
        params = {"type": TASK_TYPE, "page": str(page), "limit": str(limit)}
        return await self._ask("tasks", lambda: self._transport.get("/v1/tasks", params), read_task_page)

    async def credits(self) -> Decimal:
        """The account's balance in credits."""
        return await self._ask("credits", lambda: self._transport.get("/v1/credits"), read_credits)

    async def health(self) -> dict[str, str]:
        """What the API says about its providers, by name."""
        return await self._ask("health", lambda: self._transport.get("/v1/health-check"), read_health)

    async def delete(self, upstream_ids: Sequence[str]) -> Decimal | None:
        """Ask for tasks to be deleted; gives the refund if one is named. One attempt, since it changes something.

        Raises `UpstreamUnknown` when it may have been done without our hearing of it.
        """
        facts = await self._attempt(
            "delete", lambda: self._transport.post("/v1/task/delete", {"task_ids": list(upstream_ids)})
        )
        match judge_read(facts):
            case Answered(body):
                return read_refund(body)
            case Busy() as busy if busy.status in {401, 429, 503} or facts.never_connected:
                raise _unavailable(busy)
            case Busy(message=message):
                raise UpstreamUnknown(message, upstream_status=facts.status)
            case Denied() as denied:
                raise _refused(denied)

    async def create(self, request: CreateRequest, send_before: float) -> SubmitOutcome:
        """Submit and pay: one attempt on a fresh connection, judged by its facts; never raises for what the API does.

        `send_before` is the `time.monotonic()` moment from which this process must no longer send. A cancellation
        passes through, and then the outcome is unknown to everybody. The request's spool stays open meanwhile.
        """
        self._guard()
        started = time.monotonic()
        if started >= send_before:
            return NotAccepted("lease_lost", message="the lease ended before the call")
        body = SubmissionBody(request, send_before)
        outcome = classify_exchange(await self._transport.submit("/v1i/task/generate-image", body))
        if body.lease_lost and isinstance(outcome, NotAccepted):
            outcome = NotAccepted("lease_lost", message="the lease ended before the request was complete")
        self._observe("create", _word(outcome), time.monotonic() - started)
        return outcome

    async def _ask(
        self, call: str, attempt: Callable[[], Awaitable[Exchange]], read: Callable[[object], T | None]
    ) -> T:
        """Ask until an answer can be read, within the budget; the last attempt may begin at its very end."""
        deadline, tries = time.monotonic() + self._budget_s, 0
        while True:
            tries += 1
            verdict = judge_read(await self._attempt(call, attempt))
            answer = read(verdict.body) if isinstance(verdict, Answered) else None
            if answer is not None:
                return answer
            busy = _busy_or_raise(call, verdict)
            wait_s = next_wait_s(tries, deadline - time.monotonic(), busy.retry_after_s, random.random())
            if wait_s is None:
                raise _unavailable(busy)
            await asyncio.sleep(wait_s)

    async def _attempt(self, call: str, attempt: Callable[[], Awaitable[Exchange]]) -> Exchange:
        self._guard()
        started = time.monotonic()
        facts = await attempt()
        self._observe(call, type(judge_read(facts)).__name__.lower(), time.monotonic() - started)
        return facts


def _word(outcome: SubmitOutcome) -> str:
    """`accepted`, `refused`, `unknown`, or why it was not accepted."""
    return outcome.reason if isinstance(outcome, NotAccepted) else type(outcome).__name__.lower()


def _busy_or_raise(call: str, verdict: ReadVerdict) -> Busy:
    """What to wait out; an answer that could not be read counts as busy."""
    match verdict:
        case Answered():
            return Busy(200, f"the answer to `{call}` cannot be read")
        case Busy() as busy:
            return busy
        case Denied() as denied:
            raise _refused(denied)
        case _:
            assert_never(verdict)


def _refused(denied: Denied) -> UpstreamRefused:
    return UpstreamRefused(denied.message, upstream_status=denied.status, upstream_code=denied.code)


def _unavailable(busy: Busy) -> UpstreamUnavailable:
    detail = f"The image API did not answer: {busy.message}"
    if busy.status == 401:
        detail = (
            "The image API keeps answering 401 to the gateway's own key: it throttles the account, the account has no "
            "credits left, or GATEWAY_UPSTREAM_API_KEY is wrong. Your key is not the cause; tell the operator."
        )
    return UpstreamUnavailable(
        detail,
        upstream_status=busy.status,
        upstream_code=busy.code,
        retry_after_s=busy.retry_after_s or DEFAULT_RETRY_AFTER_S,
    )
