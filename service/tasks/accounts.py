"""The upstream account: the lock under which its slots are counted, and the reason why sending rests."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import Database

# A 401 is throttling until so many came in a row; then it is a dead key, and somebody must be told.
UNAUTHORIZED_IN_A_ROW = 5


@dataclass(frozen=True, slots=True)
class Account:
    """An account under its lock: how many slots are taken, and for how long nothing is to be sent."""

    slots_taken: int
    was_unauthorized: bool
    paused_for_s: float
    pause_reason: str | None

    def free_slots(self, most: int, batch: int) -> int:
        """How many tasks may be sent now; `most` 0 means no cap, and then a batch at a time."""
        if self.paused_for_s > 0:
            return 0
        return max(0, most - self.slots_taken) if most else batch


async def lock_account(connection: AsyncConnection, name: str) -> Account:
    """Lock the account until the transaction ends, then count.

    Two statements, because the second must see what was committed while the first waited for the lock.
    """
    locked = (await connection.execute(_LOCK, {"account": name})).one_or_none()
    if locked is None:
        await connection.execute(_MAKE, {"account": name})
        locked = (await connection.execute(_LOCK, {"account": name})).one()
    taken = (await connection.execute(_COUNT, {"account": name})).scalar_one()
    return Account(taken, locked.unauthorized_in_a_row > 0, locked.paused_for_s, locked.pause_reason)


async def pause_account(database: Database, name: str, reason: str, for_s: float) -> None:
    """Send nothing for so long; a longer pause that stands is kept."""
    await database.statement(_PAUSE, {"account": name, "reason": reason, "for_s": for_s})


async def note_unauthorized(database: Database, name: str) -> int:
    """Count one more 401 in a row; how many there are now."""
    rows = await database.statement(_UNAUTHORIZED, {"account": name})
    return int(rows[0][0]) if rows else 1


async def note_authorized(database: Database, name: str) -> None:
    """The key works: the row of 401s ends."""
    await database.statement(_AUTHORIZED, {"account": name})


_FOR_S = "GREATEST(COALESCE(EXTRACT(EPOCH FROM paused_until - now()), 0), 0)::float8 AS paused_for_s"
_LOCK = text(f"SELECT {_FOR_S}, pause_reason, unauthorized_in_a_row FROM accounts WHERE name = :account FOR UPDATE")
_MAKE = text("INSERT INTO accounts (name) VALUES (:account) ON CONFLICT DO NOTHING")
_COUNT = text("SELECT count(*) FROM tasks WHERE account = :account AND slot_until > now()")
_PAUSE = text(
    """
    INSERT INTO accounts AS a (name, paused_until, pause_reason)
    VALUES (:account, now() + make_interval(secs => :for_s), :reason)
    ON CONFLICT (name) DO UPDATE SET paused_until = excluded.paused_until, pause_reason = excluded.pause_reason
    WHERE a.paused_until IS NULL OR a.paused_until < excluded.paused_until
    """
)
_UNAUTHORIZED = text(
    """
    INSERT INTO accounts AS a (name, unauthorized_in_a_row) VALUES (:account, 1)
    ON CONFLICT (name) DO UPDATE SET unauthorized_in_a_row = a.unauthorized_in_a_row + 1
    RETURNING unauthorized_in_a_row
    """
)
_AUTHORIZED = text("UPDATE accounts SET unauthorized_in_a_row = 0 WHERE name = :account AND unauthorized_in_a_row > 0")
