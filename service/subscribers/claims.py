"""Claims due deliveries: one statement, however many; it decides who gets how many and says where to look next."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID, uuid4

from service.db.line import Line, Record
from service.settings import Settings
from service.subscribers.claim_sql import CLAIM, GLANCE, RELEASE
from service.subscribers.pace import FewRooms, Rooms

LEASE_MARGIN_S = 15.0
EVER = datetime(1970, 1, 1, tzinfo=UTC)
BEFORE_ALL_LANES = UUID(int=0)

# How many due rows a claim looks at for each that it may take, and how many lanes it goes through when they are many.
WINDOW_FACTOR = 2
WINDOW_MIN, HIDDEN_MIN, HIDDEN_MAX = 32, 16, 256
RELEASED_AT_ONCE = 1000

# Reads a stored signing secret of a subscription.
Unseal = Callable[[UUID, str], str]


@dataclass(frozen=True, slots=True)
class Target:
    """What to post, where, for how long to wait, and the signing secrets as they are stored."""

    url: str
    secrets: tuple[str, ...]
    body: bytes
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """There is nothing to send: dropped, for the subscription was deleted, or dead, for it was disabled."""

    state: Literal["dropped", "dead"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One delivery that is ours until its lease ends; `at` is the database's time of the claim."""

    id: UUID
    claim_id: UUID
    event_id: UUID
    subscription_id: UUID
    attempt: int
    at: datetime
    target: Target | Undeliverable


@dataclass(frozen=True, slots=True)
class Ask:
    """Where a claim looks: at what is due since `since`, and in a backlog at the lanes after `after_lane`."""

    rooms: Rooms
    since: datetime = EVER
    after_lane: UUID = BEFORE_ALL_LANES


@dataclass(frozen=True, slots=True)
class Found:
    """What a claim took at the database's time `at`, and which lanes it left due deliveries of, the oldest `left_from`.

    `is_cut` says that more was due than it looked at; `after_lane` is where a walk over many lanes was broken off;
    `token_in_s` is when a rate lets a lane go on.
    """

    claims: Sequence[Claim]
    at: datetime
    left_lanes: frozenset[UUID]
    left_from: datetime | None
    is_cut: bool = False
    after_lane: UUID | None = None
    token_in_s: float | None = None


async def claim_due(line: Line, settings: Settings, ask: Ask) -> Found:
    """Take due deliveries for as many places as `ask.rooms` has, a fair share per subscription; commits.

    Several processes may claim at once: none sees what another one has, and together they keep caps and rates. Each
    claim counts as an attempt, so that a notification at which processes die comes to an end too.
    """
    claim_id = uuid4()
    looked, rows = _parted(await line.statement(CLAIM, _values(settings, ask, claim_id)))
    left = [moment for moment in (looked["left_from"], looked["window_until"]) if moment is not None]
    return Found(
        _claims(rows, claim_id, looked["at"], settings),
        looked["at"],
        frozenset(looked["left_lanes"]),
        min(left, default=None),
        is_cut=looked["window_until"] is not None or looked["last_hidden"] is not None,
        after_lane=looked["last_hidden"],
        token_in_s=looked["token_in_s"],
    )


async def claim_new(line: Line, settings: Settings, rooms: FewRooms, since: datetime) -> Found:
    """Take what came due `since`, but only for subscriptions in good health and without a rate; commits.

    It costs half of what `claim_due` costs and holds the same caps; what it leaves is for that one.
    """
    claim_id = uuid4()
    values = {
        "lanes": rooms.lanes,
        "rooms": rooms.rooms,
        "full_lanes": rooms.full_lanes,
        "room_of_others": rooms.of_others,
        "free": rooms.free,
        "window": _window(rooms.free),
        "since": since,
        **_lease(settings, claim_id),
    }
    looked, rows = _parted(await line.statement(GLANCE, values))
    claims = _claims(rows, claim_id, looked["at"], settings)
    return Found(
        claims,
        looked["at"],
        frozenset(looked["left_lanes"] or ()),
        since if looked["is_cut"] else looked["left_from"],  # what was cut off is older than all that was seen
        is_cut=looked["is_cut"] or len(claims) >= rooms.free,
    )


async def release_ended_leases(line: Line) -> int:
    """Make due again what a process claimed and then died or froze with; how many; commits."""
    return len(await line.statement(RELEASE, {"most": RELEASED_AT_ONCE}))


def _values(settings: Settings, ask: Ask, claim_id: UUID) -> dict[str, object]:
    rooms = ask.rooms
    return {
        "lanes": rooms.lanes,
        "rooms": rooms.rooms,
        "standings": rooms.standings,
        "room_of_others": rooms.of_others,
        "room_of_untrusted": rooms.of_untrusted,
        "room_of_troubled": rooms.of_troubled,
        "free": rooms.free,
        "window": _window(rooms.free),
        "hidden_max": min(HIDDEN_MAX, max(HIDDEN_MIN, rooms.free)),
        "since": ask.since,
        "after_lane": ask.after_lane,
        "breaker_max_failures": settings.delivery_breaker_max_failures,
        **_lease(settings, claim_id),
    }


def _window(free: int) -> int:
    return max(WINDOW_MIN, free * WINDOW_FACTOR)


def _lease(settings: Settings, claim_id: UUID) -> Mapping[str, object]:
    return {
        "in_flight_max": settings.delivery_subscription_max_in_flight,
        "claim_id": claim_id,
        "lease_margin_s": LEASE_MARGIN_S,
        "timeout_s": settings.delivery_timeout_s,
    }


def _parted(rows: Sequence[Record]) -> tuple[Record, Sequence[Record]]:
    """What was looked at, and what was taken: the rows that have an id."""
    taken = [row for row in rows if row["id"] is not None]
    (looked,) = (row for row in rows if row["id"] is None)
    return looked, taken


def _claims(rows: Sequence[Record], claim_id: UUID, at: datetime, settings: Settings) -> Sequence[Claim]:
    timeout_s = settings.delivery_timeout_s
    return [
        Claim(
            row["id"],
            claim_id,
            row["event_id"],
            row["subscription_id"],
            row["attempts"],
            at,
            _target(row, timeout_s),
        )
        for row in rows
    ]


def _target(row: Record, timeout_s: float) -> Target | Undeliverable:
    if row["url"] is None:
        return Undeliverable("dropped")
    if row["state"] == "disabled" or row["body"] is None:
        return Undeliverable("dead")
    secrets = (row["secret"],) if row["previous_secret"] is None else (row["secret"], row["previous_secret"])
    return Target(row["url"], secrets, row["body"], row["timeout_s"] or timeout_s)
