"""Deliveries as their client sees them: undone and done in one list, and what each attempt came to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, TextClause, bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.db.engine import Database
from service.db.ids import first_id, last_id, made_at
from service.errors import NotFound

DeliveryState = Literal["pending", "sending", "delivered", "dead"]
WantedState = Literal["pending", "delivered", "dead"]

# Rows of either table that one look takes at most: a rare thing is not searched for through a month of history.
LOOKED_AT = 10_000
MORE_LOOKS = 9
MOST_ATTEMPTS = 100
CLOCKS_DIFFER_BY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one subscription, or at the end of it; the type is None once the event is not kept."""

    id: UUID
    subscription_id: UUID
    event_id: UUID
    event_type: str | None
    task_id: UUID | None
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """What a listing is narrowed to; None means any. `pending` stands for all that is undone."""

    subscription_id: UUID | None = None
    event_id: UUID | None = None
    task_id: UUID | None = None
    event_type: str | None = None
    state: WantedState | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Newest first. While there is a cursor there may be more, even behind a page with nothing on it."""

    deliveries: Sequence[Delivery]
    next_cursor: UUID | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: what it took, and what came back; `answer` is the beginning of the body, at most 4 KiB."""

    number: int
    started_at: datetime
    duration_ms: int
    status: int | None
    error_class: str | None
    error: str | None
    answer: bytes | None


async def list_deliveries(
    database: Database, client: str, wanted: DeliveryFilter, cursor: UUID | None, limit: int
) -> DeliveryPage:
    """At most `limit` of the client's deliveries that are older than the cursor.

    Looks at a bounded number of rows; what it has not looked at lies behind the cursor.
    """
    page = await _page(database, client, wanted, cursor, limit)
    for _ in range(MORE_LOOKS):
        if page.deliveries or page.next_cursor is None:
            break
        page = await _page(database, client, wanted, page.next_cursor, limit)
    return page


async def _page(
    database: Database, client: str, wanted: DeliveryFilter, cursor: UUID | None, limit: int
) -> DeliveryPage:
    narrowed = {name: getattr(wanted, name) for name in DeliveryFilter.__dataclass_fields__} | {"cursor": cursor}
    values = {name: value for name, value in narrowed.items() if value is not None} | _id_bounds(wanted)
    # All that narrows the done ones but these is in their index, so that the first ones are the page's.
    is_rare = wanted.event_type is not None or wanted.state is not None
    looked_at = {
        "most_done": LOOKED_AT if is_rare else limit + 1,
        "most_undone": LOOKED_AT,
        "first_of_all": UUID(int=0),
    }
    values |= {"client": client, "limit": limit + 1, **looked_at}
    rows = await database.statement(_listing(values, wanted.state), values)
    found = [_delivery(row) for row in rows if row.id is not None]
    return DeliveryPage(found[:limit], found[limit - 1].id if len(found) > limit else rows[0].looked_down_to)


async def get_delivery(database: Database, client: str, delivery_id: UUID) -> Delivery:
    """The client's delivery; NotFound when there is none or it is another client's."""
    rows = await database.statement(_GET, {"id": delivery_id, "client": client})
    if not rows:
        raise NotFound("There is no such delivery.")
    return _delivery(rows[0])


async def list_attempts(database: Database, delivery: Delivery) -> Sequence[Attempt]:
    """Its attempts, the first one first, as far as they are still kept."""
    since = first_id(made_at(delivery.id) - CLOCKS_DIFFER_BY)
    rows = await database.statement(_ATTEMPTS, {"id": delivery.id, "since": since, "most": MOST_ATTEMPTS})
    return [Attempt(**row._mapping) for row in rows]


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**{name: row._mapping[name] for name in Delivery.__dataclass_fields__})


def _id_bounds(wanted: DeliveryFilter) -> dict[str, UUID]:
    """The times as ids, which spare the partitions of other days."""
    bounds = {}
    if wanted.created_after is not None:
        bounds["first"] = first_id(wanted.created_after)
    if wanted.created_before is not None:
        bounds["last"] = last_id(wanted.created_before)
    return bounds


