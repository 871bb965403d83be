"""What a paid call came to, decided from the facts of its exchange: may it be sent again, or never?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import Literal

from service.upstream.error_body import ErrorBody, read_error
from service.upstream.reading import mapping, parse_json
from service.upstream.wire import read_created

NotAcceptedReason = Literal[
    "unreachable", "not_sent", "active_task_limit", "rate_limited", "daily_cap", "unauthorized_throttle", "lease_lost"
]
UnknownReason = Literal["no_answer", "cut_answer", "server_error", "unreadable_answer", "no_task_id", "unclear_verdict"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The image API has the task under this id and has charged for it."""

    upstream_id: str
    estimated_credits: Decimal | None = None
    remaining_credits: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The API's verdict on the request itself: nothing was charged, and sending it again changes nothing."""

    status: int
    code: str | None
    message: str


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """Provably not taken: nothing was charged and the same request may be sent again, after `retry_after_s` if named.

    `unauthorized_throttle` is a 401: throttling or a dead key, which only several in a row can tell (the caller's
    count). A busy answer that the API itself gives in its envelope counts as `rate_limited`.
    """

    reason: NotAcceptedReason
    code: str | None = None
    retry_after_s: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows whether the task was taken and charged: it is never sent again, only looked for."""

    reason: UnknownReason
    message: str


SubmitOutcome = Accepted | Refused | NotAccepted | Unknown


@dataclass(frozen=True, slots=True)
class Exchange:
    """The facts of one HTTP exchange; exceptions are in here only as `error`, the text for people.

    `status` is None when no answer's head came; `complete` tells that its body came to its end;
    `last_chunk_handed_over` that the closing boundary may have left us (a short body always may have);
    `never_connected` that no connection stood, so that not one byte was sent.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    last_chunk_handed_over: bool = False
    never_connected: bool = False
    error: str | None = None
    complete: bool = False


_REFUSING = frozenset({400, 402, 403, 404, 405, 415, 422})
_SLOT_WORDS = ("active_task_limit", "too many tasks", "tasks in queue", "active tasks", "concurrent task")
_DAILY_WORDS = ("daily", "per day", "spend cap", "spending cap", "spend limit")
_BUSY_WORDS = ("busy", "overload", "rate limit", "rate_limit", "too many requests", "throttl", "try again later")
_VERDICT_WORDS = (
    "invalid", "required", "must ", "missing", "unsupported", "not supported", "not allowed", "unknown model",
    "too long", "too large", "exceeds", "mismatch", "do not match", "does not match", "validation",
    "insufficient", "not enough", "forbidden", "parameter",
)  # fmt: skip


def classify_exchange(facts: Exchange) -> SubmitOutcome:
    """What the facts of a create prove; whatever they do not prove is `Unknown`."""
    if facts.never_connected:
        return NotAccepted("unreachable", message=facts.error or "no connection to the image API")
    if facts.status is None:
        return _without_answer(facts)
    if 200 <= facts.status < 300:
        return _of_success_status(facts)
    return _of_error_status(facts, facts.status)


def _without_answer(facts: Exchange) -> SubmitOutcome:
    message = facts.error or "the connection ended without an answer"
    if not facts.last_chunk_handed_over:
        return NotAccepted("not_sent", message=message)
    return Unknown("no_answer", message)


def _of_success_status(facts: Exchange) -> SubmitOutcome:
    parsed = parse_json(facts.body)
    if not isinstance(parsed, Mapping):
        return _without_verdict(facts, "unreadable_answer" if facts.complete else "cut_answer", "no JSON in a 2xx")
    created = read_created(parsed)
    if mapping(parsed).get("success") is False:
        return _of_denied_success(facts, created.task_id)
    if created.task_id is None:
        return Unknown("no_task_id", "the image API answered without a task id")
    return Accepted(created.task_id, created.estimated_credits, created.remaining_credits)


def _of_denied_success(facts: Exchange, task_id: str | None) -> SubmitOutcome:
    """A 2xx that says `success: false`.

    It counts as a verdict only when its words are ones we know: words of waiting mean not taken, words of validation
    mean refused. Any other wording may be an inner failure after the charge, which is what a 500 would be: unknown.
    So is one that names a task id all the same.
    """
    denial = read_error(facts.status or 0, facts.headers, facts.body)
    if task_id is None:
        waiting = _waiting(denial)
        if waiting is not None:
            return waiting
        if _speaks_of(denial, _VERDICT_WORDS):
            return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, denial.code, denial.message)
    return _without_verdict(facts, "unclear_verdict", denial.message)


def _of_error_status(facts: Exchange, status: int) -> SubmitOutcome:
    denial = read_error(status, facts.headers, facts.body)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _waiting(denial) or NotAccepted("rate_limited", denial.code, denial.retry_after_s, denial.message)
    if status == HTTPStatus.UNAUTHORIZED:
        return NotAccepted("unauthorized_throttle", denial.code, denial.retry_after_s, denial.message)
    if _refuses(status, denial):
        return Refused(status, denial.code, denial.message)
    if denial.is_api and _speaks_of(denial, ("active_task_limit",)):
        return NotAccepted("active_task_limit", denial.code, denial.retry_after_s, denial.message)
    return _without_verdict(facts, "server_error", f"{status}: {denial.message}")


def _refuses(status: int, denial: ErrorBody) -> bool:
    """The API's own verdict; only 413 may come from a proxy, since a body too large for it was never passed on."""
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return True
    return denial.is_api and (status in _REFUSING or is_invalid_model(status, denial))


def is_invalid_model(status: int, denial: ErrorBody) -> bool:
    """Whether a 500 is the caller's mistake in the API's disguise: "Invalid model_id", followed by the valid ids."""
    return status >= 500 and "invalid model_id" in denial.message.lower()


def speaks_of_waiting(denial: ErrorBody) -> bool:
    """Whether the API's own words ask us to come back later, whatever status they came with."""
    return _waiting(denial) is not None


def _waiting(denial: ErrorBody) -> NotAccepted | None:
    """What the API's own words ask us to wait for, if they do."""
    reasons: tuple[tuple[NotAcceptedReason, tuple[str, ...]], ...] = (
        ("active_task_limit", _SLOT_WORDS),
        ("daily_cap", _DAILY_WORDS),
        ("rate_limited", _BUSY_WORDS),
    )
    for reason, words in reasons:
        if _speaks_of(denial, words):
            return NotAccepted(reason, denial.code, denial.retry_after_s, denial.message)
    return None


def _speaks_of(denial: ErrorBody, words: tuple[str, ...]) -> bool:
    spoken = f"{denial.code or ''} {denial.message}".lower()
    return any(word in spoken for word in words)


def _without_verdict(facts: Exchange, reason: UnknownReason, message: str) -> SubmitOutcome:
    if not facts.last_chunk_handed_over:
        return NotAccepted("not_sent", message=message)
    return Unknown(reason, message)
