"""Ids that grow with time (UUID version 7, RFC 9562), so that new rows land at the right edge of every index."""

import secrets
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

RANDOM_BITS = 74
TIME_SHIFT = 80

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def new_id() -> UUID:
    """A fresh id: 48 bits of Unix milliseconds, then 74 random bits."""
    random = secrets.randbits(RANDOM_BITS)
    high, low = random >> 62, random & ((1 << 62) - 1)
    return UUID(int=(time.time_ns() // 1_000_000) << TIME_SHIFT | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def first_id(at: datetime) -> UUID:
    """The bound at which the ids of this millisecond begin: none of an earlier one is as large. From 1970 on."""
    return UUID(int=((at - _EPOCH) // _MILLISECOND) << TIME_SHIFT)


def last_id(at: datetime) -> UUID:
    """The bound at which the ids of this millisecond end: none of it is larger. From 1970 on."""
    return UUID(int=(((at - _EPOCH) // _MILLISECOND) + 1 << TIME_SHIFT) - 1)


def made_at(made: UUID) -> datetime:
    """The moment in an id, to the millisecond, by the clock of whoever made it; ids beyond the year 9998 say that."""
    return _EPOCH + min(made.int >> TIME_SHIFT, _LAST_MS) * _MILLISECOND


_LAST_MS = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
