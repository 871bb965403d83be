"""Who may take how many of this process's places: what hangs or fails cannot hold up the others; pure, but for clocks.

The database counts what holds over all processes (cap, rate, breaker). Here is what only the process itself knows:
whose sends are slow right now, and who has answered lately.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from uuid import UUID

# A lane that nothing is known about begins with so many places and earns one more with each success that needed it.
FIRST_WINDOW = 4
SLOW_AFTER_S = 1.0
TRUSTED_FOR_S = 60.0
LANES_REMEMBERED = 512

# What a place is taken for: the delivery and its claim, since after a lease the same delivery may come again.
Key = tuple[UUID, UUID]


class Standing(IntEnum):
    """What is known about a lane; the numbers go into the claim."""

    TRUSTED = 0  # it took something within the last minute and is not slow now
    UNKNOWN = 1
    TROUBLED = 2  # its last send failed, or one under way is slow


@dataclass(frozen=True, slots=True)
class Rooms:
    """How many places a claim may fill: `free` in all, `rooms` by lane, and together those not trusted and troubled."""

    free: int
    lanes: tuple[UUID, ...]
    rooms: tuple[int, ...]
    standings: tuple[Standing, ...]
    of_others: int
    of_untrusted: int
    of_troubled: int


@dataclass(frozen=True, slots=True)
class FewRooms:
    """How many places may be filled by who nothing is asked about: `rooms` by lane for those that hold some already.

    `full_lanes` are to get none.
    """

    free: int
    lanes: tuple[UUID, ...]
    rooms: tuple[int, ...]
    full_lanes: tuple[UUID, ...]
    of_others: int


@dataclass(slots=True)
class _Lane:
    """What this process knows about one subscription."""

    held: int = 0
    window: int = FIRST_WINDOW
    failed: bool = False
    trusted_until_s: float = 0.0
    sending: dict[Key, float] = field(default_factory=dict)  # when each began, oldest first

    def standing(self, now_s: float) -> Standing:
        oldest_s = next(iter(self.sending.values()), now_s)
        if self.failed or now_s - oldest_s > SLOW_AFTER_S:
            return Standing.TROUBLED
        return Standing.TRUSTED if now_s < self.trusted_until_s else Standing.UNKNOWN


def room(free: int, held: int) -> int:
    """How many of the `free` places a lane may take that holds `held` already; the first is never denied.

    Nobody takes more than is left free afterwards: alone a lane gets half of all places, and n slow ones, once each has
    waited for its first timeouts, leave one place in n + 1 to the others.
    """
    return max(0 if held else 1, (free - held) // 2)


class Pace:
    """The places of one process: so many sends at once, and as many more whose outcomes are not stored yet.

    A lane holds what it has claimed until that is stored, so a database that is away stops the sending. Troubled lanes
    together hold at most half of the places, and together with those that nothing is known about at most three
    quarters. So the first claim after an idle time may meet any number of hanging subscribers and still leave room for
    those that answer. Moments are readings of time.monotonic().
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._lane_of: dict[Key, UUID] = {}
        self._lanes: OrderedDict[UUID, _Lane] = OrderedDict()
        self._sends = 0

    @property
    def free(self) -> int:
        """How many more may be claimed and sent."""
        return max(0, min(self.places - self._sends, 2 * self.places - len(self._lane_of)))

    @property
    def sends(self) -> int:
        """How many are to be sent or being sent."""
        return self._sends

    def take(self, key: Key, lane_id: UUID) -> None:
        """A place for what was claimed and will be sent."""
        self._lane_of[key] = lane_id
        self._lane(lane_id).held += 1
        self._sends += 1

    def begin(self, key: Key, now_s: float) -> None:
        """Its send begins."""
        self._lane(self._lane_of[key]).sending[key] = now_s

    def skip(self) -> None:
        """Nothing is sent for one that was taken."""
        self._sends -= 1

    def end(self, key: Key, now_s: float, *, delivered: bool) -> None:
        """Its send has ended; the lane holds it until `give_back`."""
        lane_id = self._lane_of[key]
        lane = self._lane(lane_id)
        del lane.sending[key]
        self._sends -= 1
        lane.failed = not delivered
        if not delivered:
            lane.window = max(1, lane.window // 2)
            return
        lane.trusted_until_s = now_s + TRUSTED_FOR_S
        if lane.held * 2 >= lane.window:
            lane.window += 1
        self._lanes.move_to_end(lane_id)

    def give_back(self, key: Key) -> None:
        """The outcome is stored."""
        self._lane(self._lane_of.pop(key)).held -= 1
        self._forget()

    def rooms(self, now_s: float) -> Rooms:
        """What the next claim may fill."""
        held = dict.fromkeys(Standing, 0)
        standings = []
        for lane in self._lanes.values():
            standing = lane.standing(now_s)
            standings.append(standing)
            held[standing] += lane.held
        return Rooms(
            # Half at most, so that one half is sent while the other is claimed; else they would all end at once.
            free=min(self.free, (self.places + 1) // 2),
            lanes=tuple(self._lanes),
            rooms=tuple(self._room(lane) for lane in self._lanes.values()),
            standings=tuple(standings),
            of_others=self._of_others(),
            of_untrusted=self._of_untrusted(held),
            of_troubled=self._of_troubled(held),
        )

    def few_rooms(self, now_s: float) -> FewRooms:
        """What a claim may fill that weighs nobody: no more than even the least trusted may have."""
        rooms, held = dict[UUID, int](), dict.fromkeys(Standing, 0)
        for lane_id in self.holding():
            lane = self._lanes[lane_id]
            rooms[lane_id] = self._room(lane)
            held[lane.standing(now_s)] += lane.held
        return FewRooms(
            free=min(self.free, (self.places + 1) // 2, self._of_untrusted(held), self._of_troubled(held)),
            lanes=tuple(rooms),
            rooms=tuple(rooms.values()),
            full_lanes=tuple(lane_id for lane_id, most in rooms.items() if not most),
            of_others=self._of_others(),
        )

    def holding(self) -> frozenset[UUID]:
        """The lanes that hold places."""
        return frozenset(self._lane_of.values())

    def _of_others(self) -> int:
        return min(FIRST_WINDOW, room(self.free, held=0))

    def _of_untrusted(self, held: Mapping[Standing, int]) -> int:
        return max(0, max(1, self.places * 3 // 4) - held[Standing.UNKNOWN] - held[Standing.TROUBLED])

    def _of_troubled(self, held: Mapping[Standing, int]) -> int:
        return max(0, max(1, self.places // 2) - held[Standing.TROUBLED])

    def _room(self, lane: _Lane) -> int:
        return max(0, min(lane.window - lane.held, room(self.free, lane.held)))

    def _lane(self, lane_id: UUID) -> _Lane:
        lane = self._lanes.get(lane_id)
        if lane is None:
            lane = self._lanes[lane_id] = _Lane()
        return lane

    def _forget(self) -> None:
        """Drop those that were served longest ago; who holds places is kept, and that is never more than places."""
        too_many = len(self._lanes) - LANES_REMEMBERED
        if too_many > 0:
            for lane_id in [lane_id for lane_id, lane in self._lanes.items() if not lane.held][:too_many]:
                del self._lanes[lane_id]
