"""Which days have a partition, what it is called and which ids it holds; pure."""

import re
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from service.db.ids import first_id

# So long the loop may be away before new rows go to the default partition.
DAYS_AHEAD = 7

_A_DAY = timedelta(days=1)
_NAME = re.compile(r"(?P<table>.+)_p(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})")


def partition_name(table: str, day: date) -> str:
    """What the partition of that day is called."""
    return f"{table}_p{day.year:04}{day.month:02}{day.day:02}"


def default_name(table: str) -> str:
    """What the partition is called that takes the rows of days without one."""
    return f"{table}_default"


def day_of(table: str, name: str) -> date | None:
    """The day of this partition of the table; None if the name is not of that form."""
    found = _NAME.fullmatch(name)
    if found is None or found["table"] != table:
        return None
    try:
        return date(int(found["year"]), int(found["month"]), int(found["day"]))
    except ValueError:
        return None


def bounds(day: date) -> tuple[UUID, UUID]:
    """The first id of the day (UTC), and the first one after it."""
    return first_id(_begin(day)), first_id(_begin(day + _A_DAY))


def missing_days(present: Collection[date], now: datetime) -> Sequence[date]:
    """Today and the days ahead that have no partition yet, the next one first."""
    today = now.astimezone(UTC).date()
    wanted = [today + ahead * _A_DAY for ahead in range(DAYS_AHEAD + 1)]
    return [day for day in wanted if day not in present]


def days_to_drop(present: Collection[date], now: datetime, keep_days: int) -> Sequence[date]:
    """The days whose last moment lies more than `keep_days` back, the oldest first."""
    return sorted(day for day in present if _begin(day + _A_DAY) <= now - keep_days * _A_DAY)


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
