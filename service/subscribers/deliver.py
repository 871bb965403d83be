"""The delivery loop: claims what is due, sends it beside what is still under way, stores what came of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Protocol, assert_never
from uuid import UUID

import structlog

from service.db.engine import Database
from service.db.listen import DELIVERIES
from service.resources import Resources
from service.settings import Settings
from service.subscribers.claims import Claim, Outcome, Target, Undeliverable, claim_due, store_outcomes
from service.subscribers.guard import Guard
from service.subscribers.retry import Answer, Delivered, GiveUp, Retry, Verdict, verdict
from service.subscribers.sender import Sender, open_sender
from service.subscribers.signature import signed_headers, webhook_id
from service.subscribers.target_url import host_of
from service.telemetry import observe_delivery

LEASE_MARGIN_S = 15.0

log = structlog.get_logger(__name__)


class Observe(Protocol):
    """Counts attempts: outcome `delivered`, `retry` or `dead`, the error class if any, and how long it took."""

    def __call__(self, outcome: str, error_class: str | None, seconds: float) -> None:
        """Take note of one attempt."""


class DeliveryLoop:
    """Sends notifications at least once each; a loop of the usual outline.

    A place is taken from the claim until the outcome is stored, so a database that is away stops the sending instead of
    filling the memory. What dies with the process is sent again, under the same webhook-id, when its lease ends.
    """

    name = "deliver"

    def __init__(self, database: Database, sender: Sender, settings: Settings, observe: Observe) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._sender = sender
        self._observe = observe
        self._places = settings.delivery_max_in_flight
        self._lease_s = settings.delivery_timeout_s + LEASE_MARGIN_S
        self._rest_s = settings.poll_floor_s
        self._rng = Random()
        self._sending: set[asyncio.Task[None]] = set()
        self._unstored: list[Outcome] = []
        self._in_flight: dict[tuple[UUID, UUID], UUID] = {}  # delivery and claim, to the subscription

    async def turn(self) -> float:
        """Store what has ended, claim for the places that are free, start sending; the seconds to rest at most."""
        await self._store()
        free = self._places - len(self._in_flight)
        if free:
            held = Counter(self._in_flight.values())
            for claim in await claim_due(self._database, free, held, self._lease_s):
                self._begin(claim)
        return 0.0 if self._unstored else self._rest_s

    async def drain(self) -> None:
        """Let the sends under way end, each within its own timeout, and store what came of them; no turn may follow."""
        while self._sending:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            await self._store()
        await self._store()

    async def _store(self) -> None:
        batch = tuple(self._unstored)
        if not batch:
            return
        stored = await store_outcomes(self._database, batch)
        del self._unstored[: len(batch)]
        for outcome in batch:
            del self._in_flight[_key(outcome.claim)]
            if outcome.claim.id not in stored:
                log.warning("delivery_fenced", delivery_id=str(outcome.claim.id))

    def _begin(self, claim: Claim) -> None:
        self._in_flight[_key(claim)] = claim.subscription_id
        if isinstance(claim.target, Undeliverable):
            self._unstored.append(Outcome(claim, claim.target))
            return
        task = asyncio.create_task(self._attempt(claim, claim.target))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _attempt(self, claim: Claim, target: Target) -> None:
        answer = await self._send(claim, target)
        fate = verdict(answer, claim.attempt, self._rng)
        self._unstored.append(Outcome(claim, fate, answer))
        self.wake.set()
        self._report(claim, target, answer, fate)

    async def _send(self, claim: Claim, target: Target) -> Answer:
        try:
            headers = signed_headers(target.secrets, webhook_id(claim.event_id), claim.at, target.body)
            return await self._sender.send(target.url, headers, target.body)
        except Exception as exc:  # an error of ours must not cost the place for good: it counts as an attempt
            log.exception("delivery_error", delivery_id=str(claim.id))
            return Answer(None, "internal", type(exc).__name__, 0)

    def _report(self, claim: Claim, target: Target, answer: Answer, fate: Verdict) -> None:
        outcome = _outcome_word(fate)
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
    """The loop, woken by the bell; its connections to subscribers close when the block ends."""
    settings = resources.settings
    async with open_sender(settings, Guard.of(settings)) as sender:
        loop = DeliveryLoop(resources.db, sender, settings, observe_delivery)
        resources.bell.hear(DELIVERIES, lambda _: loop.wake.set())
        yield loop


def _key(claim: Claim) -> tuple[UUID, UUID]:
    return claim.id, claim.claim_id


def _outcome_word(fate: Verdict) -> str:
    match fate:
        case Delivered():
            return "delivered"
        case Retry():
            return "retry"
        case GiveUp():
            return "dead"
    assert_never(fate)
