"""The feed of a client's events in the order in which they were written, without ever skipping one.

Events are ordered by the transaction that wrote them, and shown once every older transaction has ended: what commits
late can then only come behind what was shown. Reason: docs/decisions/0014.
"""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.db.engine import Database
from service.db.ids import first_id, last_id, made_at
from service.errors import FieldError, InvalidRequest

# Events that one read looks at in search of those that are wanted.
LOOKED_AT = 5000
# An id is made before its transaction and by the clock of another machine; none is off by as much.
CLOCKS_DIFFER_BY = timedelta(days=1)

_FORM = struct.Struct(">q16s16s")
_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two events: behind the one that this transaction wrote under this id.

    No event with an id below `floor` is looked for, which spares the partitions of the days before.
    """

    written_by: int
    id: UUID
    floor: UUID

    @classmethod
    def oldest(cls) -> Self:
        """Before the oldest event that is kept."""
        return cls(-1, _FIRST, _FIRST)

    @classmethod
    def since(cls, at: datetime) -> Self:
        """Before the first event whose id was made at that time or later."""
        return cls(-1, _FIRST, first_id(at))

    def moved_to(self, written_by: int, event_id: UUID) -> "Position":
        """Behind this event; `event_id` may be that of no event, but be made at the time."""
        return Position(written_by, event_id, max(self.floor, first_id(made_at(event_id) - CLOCKS_DIFFER_BY)))

    def cursor(self) -> str:
        """As callers keep it: opaque to them."""
        return urlsafe_b64encode(_FORM.pack(self.written_by, self.id.bytes, self.floor.bytes)).decode().rstrip("=")

    @classmethod
    def read(cls, cursor: str) -> Self:
        """The place that a cursor holds; raises InvalidRequest for one that we did not write."""
        try:
            written_by, event_id, floor = _FORM.unpack(urlsafe_b64decode(cursor.encode() + b"=="))
        except (ValueError, Error, UnicodeEncodeError, struct.error) as exc:
            raise _foreign() from exc
        found = cls(written_by, UUID(bytes=event_id), UUID(bytes=floor))
        if found.cursor() != cursor:
            raise _foreign()
        return found


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """Something that happened; `body` is the JSON that subscribers get."""

    id: UUID
    body: str


@dataclass(frozen=True, slots=True)
class FeedPage:
    """The next events and where to go on; `is_whole` if there was no other one to look at."""

    events: Sequence[FeedEvent]
    position: Position
    is_whole: bool


@dataclass(frozen=True, slots=True)
class FeedFilter:
    """What the feed is narrowed to; None means any."""

    event_type: str | None = None
    task_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class News:
    """The place of a client's newest event that can be shown, if any; whether others were written that cannot yet."""

    newest: Position | None
    more_to_come: bool


async def read_feed(database: Database, client: str, wanted: FeedFilter, after: Position, limit: int) -> FeedPage:
    """At most `limit` of the client's events behind the position, the oldest first.

    Looks at a bounded number of events; the position that it gives is behind all that it has looked at. Raises
    InvalidRequest for a position of another database, whose transactions were numbered otherwise.
    """
    looked_at = limit + 1 if wanted == FeedFilter() else LOOKED_AT
    place = {"written_by": after.written_by, "id": after.id, "floor": after.floor}
    values = {"client": client, "event_type": wanted.event_type, "looked_at": looked_at, "limit": limit + 1, **place}
    if wanted.task_id is None:
        rows = await database.statement(_READ, values)
    else:
        rows = await database.statement(_READ_OF_TASK, values | {"task_id": wanted.task_id})
    if after.written_by >= rows[0].ahead:
        raise _replaced()
    found = [row for row in rows if row.id is not None]
    page, has_more = found[:limit], len(found) > limit
    events = [FeedEvent(row.id, row.body) for row in page]
    if has_more:
        return FeedPage(events, after.moved_to(page[-1].written_by, page[-1].id), is_whole=False)
    seen = after if rows[0].seen is None else after.moved_to(rows[0].seen_by, rows[0].seen)
    if rows[0].is_cut:
        return FeedPage(events, seen, is_whole=False)
    # All that was written by transactions which have ended was looked at.
    here = after.moved_to(rows[0].settled - 1, last_id(rows[0].at))
    return FeedPage(events, max(seen, here), is_whole=True)


