"""Decides when to claim and how: a glance at what just came, or a look at all that is due."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from uuid import UUID

from service.db.line import Line
from service.settings import Settings
from service.subscribers.claims import Ask, Claim, Found, claim_due, claim_new, release_ended_leases
from service.subscribers.pace import Key, Pace
from service.subscribers.sight import Sight

# In a backlog the next look comes when a quarter of what ran has ended, or after so long: claims in batches are cheap.
BATCH_SHARE = 4
BATCH_WITHIN_S = 0.01
# With every few looks at everything, what died with other processes is made due again.
LEASES_EVERY = 5


class Intake:
    """Claims for the places that are free, one claim at a time; sets `wake` when there may be more to claim.

    What is rung for is taken by a glance, which asks little of Postgres, so that it is quick whatever is left behind by
    others. What that leaves is for a look; and when something was left that waits for a place of its lane, the next
    look comes when one is free. Every other look comes with time, ever later while looks take nothing.
    """

    def __init__(self, line: Line, settings: Settings, pace: Pace, wake: asyncio.Event) -> None:
        self._line = line
        self._settings = settings
        self._pace = pace
        self._wake = wake
        self._sight = Sight(settings.poll_floor_s)
        self._rung = False
        self._looking: asyncio.Task[Found] | None = None
        self._look_wanted = False
        self._look_timer: asyncio.TimerHandle | None = None
        self._glanced_last = False
        self._looks_at_all = 0
        self._leases_due = False
        self._ended = 0  # sends, since the last look

    def ring(self) -> None:
        """Something new is due."""
        self._rung = True
        self._wake.set()

    def ended(self, lane_id: UUID) -> None:
        """A send of this lane has ended."""
        self._ended += 1
        self.stored(lane_id)

    def stored(self, lane_id: UUID) -> None:
        """A place of this lane is free: look for what waits for it; at once for many places, for few a little later."""
        if self._rung:
            self._wake.set()
        if not self._sight.may_go_on(lane_id):
            return
        if self._ended * BATCH_SHARE >= self._pace.sends:
            self._want_look()
        elif self._look_timer is None:
            self._look_timer = asyncio.get_running_loop().call_later(BATCH_WITHIN_S, self._want_look)

    async def take(self) -> Sequence[Claim]:
        """Claim what is due to be claimed now, and take a place for each."""
        if self._looking:
            return await self._look()
        if self._pace.free == 0:
            return ()
        if self._rung and not (self._glanced_last and self._look_is_due()):
            return await self._glance()
        return await self._look() if self._look_is_due() else ()

    async def last(self) -> Sequence[Claim]:
        """What the claim took that was under way when all this was to end."""
        looking, self._looking = self._looking, None
        return self._placed(await looking) if looking else ()

    async def release_ended_leases(self) -> None:
        """Now and then, make due again what died with other processes."""
        if not self._leases_due:
            return
        self._leases_due = False
        if await release_ended_leases(self._line):
            self._look_wanted = True

    def rest_s(self) -> float:
        """Until the next claim, if nothing wakes us: with no place free, the end of a send does."""
        if self._looking:
            return 0.0
        if self._pace.free == 0:
            return self._settings.poll_floor_s
        return 0.0 if self._rung or self._look_wanted else self._sight.rest_s(monotonic())

    def _look_is_due(self) -> bool:
        return self._look_wanted or self._sight.rest_s(monotonic()) == 0.0

    async def _glance(self) -> Sequence[Claim]:
        rooms = self._pace.few_rooms(monotonic())
        if not rooms.free:
            return await self._look()
        self._rung, self._glanced_last = False, True
        found = await claim_new(self._line, self._settings, rooms, self._sight.fresh_since)
        self._sight.end_glance(found, monotonic())
        return self._placed(found)

    async def _look(self) -> Sequence[Claim]:
        """In a backlog the next look begins before the sends of this one do, so that neither side waits."""
        looking, self._looking = self._looking or self._begin_look(), None
        found = await looking
        claims = self._placed(found)
        self._note_end_of_look(found)
        if claims and self._sight.left_some and self._pace.free * BATCH_SHARE >= self._pace.places:
            self._looking = self._begin_look()
        return claims

    def _begin_look(self) -> asyncio.Task[Found]:
        now_s = monotonic()
        self._sight.begin_look(now_s)
        self._rung = self._look_wanted = self._glanced_last = False
        self._ended = 0
        ask = Ask(self._pace.rooms(now_s), self._sight.since, self._sight.after_lane)
        return asyncio.create_task(claim_due(self._line, self._settings, ask))

    def _note_end_of_look(self, found: Found) -> None:
        if self._sight.is_at_all:
            self._leases_due |= self._looks_at_all % LEASES_EVERY == 0
            self._looks_at_all += 1
        self._sight.end_look(found, self._pace.holding(), monotonic())

    def _placed(self, found: Found) -> Sequence[Claim]:
        for claim in found.claims:
            self._pace.take(key_of(claim), claim.subscription_id)
        return found.claims

    def _want_look(self) -> None:
        if self._look_timer:
            self._look_timer.cancel()
            self._look_timer = None
        self._look_wanted = True
        self._wake.set()


def key_of(claim: Claim) -> Key:
    """What a place is taken for."""
    return claim.id, claim.claim_id
