"""The delivery loop: claims what is due, sends it, stores what came of it; none of the three waits for another."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from random import Random
from time import monotonic
from typing import Protocol
from uuid import UUID

import structlog

from service.db.listen import DELIVERIES
from service.errors import Unavailable
from service.resources import Resources
from service.settings import Settings
from service.subscribers.claims import Claim, Target, Undeliverable
from service.subscribers.disable import disable_failing, disable_gone
from service.subscribers.encryption import Encryption
from service.subscribers.guard import Guard
from service.subscribers.intake import Intake, key_of
from service.subscribers.lines import Lines, open_lines
from service.subscribers.outcomes import Outcome, Stored, fate_word, store_outcomes
from service.subscribers.pace import Pace
from service.subscribers.retry import Answer, Delivered, GiveUp, Verdict, verdict
from service.subscribers.sender import Sender, open_sender
from service.subscribers.signature import signed_headers, webhook_id
from service.subscribers.target_url import host_of
from service.telemetry import disable_failures_total, observe_delivery

BEGUN_AT_ONCE = 16

log = structlog.get_logger(__name__)


class Observe(Protocol):
    """Counts attempts: outcome `delivered`, `retry` or `dead`, the error class if any, and how long it took."""

    def __call__(self, outcome: str, error_class: str | None, seconds: float) -> None:
        """Take note of one attempt."""


class DeliveryLoop:
    """Sends notifications at least once each; a loop of the usual outline.

    What is not stored yet is bounded, so a database that is away stops the sending instead of filling the memory. What
    dies with the process is sent again, under the same webhook-id, when its lease ends.
    """

    name = "deliver"

    def __init__(self, lines: Lines, sender: Sender, settings: Settings, observe: Observe) -> None:
        self.wake = asyncio.Event()
        self._lines = lines
        self._sender = sender
        self._settings = settings
        self._observe = observe
        self._encryption = Encryption.of(settings)
        self._rng = Random()
        self._pace = Pace(settings.delivery_max_in_flight)
        self.intake = Intake(lines.claims, settings, self._pace, self.wake)
        self._sending: set[asyncio.Task[None]] = set()
        self._unstored: list[Outcome] = []
        self._storing: asyncio.Task[None] | None = None

    async def turn(self) -> float:
        """Claim for the places that are free and start sending; the seconds to rest at most.

        What has ended is being stored meanwhile. Raises what the last storing raised; its outcomes are stored again.
        """
        self._keep_storing()
        for number, claim in enumerate(await self.intake.take(), start=1):
            self._begin(claim)
            if number % BEGUN_AT_ONCE == 0:
                await asyncio.sleep(0)  # let what has come meanwhile be seen to, answers of Postgres among it
        await self.intake.release_ended_leases()
        return self.intake.rest_s()

    async def drain(self) -> None:
        """Let the sends under way end, each within its own timeout, and store what came of them; no turn may follow."""
        for claim in await self.intake.last():
            self._begin(claim)
        while self._sending:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            self._keep_storing()
        while self._unstored or self._storing:
            self._keep_storing()
            if self._storing:
                await asyncio.wait({self._storing})

    def _begin(self, claim: Claim) -> None:
        if isinstance(claim.target, Undeliverable):
            self._pace.skip()
            self._end(Outcome(claim, claim.target))
            return
        self._pace.begin(key_of(claim), monotonic())
        task = asyncio.create_task(self._attempt(claim, claim.target))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _attempt(self, claim: Claim, target: Target) -> None:
        answer = await self._send(claim, target)
        fate = verdict(answer, claim.attempt, self._rng)
        self._pace.end(key_of(claim), monotonic(), delivered=isinstance(fate, Delivered))
        self._end(Outcome(claim, fate, answer))
        self.intake.ended(claim.subscription_id)
        self._report(claim, target, answer, fate)

    async def _send(self, claim: Claim, target: Target) -> Answer:
        try:
            secrets = [self._encryption.decrypt(claim.subscription_id, stored) for stored in target.secrets]
            headers = signed_headers(secrets, webhook_id(claim.event_id), claim.at, target.body)
            return await self._sender.send(target.url, headers, target.body, target.timeout_s)
        except Exception as exc:  # an error of ours must not cost the place for good: it counts as an attempt
            log.exception("delivery_error", delivery_id=str(claim.id))
            return Answer(None, "internal", type(exc).__name__, 0)

    def _end(self, outcome: Outcome) -> None:
        self._unstored.append(outcome)
        if self._storing is None:
            self._storing = asyncio.create_task(self._store())

    def _keep_storing(self) -> None:
        """Begin anew where storing had failed, and raise that failure."""
        failed = self._storing if self._storing and self._storing.done() else None
        if failed:
            self._storing = None
        if self._unstored and self._storing is None:
            self._storing = asyncio.create_task(self._store())
        if failed:
            failed.result()

    async def _store(self) -> None:
        """Store batch after batch; what ends meanwhile makes the next one, so that batches grow with the load."""
        while self._unstored:
            batch = tuple(self._unstored)
            for outcome in batch:
                if isinstance(outcome.fate, GiveUp) and outcome.fate.reason == "gone":
                    await self._disable(outcome.claim.subscription_id, disable_gone(self._lines.pool, outcome.claim))
            stored = await store_outcomes(self._lines.outcomes, self._settings, batch)
            del self._unstored[: len(batch)]
            self._give_back(batch, stored)
            for subscription_id in stored.failing:
                await self._disable(subscription_id, disable_failing(self._lines.pool, subscription_id))
        self._storing = None

    async def _disable(self, subscription_id: UUID, disabling: Awaitable[None]) -> None:
        """With the database away nothing is stored either; any other error of ours must not keep it from that."""
        try:
            await disabling
        except Unavailable:
            raise
        except Exception:
            disable_failures_total.inc()
            log.exception("disable_failed", subscription_id=str(subscription_id))
        self.intake.ring()

    def _give_back(self, batch: Sequence[Outcome], stored: Stored) -> None:
        for outcome in batch:
            self._pace.give_back(key_of(outcome.claim))
            if outcome.claim.id in stored.lost:
                log.warning("delivery_fenced", delivery_id=str(outcome.claim.id))
        for outcome in batch:
            self.intake.stored(outcome.claim.subscription_id)

    def _report(self, claim: Claim, target: Target, answer: Answer, fate: Verdict) -> None:
        word = fate_word(fate)
        outcome = "dead" if word == "gone" else word
        self._observe(outcome, answer.error_class, answer.duration_ms / 1000)
        log.info(
            "delivery_attempt",
            outcome=outcome,
            webhook_id=webhook_id(claim.event_id),
            delivery_id=str(claim.id),
            subscription_id=str(claim.subscription_id),
            host=host_of(target.url),
            attempt=claim.attempt,
            status=answer.status,
            error_class=answer.error_class,
            error=answer.error,
            duration_ms=answer.duration_ms,
        )


@asynccontextmanager
async def open_delivery_loop(resources: Resources) -> AsyncIterator[DeliveryLoop]:
    """The loop, woken by the bell; its connections, to subscribers and to Postgres, close when the block ends."""
    settings = resources.settings
    async with open_lines(settings, resources.db) as lines, open_sender(settings, Guard.of(settings)) as sender:
        loop = DeliveryLoop(lines, sender, settings, observe_delivery)
        resources.bell.hear(DELIVERIES, lambda _: loop.intake.ring())
        yield loop
