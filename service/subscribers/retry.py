"""What an answer to a notification means, and when the next attempt may run; pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from random import Random
from typing import Literal

# After attempt n (from 1) the n-th delay is waited: more than two days in all, which outlasts a bad weekend.
SCHEDULE_S = (1, 5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400)
JITTER = 0.2
RETRY_AFTER_MAX_S = 86_400.0

# The two answers that ask for patience; elsewhere a Retry-After says nothing about the next attempt.
_PATIENCE = frozenset({429, 503})

ErrorClass = Literal["guard", "dns", "connect", "tls", "timeout", "http", "internal"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt: the subscriber's answer, or the stage at which there was none.

    `error_class` is None exactly for a 2xx; `body` holds at most the first 4 KiB of the answer.
    """

    status: int | None
    error_class: ErrorClass | None
    error: str | None
    duration_ms: int
    body: bytes = b""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The subscriber took it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not this time; the next attempt may run in `in_s` seconds. For `rest_s` the subscriber wants nothing at all."""

    in_s: float
    rest_s: float = 0.0


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt: the subscriber said that it is gone for good, or the schedule is exhausted."""

    reason: Literal["gone", "exhausted"]


Verdict = Delivered | Retry | GiveUp


def verdict(answer: Answer, attempt: int, rng: Random) -> Verdict:
    """Decide on attempt number `attempt` (from 1). A redirect is a failure: it could lead where the guard forbids."""
    if answer.error_class is None:
        return Delivered()
    if answer.status == 410:
        return GiveUp("gone")
    asked_s = min(answer.retry_after_s or 0.0, RETRY_AFTER_MAX_S) if answer.status in _PATIENCE else 0.0
    delay_s = next_attempt_in_s(attempt, rng, asked_s)
    return GiveUp("exhausted") if delay_s is None else Retry(delay_s, asked_s)


def next_attempt_in_s(attempt: int, rng: Random, retry_after_s: float = 0.0) -> float | None:
    """Seconds from the end of attempt `attempt` to the next: 1 s, 5 s, 30 s … 24 h, each +0-20 %; None after the last.

    The jitter keeps a thousand deliveries that failed together from coming back together. `retry_after_s` is a floor.
    """
    if attempt > len(SCHEDULE_S):
        return None
    delay_s = SCHEDULE_S[attempt - 1] * (1 + JITTER * rng.random())
    return max(delay_s, retry_after_s)


def read_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, written as a number or as a date; None when it makes no sense."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return _seconds_until(text, now)
    return seconds if isfinite(seconds) and seconds >= 0 else None


def _seconds_until(http_date: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000": UTC, says RFC 5322
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
