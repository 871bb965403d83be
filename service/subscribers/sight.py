"""How far back the next claim must look, so that it stays quick whatever lies behind; pure."""

from datetime import datetime, timedelta

from service.subscribers.claims import BEFORE_ALL_LANES, EVER, Found

# A row becomes visible with its commit, which may come a little after its due time: the next look goes back so far.
COMMIT_MARGIN = timedelta(seconds=1)
LEASES_EVERY = 5


class Sight:
    """How far back a claim must look: seldom at everything, mostly at what came due since the last look.

    While somebody holds an old snapshot, Postgres keeps the index entries of all rows that have left; a claim that
    began at the oldest would wade through them each time.
    """

    def __init__(self, everything_every_s: float) -> None:
        self._every_s = everything_every_s
        self._looked_at_all_s = -everything_every_s
        self._looks_at_all = 0
        self.since = EVER
        self.after_lane = BEFORE_ALL_LANES
        self.left_some = False

    def begin(self, now_s: float) -> bool:
        """Whether ended leases are to be looked for first.

        Now and then a look is at everything, which finds what was due long ago and could not go then; with every few of
        these leases are due as well.
        """
        if now_s - self._looked_at_all_s < self._every_s:
            return False
        self._looked_at_all_s = now_s
        self.since = EVER
        self._looks_at_all += 1
        return self._looks_at_all % LEASES_EVERY == 1

    def end(self, found: Found) -> None:
        """Take note of what a claim saw and left."""
        self.left_some = found.left_from is not None or found.after_lane is not None
        self.since = _earliest(found.left_from, found.at - COMMIT_MARGIN)
        self.after_lane = found.after_lane or BEFORE_ALL_LANES


def _earliest(moment: datetime | None, other: datetime) -> datetime:
    return other if moment is None else min(moment, other)
