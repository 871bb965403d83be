"""When a notification is tried again, and when it is not."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.subscribers.retry import (
    SCHEDULE_S,
    Answer,
    Delivered,
    ErrorClass,
    GiveUp,
    Retry,
    next_attempt_in_s,
    read_retry_after,
    verdict,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY_S = 86_400


def answered(status: int, retry_after_s: float | None = None) -> Answer:
    error_class: ErrorClass | None = None if 200 <= status < 300 else "http"
    return Answer(status, error_class, None, duration_ms=1, retry_after_s=retry_after_s)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_means_delivered(status: int) -> None:
    assert verdict(answered(status), 1, Random()) == Delivered()


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 409, 429, 500, 502, 503, 504])
def test_redirects_and_refusals_are_tried_again(status: int) -> None:
    assert isinstance(verdict(answered(status), 1, Random()), Retry)


@pytest.mark.parametrize("error_class", ["guard", "dns", "connect", "tls", "timeout", "http"])
def test_no_answer_is_tried_again(error_class: ErrorClass) -> None:
    answer = Answer(None, error_class, "…", duration_ms=1)

    assert isinstance(verdict(answer, 1, Random()), Retry)


def test_a_subscriber_that_says_gone_is_never_asked_again() -> None:
    assert verdict(answered(410), 1, Random()) == GiveUp("gone")


def test_after_twelve_retries_a_delivery_is_dead() -> None:
    fates = [verdict(answered(500), attempt, Random()) for attempt in range(1, 14)]

    assert all(isinstance(fate, Retry) for fate in fates[:12])
    assert fates[12] == GiveUp("exhausted")


def test_the_schedule_is_what_the_documentation_says() -> None:
    assert SCHEDULE_S == (1, 5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400)


@given(st.integers(1, 12), st.integers())
def test_jitter_adds_up_to_a_fifth_and_takes_nothing_away(attempt: int, seed: int) -> None:
    delay_s = next_attempt_in_s(attempt, Random(seed))

    assert delay_s is not None
    assert SCHEDULE_S[attempt - 1] <= delay_s <= 1.2 * SCHEDULE_S[attempt - 1]


def test_deliveries_that_failed_together_do_not_come_back_together() -> None:
    rng = Random(1)

    delays = {next_attempt_in_s(5, rng) for _ in range(100)}

    assert len(delays) == 100


@pytest.mark.parametrize("status", [429, 503])
def test_a_subscriber_that_asks_for_patience_gets_it(status: int) -> None:
    assert verdict(answered(status, retry_after_s=90), 1, Random()) == Retry(90, rest_s=90)


def test_patience_asked_for_does_not_shorten_the_schedule() -> None:
    fate = verdict(answered(429, retry_after_s=1), 5, Random())

    assert isinstance(fate, Retry)
    assert fate.in_s >= 600


def test_patience_is_bounded_to_a_day() -> None:
    assert verdict(answered(503, retry_after_s=10.0**9), 1, Random()) == Retry(DAY_S, rest_s=DAY_S)


def test_other_answers_cannot_ask_for_patience() -> None:
    fate = verdict(answered(500, retry_after_s=90), 1, Random())

    assert isinstance(fate, Retry)
    assert fate.in_s < 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("120", 120.0, id="a number"),
        pytest.param("0", 0.0, id="zero"),
        pytest.param(format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120.0, id="a date"),
        pytest.param(format_datetime(NOW - timedelta(minutes=2), usegmt=True), 0.0, id="a date in the past"),
        pytest.param(None, None, id="absent"),
        pytest.param("", None, id="empty"),
        pytest.param("soon", None, id="a word"),
        pytest.param("-5", None, id="negative"),
        pytest.param("nan", None, id="not a number"),
        pytest.param("inf", None, id="endless"),
        pytest.param("Wed, 99 Nov 2026 99:99:99 GMT", None, id="an impossible date"),
    ],
)
def test_retry_after_is_read_as_number_or_date_and_nonsense_is_ignored(text: str | None, seconds: float | None) -> None:
    assert read_retry_after(text, NOW) == seconds


@given(st.text())
def test_no_retry_after_can_break_the_sender(text: str) -> None:
    seconds = read_retry_after(text, NOW)

    assert seconds is None or seconds >= 0
