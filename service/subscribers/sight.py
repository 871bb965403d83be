"""Where the next claim looks, and when: it stays quick whatever lies behind, and waits for no one who hangs; pure."""

from collections.abc import Set
from datetime import datetime, timedelta
from uuid import UUID

from service.subscribers.claims import BEFORE_ALL_LANES, EVER, Found

# A row becomes visible with its commit, which may come a little after its due time: the next look goes back so far.
COMMIT_MARGIN = timedelta(seconds=1)
# What could not go for no reason of ours (another process was claiming there) is looked at again so soon, and after
# each look that took nothing in twice the time.
RETRY_LOOK_S = 0.05
TOKEN_WAIT_MIN_S = 0.02


class Sight:
    """What is known to be left, and from where on and when to look for it.

    A glance is at what came since the last claim; a look goes back to the oldest that was left, and now and then at
    everything, which finds what was due long ago and could not go then. While somebody holds an old snapshot, Postgres
    keeps the index entries of all rows that have left; a claim that began at the oldest would wade through them each
    time. Moments are readings of time.monotonic(), but for what the database says.
    """

    def __init__(self, everything_every_s: float) -> None:
        self._every_s = everything_every_s
        self._all_at_s = 0.0
        self._next_s = 0.0
        self._patience_s = RETRY_LOOK_S
        self._left: Set[UUID] = frozenset()
        self._any_end_counts = False
        self.since = EVER
        self.fresh_since = EVER
        self.after_lane = BEFORE_ALL_LANES
        self.is_at_all = False

    @property
    def left_some(self) -> bool:
        """Whether something due was left, as far as is known."""
        return self._any_end_counts or bool(self._left)

    def may_go_on(self, lane_id: UUID) -> bool:
        """Whether something that was left may go, now that a place of this lane is free."""
        return self._any_end_counts or lane_id in self._left

    def rest_s(self, now_s: float) -> float:
        """Until a look is due, whatever happens; 0 if it is."""
        return max(0.0, self._next_s - now_s)

    def begin_look(self, now_s: float) -> None:
        """A look begins: at everything, if that is due."""
        self.is_at_all = now_s >= self._all_at_s
        if self.is_at_all:
            self._all_at_s = now_s + self._every_s
            self.since = EVER

    def end_look(self, found: Found, holding: Set[UUID], now_s: float) -> None:
        """Take note of what a look saw and left; `holding` are the lanes that have places of ours."""
        took = {claim.subscription_id for claim in found.claims}
        # A lane of which much is hidden goes on with each place that it gets back.
        self._left = found.left_lanes | took | (self._left & holding) if found.is_cut else found.left_lanes
        self._any_end_counts = bool(took) and bool(found.left_lanes - holding)
        self._patience_s = RETRY_LOOK_S if took else min(2 * self._patience_s, self._every_s)
        self.since = _earliest(found.left_from, found.at - COMMIT_MARGIN)
        self.fresh_since = found.at - COMMIT_MARGIN
        self.after_lane = found.after_lane or BEFORE_ALL_LANES
        self._next_s = self._all_at_s
        if found.after_lane is not None:
            self._next_s = now_s
        elif self.left_some:
            self._next_s = min(self._next_s, now_s + self._patience_s)
        if found.token_in_s is not None:
            self._next_s = min(self._next_s, now_s + max(found.token_in_s, TOKEN_WAIT_MIN_S))

    def end_glance(self, found: Found, now_s: float) -> None:
        """Take note of what a glance saw and left, beside what was left before."""
        took = {claim.subscription_id for claim in found.claims}
        if found.is_cut or took & found.left_lanes:
            self._next_s = now_s  # there is more for those that take it
        elif found.left_lanes:
            self._next_s = min(self._next_s, now_s + self._patience_s)
        since = found.at - COMMIT_MARGIN
        self.since = _earliest(found.left_from, min(self.since, since) if self.left_some else since)
        self.fresh_since = since
        self._left = self._left | found.left_lanes


def _earliest(moment: datetime | None, other: datetime) -> datetime:
    return other if moment is None else min(moment, other)