_UNDONE = """
    SELECT d.id, d.client, d.event_id, d.subscription_id,
        CASE WHEN d.claim_id IS NULL OR d.lease_until <= now() THEN 'pending' ELSE 'sending' END AS state, d.attempts,
        CASE WHEN d.claim_id IS NULL THEN d.due_at WHEN d.lease_until <= now() THEN d.lease_until END
            AS next_attempt_at,
        d.created_at, NULL::timestamptz AS ended_at
    FROM deliveries d"""
_DONE = """
    SELECT d.id, d.client, d.event_id, d.subscription_id, d.state, d.attempts, NULL::timestamptz AS next_attempt_at,
        d.created_at, d.ended_at
    FROM delivery_results d"""

# What narrows the rows that are looked at, where an index does so; and what is left for those that were.
_IN_BOTH: Mapping[str, str] = {
    "cursor": "d.id < :cursor",
    "created_after": "d.id >= :first AND d.created_at > :created_after",
    "created_before": "d.id <= :last AND d.created_at < :created_before",
}
_IN_DONE: Mapping[str, str] = {
    "subscription_id": "d.subscription_id = :subscription_id",
    "event_id": "d.event_id = :event_id",
    "task_id": "d.event_id = ANY (ARRAY(SELECT id FROM events WHERE task_id = :task_id AND client = :client))",
}
_IN_FOUND: Mapping[str, str] = {
    "subscription_id": "d.subscription_id = :subscription_id",
    "event_id": "d.event_id = :event_id",
    "task_id": "e.task_id = :task_id",
    "event_type": "e.event_type = :event_type",
}

# Event by event: joined, the planner might rather read all events than look up those of a page.
_WITH_EVENT = (
    "LEFT JOIN LATERAL (SELECT type AS event_type, task_id FROM events WHERE id = d.event_id LIMIT 1) e ON true"
)


def _listing(named: Collection[str], state: WantedState | None) -> TextClause:
    """The statement with the conditions that these values call for."""
    both = [_IN_BOTH[name] for name in _IN_BOTH if name in named]
    done = [*both, *(_IN_DONE[name] for name in _IN_DONE if name in named)]
    found = [_IN_FOUND[name] for name in _IN_FOUND if name in named]
    if state == "pending":
        done.append("false")
    elif state is not None:
        both.append("false")
        found.append("d.state = :state")
    return text(f"""
        WITH done AS MATERIALIZED ({_DONE}
            WHERE {_all(["d.client = :client", *done])} ORDER BY d.id DESC LIMIT :most_done
        ), done_down_to AS MATERIALIZED (SELECT id FROM done ORDER BY id DESC OFFSET :most_done - 1 LIMIT 1
        ), undone AS MATERIALIZED ({_UNDONE}
            WHERE {_all(["d.id >= COALESCE((SELECT id FROM done_down_to), :first_of_all)", *both])}
            ORDER BY d.id DESC LIMIT :most_undone
        ), reach AS (
            SELECT GREATEST(
                (SELECT id FROM done_down_to),
                (SELECT id FROM undone ORDER BY id DESC OFFSET :most_undone - 1 LIMIT 1)) AS looked_down_to
        )
        SELECT reach.looked_down_to, f.* FROM reach LEFT JOIN LATERAL (
            SELECT d.*, e.* FROM (SELECT * FROM undone WHERE client = :client UNION ALL SELECT * FROM done) d
            {_WITH_EVENT}
            WHERE (reach.looked_down_to IS NULL OR d.id >= reach.looked_down_to) AND {_all(found)}
            ORDER BY d.id DESC LIMIT :limit
        ) f ON true ORDER BY f.id DESC
    """)


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions) or "true"


_GET = text(f"""
    SELECT d.*, e.* FROM ({_UNDONE} WHERE d.id = :id UNION ALL {_DONE} WHERE d.id = :id) d {_WITH_EVENT}
    WHERE d.client = :client
""").bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
_ATTEMPTS = text("""
    SELECT number, started_at, duration_ms, status, error_class, error, answer FROM delivery_attempts
    WHERE delivery_id = :id AND id >= :since ORDER BY number, started_at LIMIT :most
""").bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
