"""Days and ids: every id lies within exactly one day, whose partition has one name; pure."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from service.db.days import DAYS_AHEAD, bounds, day_of, days_to_drop, missing_days, partition_name
from service.db.ids import first_id, last_id, made_at, new_id

DAYS = st.dates(date(1970, 1, 1), date(9998, 12, 30))
MOMENTS = st.integers(0, 253_000_000_000_000).map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC))
TABLES = st.sampled_from(["events", "delivery_results", "delivery_attempts"])
A_DAY = timedelta(days=1)


@given(TABLES, DAYS)
def test_a_partitions_name_tells_its_day(table: str, day: date) -> None:
    assert day_of(table, partition_name(table, day)) == day


@given(TABLES, st.text())
def test_what_is_no_partitions_name_tells_no_day(table: str, name: str) -> None:
    day = day_of(table, f"{table}_p{name}")

    assert day is None or partition_name(table, day) == f"{table}_p{name}"
    assert day_of(table, f"other_{partition_name(table, date(2026, 11, 22))}") is None
    assert day_of(table, f"{table}_default") is None


@given(DAYS)
def test_the_next_day_begins_where_a_day_ends(day: date) -> None:
    assert bounds(day)[1] == bounds(day + A_DAY)[0]


@given(MOMENTS)
def test_an_id_lies_within_the_bounds_of_its_day_and_of_its_millisecond(at: datetime) -> None:
    first, end = bounds(at.date())

    assert first <= first_id(at) < last_id(at) < end
    assert made_at(first_id(at)) == made_at(last_id(at)) <= at < made_at(first_id(at)) + timedelta(milliseconds=1)


def test_a_new_id_lies_within_its_own_time() -> None:
    before = datetime.now(UTC)

    made = new_id()

    assert first_id(before) < made < last_id(datetime.now(UTC))


@given(st.uuids())
def test_any_uuid_tells_some_time(made: UUID) -> None:
    assert datetime(1970, 1, 1, tzinfo=UTC) <= made_at(made) <= datetime(9999, 1, 1, tzinfo=UTC)


@given(st.sets(DAYS), MOMENTS)
def test_today_and_a_week_ahead_are_wanted_and_nothing_twice(present: set[date], now: datetime) -> None:
    now = min(now, datetime(9998, 12, 1, tzinfo=UTC))

    missing = missing_days(present, now)

    assert not present & set(missing)
    assert {now.date() + ahead * A_DAY for ahead in range(DAYS_AHEAD + 1)} <= present | set(missing)
    assert len(missing) <= DAYS_AHEAD + 1


@given(st.sets(DAYS), MOMENTS, st.integers(7, 400))
def test_a_day_is_dropped_once_its_last_moment_is_older_than_it_is_kept(
    present: set[date], now: datetime, keep_days: int
) -> None:
    now = max(now, datetime(1975, 1, 1, tzinfo=UTC))

    dropped = days_to_drop(present, now, keep_days)

    oldest_kept = first_id(now - keep_days * A_DAY)
    assert all(bounds(day)[1] <= oldest_kept for day in dropped)
    assert all(bounds(day)[1] > oldest_kept for day in present - set(dropped))
