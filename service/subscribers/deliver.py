"""The delivery loop: claims what is due, sends it, stores what came of it; none of the three waits for another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from time import monotonic
from typing import Protocol

import structlog

from service.db.engine import BY_INDEX, Database
from service.db.listen import DELIVERIES
from service.resources import Resources
from service.settings import Settings
from service.subscribers.claims import (
    Ask,
    Claim,
    Found,
    Target,
    Undeliverable,
    claim_due,
    release_ended_leases,
)
from service.subscribers.disable import disable_subscription
from service.subscribers.encryption import Encryption
from service.subscribers.guard import Guard
from service.subscribers.outcomes import Outcome, fate_word, store_outcomes
from service.subscribers.pace import Key, Pace
from service.subscribers.retry import Answer, Delivered, Verdict, verdict
from service.subscribers.sender import Sender, open_sender
from service.subscribers.sight import Sight
from service.subscribers.signature import signed_headers, webhook_id
from service.subscribers.target_url import host_of
from service.telemetry import observe_delivery

# In a backlog the next claim comes when a quarter of what ran has ended, or after so long: claims in batches are cheap.
BATCH_SHARE = 4
BATCH_WITHIN_S = 0.01
TOKEN_WAIT_MIN_S = 0.02
# What another process was just claiming from is looked at again so soon.
RETRY_LOOK_S = 0.05

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

    def __init__(self, database: Database, sender: Sender, settings: Settings, observe: Observe) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._sender = sender
        self._settings = settings
        self._observe = observe
        self._encryption = Encryption.of(settings)
        self._rng = Random()
        self._pace = Pace(settings.delivery_max_in_flight)
        self._sight = Sight(settings.poll_floor_s)
        self._sending: set[asyncio.Task[None]] = set()
        self._unstored: list[Outcome] = []
        self._storing: asyncio.Task[None] | None = None
        self._claiming: asyncio.Task[Found] | None = None
        self._ended = 0  # sends, since the last claim
        self._claim_timer: asyncio.TimerHandle | None = None

    async def turn(self) -> float:
        """Claim for the places that are free and start sending; the seconds to rest at most.

        What has ended is being stored meanwhile. Raises what the last storing raised; its outcomes are stored again.
        """
        self._keep_storing()
        if self._pace.free == 0 and self._claiming is None:
            return self._settings.poll_floor_s
        found = await self._claimed()
        if self._sight.left_some and self._pace.free * BATCH_SHARE >= self._pace.places:
            # Before the sends begin, so that Postgres works on the next batch while we work on this one.
            self._claiming = asyncio.create_task(self._claim())
        for claim in found.claims:
            self._begin(claim)
        return 0.0 if self._claiming else self._rest_s(found)

    async def drain(self) -> None:
        """Let the sends under way end, each within its own timeout, and store what came of them; no turn may follow."""
        if self._claiming:
            for claim in (await self._claimed()).claims:
                self._begin(claim)
        while self._sending:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            self._keep_storing()
        while self._unstored or self._storing:
            self._keep_storing()
            if self._storing:
                await asyncio.wait({self._storing})

    async def _claimed(self) -> Found:
        """What the claim that is under way finds, or one that is made now; places are taken for all of it."""
        claiming, self._claiming = self._claiming, None
        found = await (claiming or self._claim())
        self._ended = 0
        self._sight.end(found)
        for claim in found.claims:
            self._pace.take(_key(claim), claim.subscription_id)
        return found

    async def _claim(self) -> Found:
        if self._sight.begin(monotonic()):
            await release_ended_leases(self._database)
        ask = Ask(self._pace.rooms(monotonic()), self._sight.since, self._sight.after_lane)
        return await claim_due(self._database, self._settings, ask)

    def _rest_s(self, found: Found) -> float:
        floor_s = self._settings.poll_floor_s
        if found.after_lane is not None and self._pace.free:
            return 0.0
        if found.token_in_s is not None:
            floor_s = min(floor_s, max(found.token_in_s, TOKEN_WAIT_MIN_S))
        if self._sight.left_some and not self._sending:
            floor_s = min(floor_s, RETRY_LOOK_S)
        return floor_s

    def _begin(self, claim: Claim) -> None:
        if isinstance(claim.target, Undeliverable):
            self._pace.skip()
            self._end(Outcome(claim, claim.target))
            return
        self._pace.begin(_key(claim), monotonic())
        task = asyncio.create_task(self._attempt(claim, claim.target))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _attempt(self, claim: Claim, target: Target) -> None:
        answer = await self._send(claim, target)
        fate = verdict(answer, claim.attempt, self._rng)
        self._pace.end(_key(claim), monotonic(), delivered=isinstance(fate, Delivered))
        self._end(Outcome(claim, fate, answer))
        self._ended += 1
        self._ask_for_claim()
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
            stored = await store_outcomes(self._database, self._settings, batch)
            del self._unstored[: len(batch)]
            for outcome in batch:
                self._pace.give_back(_key(outcome.claim))
                if outcome.claim.id not in stored.ids:
                    log.warning("delivery_fenced", delivery_id=str(outcome.claim.id))
            self._ask_for_claim()
            for subscription_id, reason in stored.to_disable.items():
                await disable_subscription(self._database, subscription_id, reason)
                self.wake.set()
        self._storing = None

    def _ask_for_claim(self) -> None:
        """Where the last one found more than it could take: at once for many places, for few a little later."""
        if not self._sight.left_some:
            return
        if self._ended * BATCH_SHARE >= len(self._sending):
            self.wake.set()
        elif self._claim_timer is None:
            self._claim_timer = asyncio.get_running_loop().call_later(BATCH_WITHIN_S, self._claim_after_all)

    def _claim_after_all(self) -> None:
        self._claim_timer = None
        self.wake.set()

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
    """The loop, woken by the bell; its connections, to subscribers and to Postgres, close when the block ends.

    It has its own few connections, so that no burst of requests stands before it in the pool.
    """
    settings = resources.settings
    database = Database(settings, BY_INDEX)
    try:
        async with open_sender(settings, Guard.of(settings)) as sender:
            loop = DeliveryLoop(database, sender, settings, observe_delivery)
            resources.bell.hear(DELIVERIES, lambda _: loop.wake.set())
            yield loop
    finally:
        await database.close()


def _key(claim: Claim) -> Key:
    return claim.id, claim.claim_id
