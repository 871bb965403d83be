"""What the answer to a free call means: an answer, a mood to sit out, or a denial that asking again will not change."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from service.upstream.error_body import ErrorBody, read_error
from service.upstream.outcome import Exchange, is_invalid_model, speaks_of_waiting
from service.upstream.reading import parse_json


@dataclass(frozen=True, slots=True)
class Answered:
    """The JSON that was asked for."""

    body: object


@dataclass(frozen=True, slots=True)
class Busy:
    """Busy, throttled, unreachable, or a proxy instead of the API: it says nothing about what was asked."""

    status: int | None
    message: str
    code: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The API's own word on what was asked; 404 on a task means that it is not known there (yet)."""

    status: int
    code: str | None
    message: str


ReadVerdict = Answered | Busy | Denied


def judge_read(facts: Exchange) -> ReadVerdict:
    """The verdict on one free call; asking again is harmless, so only the API's own denial ends it."""
    if facts.status is None or not facts.complete:
        return Busy(facts.status, facts.error or "the answer was cut, or larger than 1 MiB")
    denial = read_error(facts.status, facts.headers, facts.body)
    if 200 <= facts.status < 300:
        return _of_success_status(facts.status, facts.body, denial)
    if denial.is_api and _denies(facts.status, denial):
        return Denied(facts.status, denial.code, denial.message)
    return _busy(facts.status, denial)


def _of_success_status(status: int, body: bytes, denial: ErrorBody) -> ReadVerdict:
    parsed = parse_json(body)
    if not isinstance(parsed, Mapping | list):
        return _busy(status, denial)
    if isinstance(parsed, Mapping) and parsed.get("success") is False:
        return _busy(status, denial) if speaks_of_waiting(denial) else Denied(status, denial.code, denial.message)
    return Answered(parsed)


def _denies(status: int, denial: ErrorBody) -> bool:
    passing = {HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
    return (400 <= status < 500 and status not in passing) or is_invalid_model(status, denial)


def _busy(status: int, denial: ErrorBody) -> Busy:
    return Busy(status, denial.message, denial.code, denial.retry_after_s)
