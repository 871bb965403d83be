"""Reads are tried again soon, then slower, never past what their caller still waits for."""

from hypothesis import given
from hypothesis import strategies as st

from service.upstream.retry import MAX_WAIT_S, next_wait_s

SPREAD = st.floats(0, 1)


@given(attempt=st.integers(1, 10_000), left_s=st.floats(0, 60), spread=SPREAD)
def test_a_wait_never_outlasts_the_budget(attempt: int, left_s: float, spread: float) -> None:
    wait_s = next_wait_s(attempt, left_s, None, spread)

    assert wait_s is None or 0 < wait_s <= min(left_s, MAX_WAIT_S)


def test_waits_grow_to_three_seconds() -> None:
    assert [next_wait_s(n, 60, None, 1) for n in range(1, 8)] == [0.25, 0.5, 1, 2, 3, 3, 3]


def test_many_callers_do_not_come_back_as_one() -> None:
    assert next_wait_s(4, 60, None, 0) == 1
    assert next_wait_s(4, 60, None, 0.5) == 1.5


@given(attempt=st.integers(1, 20), retry_after_s=st.floats(0, 10), spread=SPREAD)
def test_retry_after_is_a_floor(attempt: int, retry_after_s: float, spread: float) -> None:
    wait_s = next_wait_s(attempt, 60, retry_after_s, spread)

    assert wait_s is not None
    assert wait_s >= retry_after_s


def test_a_retry_after_beyond_the_budget_ends_the_attempts_at_once() -> None:
    assert next_wait_s(1, 12, 30, 0) is None
