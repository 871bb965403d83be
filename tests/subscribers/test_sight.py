"""When the next look comes and where it begins: soon where that helps, seldom where it does not, past nothing left."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from service.subscribers.claims import EVER, Claim, Found, Undeliverable
from service.subscribers.sight import COMMIT_MARGIN, RETRY_LOOK_S, TOKEN_WAIT_MIN_S, Sight

FLOOR_S = 1.0
NOW = datetime(2026, 5, 4, tzinfo=UTC)
A, B = UUID(int=1), UUID(int=2)


def found(
    took: Collection[UUID] = (),
    left: Collection[UUID] = (),
    *,
    at: datetime = NOW,
    left_from: datetime | None = None,
    is_cut: bool = False,
    token_in_s: float | None = None,
) -> Found:
    claims = [Claim(uuid4(), uuid4(), uuid4(), lane, 1, at, Undeliverable("dead")) for lane in took]
    return Found(claims, at, frozenset(left), left_from, is_cut, token_in_s=token_in_s)


def looked(sight: Sight, seen: Found, holding: Collection[UUID] = (), now_s: float = 0.0) -> Sight:
    sight.begin_look(now_s)
    sight.end_look(seen, frozenset(holding), now_s)
    return sight


def test_at_first_and_then_now_and_again_a_look_is_at_everything() -> None:
    sight = Sight(FLOOR_S)
    at_all = []

    for now_s in (0.0, 0.5, 1.0, 1.5):
        looked(sight, found(), now_s=now_s)
        at_all.append(sight.is_at_all)

    assert at_all == [True, False, True, False]


def test_with_nothing_left_the_next_look_is_the_one_at_everything() -> None:
    assert looked(Sight(FLOOR_S), found(took=[A])).rest_s(0.25) == 0.75


def test_looks_that_take_nothing_come_ever_later() -> None:
    sight = Sight(FLOOR_S)

    rests_s = [looked(sight, found(left=[A]), holding=[A], now_s=0.0).rest_s(0.0) for _ in range(6)]

    assert rests_s == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_look_that_took_something_makes_the_next_one_come_soon() -> None:
    sight = looked(looked(Sight(FLOOR_S), found(left=[A])), found(left=[A]))

    assert looked(sight, found(took=[B], left=[A])).rest_s(0.0) == RETRY_LOOK_S


def test_what_one_lane_left_goes_on_when_that_lane_gets_a_place_back_and_not_with_those_of_others() -> None:
    sight = looked(Sight(FLOOR_S), found(took=[A], left=[A]), holding=[A])

    assert (sight.may_go_on(A), sight.may_go_on(B)) == (True, False)


def test_what_the_places_were_not_enough_for_goes_on_with_any_place_that_comes_back() -> None:
    sight = looked(Sight(FLOOR_S), found(took=[A], left=[B]), holding=[A])

    assert sight.may_go_on(A)


def test_a_lane_of_which_much_is_hidden_goes_on_for_as_long_as_it_holds_places() -> None:
    hung, hidden = A, B
    sight = looked(Sight(FLOOR_S), found(took=[hidden], left=[hung], is_cut=True), holding=[hung, hidden])

    looked(sight, found(left=[hung], is_cut=True), holding=[hung, hidden])
    while_it_holds_places = sight.may_go_on(hidden)
    looked(sight, found(left=[hung], is_cut=True), holding=[hung])

    assert (while_it_holds_places, sight.may_go_on(hidden)) == (True, False)


def test_a_rate_that_lets_a_lane_go_on_is_waited_for_exactly_but_never_spun_on() -> None:
    assert looked(Sight(FLOOR_S), found(token_in_s=0.3)).rest_s(0.0) == 0.3
    assert looked(Sight(FLOOR_S), found(token_in_s=0.0)).rest_s(0.0) == TOKEN_WAIT_MIN_S


def test_a_glance_that_left_more_for_who_takes_it_is_followed_by_a_look() -> None:
    sight = looked(Sight(FLOOR_S), found())

    sight.end_glance(found(took=[A], left=[A], left_from=NOW), 0.0)

    assert sight.rest_s(0.0) == 0.0


def test_a_glance_that_left_only_who_hangs_does_not_hurry_the_next_look() -> None:
    sight = looked(looked(Sight(FLOOR_S), found(left=[A]), holding=[A]), found(left=[A]), holding=[A])

    sight.end_glance(found(took=[B], left=[A], left_from=NOW), 0.0)

    assert sight.rest_s(0.0) == 0.2
    assert (sight.may_go_on(A), sight.may_go_on(B)) == (True, False)


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0.0, 3.0), st.none() | st.floats(0.0, 30.0)),
        min_size=1,
        max_size=30,
    )
)
def test_a_look_begins_no_later_than_what_was_left(steps: list[tuple[bool, float, float | None]]) -> None:
    sight, now_s = Sight(60.0), 0.0
    looked(sight, found())
    oldest_left: datetime | None = None

    for is_glance, later_s, left_before_s in steps:
        now_s += later_s
        at = NOW + timedelta(seconds=now_s)
        left_from = None if left_before_s is None else at - timedelta(seconds=left_before_s)
        seen = found(left=[A] if left_from else [], at=at, left_from=left_from)
        if is_glance:
            sight.end_glance(seen, now_s)
            oldest_left = min(filter(None, (oldest_left, left_from)), default=None)
        else:
            looked(sight, seen, now_s=now_s)
            oldest_left = left_from
        assert sight.since <= (oldest_left or at)
        assert sight.since <= at - COMMIT_MARGIN
        assert sight.fresh_since == at - COMMIT_MARGIN


def test_the_first_look_is_at_all_that_ever_was() -> None:
    sight = Sight(FLOOR_S)

    sight.begin_look(0.0)

    assert (sight.since, sight.fresh_since, sight.rest_s(0.0)) == (EVER, EVER, 0.0)
