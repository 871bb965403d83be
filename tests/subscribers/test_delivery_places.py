"""Who gets the places of one process: hanging and failing subscribers, known or new, leave room for the others."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.subscribers.pace import FIRST_WINDOW, SLOW_AFTER_S, Pace, Standing, room

PLACES = 64


def fill(pace: Pace, lane: UUID, now_s: float, *, at_most: int = PLACES) -> list[tuple[UUID, UUID]]:
    """Take and begin what the pace allows this lane, as the claim would."""
    rooms = pace.rooms(now_s)
    known = lane in rooms.lanes
    place = rooms.lanes.index(lane) if known else -1
    standing = rooms.standings[place] if known else Standing.UNKNOWN
    most = min(rooms.rooms[place] if known else rooms.of_others, rooms.free, at_most)
    if standing is not Standing.TRUSTED:
        most = min(most, rooms.of_untrusted)
    if standing is Standing.TROUBLED:
        most = min(most, rooms.of_troubled)
    keys = [(uuid4(), uuid4()) for _ in range(most)]
    for key in keys:
        pace.take(key, lane)
        pace.begin(key, now_s)
    return keys


def answer(pace: Pace, keys: list[tuple[UUID, UUID]], now_s: float) -> None:
    for key in keys:
        pace.end(key, now_s, delivered=True)
        pace.give_back(key)


def test_a_subscriber_that_nothing_is_known_about_begins_with_few_places() -> None:
    pace = Pace(PLACES)

    assert len(fill(pace, uuid4(), 0.0)) == FIRST_WINDOW


def test_a_subscriber_that_answers_gets_more_places_with_each_round() -> None:
    pace, lane = Pace(PLACES), uuid4()

    taken = []
    for now_s in range(12):
        keys = fill(pace, lane, float(now_s))
        taken.append(len(keys))
        answer(pace, keys, now_s + 0.01)

    assert taken == sorted(taken)
    assert taken[-1] == room(PLACES, held=0)


@pytest.mark.parametrize("count", [1, 12, 100])
def test_any_number_of_new_subscribers_that_hang_leave_a_quarter_of_the_places(count: int) -> None:
    pace = Pace(PLACES)

    for now_s in range(20):
        for lane in [uuid4() for _ in range(count)]:
            fill(pace, lane, float(now_s))

    assert pace.free >= PLACES // 4


def test_subscribers_known_to_hang_get_no_more_than_half_of_the_places() -> None:
    pace, lanes = Pace(PLACES), [uuid4() for _ in range(10)]
    for lane in lanes:
        fill(pace, lane, 0.0, at_most=3)

    for lane in lanes * 5:
        fill(pace, lane, 2 * SLOW_AFTER_S)

    assert pace.free == PLACES - PLACES // 2


def test_a_subscriber_that_answers_is_served_while_others_hold_all_that_new_ones_may_have() -> None:
    pace, good = Pace(PLACES), uuid4()
    answer(pace, fill(pace, good, 0.0), 0.01)
    for _ in range(100):
        fill(pace, uuid4(), 0.02)

    assert fill(pace, good, 5.0)


def test_who_failed_last_is_troubled_until_it_takes_something() -> None:
    pace, lane = Pace(PLACES), uuid4()
    first, second = fill(pace, lane, 0.0, at_most=2)

    pace.end(first, 0.1, delivered=False)
    after_failure = pace.rooms(0.1).standings
    pace.end(second, 0.2, delivered=True)

    assert (after_failure, pace.rooms(0.2).standings) == ((Standing.TROUBLED,), (Standing.TRUSTED,))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), max_size=80))
def test_places_are_neither_lost_nor_taken_twice(steps: list[tuple[int, bool, bool]]) -> None:
    pace, lanes = Pace(PLACES), [uuid4() for _ in range(6)]
    held: list[tuple[UUID, UUID]] = []

    for now_s, (number, take, delivered) in enumerate(steps):
        if take:
            held += fill(pace, lanes[number], float(now_s))
        elif held:
            pace.end(held[0], float(now_s), delivered=delivered)
            pace.give_back(held.pop(0))
        assert pace.free == PLACES - len(held) >= 0


def test_what_cannot_be_stored_stops_the_sending_in_time() -> None:
    pace, lane = Pace(PLACES), uuid4()

    for now_s in range(100):
        for key in fill(pace, lane, float(now_s)) + fill(pace, uuid4(), float(now_s)):
            pace.end(key, float(now_s), delivered=True)

    assert pace.free == 0