async def present_position(database: Database) -> Position:
    """Behind every event that can be shown by now."""
    row = (await database.statement(_PRESENT))[0]
    return Position.oldest().moved_to(row.settled - 1, last_id(row.at))


async def news_of(database: Database, clients: Sequence[str], since: datetime) -> Mapping[str, News]:
    """What there is for each client of whom an event was written after `since`; one read for all of them."""
    rows = await database.statement(_NEWS, {"clients": list(clients), "floor": first_id(since)})
    return {
        row.client: News(None if row.id is None else Position(row.written_by, row.id, _FIRST), row.more_to_come)
        for row in rows
    }


def _foreign() -> InvalidRequest:
    return InvalidRequest(
        FieldError(
            "after", "is not a `next_cursor` of this endpoint; leave it out, or begin with `since` or `after=now`"
        )
    )


def _replaced() -> InvalidRequest:
    remedy = "comes from a database that this one replaced; begin anew with `since`"
    return InvalidRequest(FieldError("after", remedy))


_SETTLED = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_AHEAD = "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_UUIDS = tuple(bindparam(name, type_=pg.UUID(as_uuid=True)) for name in ("id", "floor"))


def _reading(narrowed: str) -> str:
    """Bodies are looked up for the page alone, since a read may look at thousands of events."""
    return f"""
        WITH looked AS MATERIALIZED (
            SELECT e.written_by, e.id, e.type FROM events e
            WHERE e.client = :client AND (e.written_by, e.id) > (:written_by, :id) AND e.id >= :floor
                AND e.written_by < {_SETTLED} {narrowed}
            ORDER BY e.written_by, e.id LIMIT :looked_at
        ), seen AS (SELECT written_by, id FROM looked ORDER BY written_by DESC, id DESC LIMIT 1)
        SELECT {_SETTLED} AS settled, {_AHEAD} AS ahead, now() AS at, seen.written_by AS seen_by, seen.id AS seen,
            (SELECT count(*) FROM looked) = :looked_at AS is_cut, f.*
        FROM (SELECT) AS one LEFT JOIN seen ON true LEFT JOIN LATERAL (
            SELECT l.written_by, l.id, e.body
            FROM looked l CROSS JOIN LATERAL (SELECT body FROM events WHERE id = l.id LIMIT 1) e
            WHERE CAST(:event_type AS text) IS NULL OR l.type = :event_type
            ORDER BY l.written_by, l.id LIMIT :limit
        ) f ON true ORDER BY f.written_by, f.id
    """


_READ = text(_reading("")).bindparams(*_UUIDS)
_READ_OF_TASK = text(_reading("AND e.task_id = :task_id")).bindparams(
    *_UUIDS, bindparam("task_id", type_=pg.UUID(as_uuid=True))
)
_PRESENT = text(f"SELECT {_SETTLED} AS settled, now() AS at")
_NEWS = text(f"""
    SELECT c.client, n.written_by, n.id, n.more_to_come
    FROM unnest(CAST(:clients AS text[])) AS c (client) CROSS JOIN LATERAL (
        SELECT newest.*, EXISTS (
            SELECT FROM events e WHERE e.client = c.client AND e.written_by >= {_SETTLED} AND e.id >= :floor
        ) AS more_to_come
        FROM (SELECT) AS one LEFT JOIN LATERAL (
            SELECT e.written_by, e.id FROM events e
            WHERE e.client = c.client AND e.written_by < {_SETTLED} AND e.id >= :floor
            ORDER BY e.written_by DESC, e.id DESC LIMIT 1
        ) newest ON true
    ) n
    WHERE n.id IS NOT NULL OR n.more_to_come
""").bindparams(_UUIDS[1])
