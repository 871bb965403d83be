"""Every answer to a paid call and what follows from it: accepted, refused, may be sent again, or never."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.upstream.outcome import Accepted, Exchange, NotAccepted, Refused, Unknown, classify_exchange


def answered(status: int, body: object, **headers: str) -> Exchange:
    """A whole answer to a whole request."""
    encoded = body if isinstance(body, bytes) else orjson.dumps(body)
    return Exchange(status, headers, encoded, last_chunk_handed_over=True, complete=True)


HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
QUEUE_FULL = {"success": False, "code": "active_task_limit", "message": "Too many tasks in queue"}

ACCEPTED = {
    "task_id": {"success": True, "task_id": "t"},
    "taskId": {"success": True, "taskId": "t"},
    "id": {"success": True, "id": "t"},
    "data.task_id": {"success": True, "data": {"task_id": "t"}},
    "data.id": {"success": True, "data": {"id": "t"}},
    "no word of success": {"task_id": "t"},
    "an error beside it that is noise": {"success": True, "task_id": "t", "message": "queued"},
}


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED)
def test_a_success_with_an_id_under_any_known_name_is_accepted(body: object) -> None:
    assert classify_exchange(answered(200, body)) == Accepted("t")


def test_a_numeric_id_and_credits_as_text_are_read() -> None:
    outcome = classify_exchange(answered(201, {"id": 17, "estimated_credits": "12.50", "ec_remain_credits": "3"}))

    assert isinstance(outcome, Accepted)
    assert (outcome.upstream_id, str(outcome.estimated_credits), str(outcome.remaining_credits)) == ("17", "12.50", "3")


REFUSED = {
    "400 validation": (400, {"success": False, "message": "prompt is required"}, "prompt is required"),
    "402 balance": (402, {"error": "balance too low"}, "balance too low"),
    "403 forbidden": (403, {"error": {"message": "model not allowed", "type": "forbidden"}}, "model not allowed"),
    "404 of the API": (404, {"message": "no such route"}, "no such route"),
    "422 with a list": (422, {"errors": [{"field": "resolution", "message": "unknown"}]}, "resolution: unknown"),
    "413 of a proxy": (413, b"<html><title>413 Request Entity Too Large</title>", "413 Request Entity Too Large"),
    "500 Invalid model_id": (500, {"message": "Invalid model_id. Valid: a, b"}, "Invalid model_id. Valid: a, b"),
    "200 that names a mistake": (200, {"success": False, "message": "Invalid aspect_ratio"}, "Invalid aspect_ratio"),
}


@pytest.mark.parametrize(("status", "body", "message"), REFUSED.values(), ids=REFUSED)
def test_a_verdict_of_the_api_refuses_in_its_own_words(status: int, body: object, message: str) -> None:
    outcome = classify_exchange(answered(status, body))

    assert isinstance(outcome, Refused)
    assert outcome.message == message


MAY_BE_SENT_AGAIN = {
    "429 active tasks, by code": (429, QUEUE_FULL, "active_task_limit"),
    "429 active tasks, by words": (429, {"error": "You have too many tasks in queue"}, "active_task_limit"),
    "429 token bucket": (429, {"message": "Slow down"}, "rate_limited"),
    "429 daily cap": (429, {"message": "Daily spend limit reached"}, "daily_cap"),
    "429 of a proxy": (429, b"<html><title>Too Many Requests</title>", "rate_limited"),
    "429 without a body": (429, b"", "rate_limited"),
    "401 in the envelope": (401, {"success": False, "message": "Unauthorized"}, "unauthorized_throttle"),
    "401 as HTML": (401, HTML, "unauthorized_throttle"),
    "503 that names the cap": (503, QUEUE_FULL, "active_task_limit"),
    "200 that is busy": (200, {"success": False, "code": "server_busy", "message": "busy"}, "rate_limited"),
    "200 that names the cap": (200, QUEUE_FULL, "active_task_limit"),
}


@pytest.mark.parametrize(("status", "body", "reason"), MAY_BE_SENT_AGAIN.values(), ids=MAY_BE_SENT_AGAIN)
def test_a_recognised_unwillingness_may_be_sent_again(status: int, body: object, reason: str) -> None:
    outcome = classify_exchange(answered(status, body))

    assert isinstance(outcome, NotAccepted)
    assert outcome.reason == reason


def test_the_wait_that_the_api_asks_for_is_kept() -> None:
    outcome = classify_exchange(answered(429, {"message": "slow"}, **{"Retry-After": "7"}))

    assert isinstance(outcome, NotAccepted)
    assert outcome.retry_after_s == 7


NEVER_AGAIN = {
    "500 with envelope": (500, {"success": False, "message": "Internal error"}, "server_error"),
    "500 as HTML": (500, HTML, "server_error"),
    "502 with envelope": (502, {"error": "generation service"}, "server_error"),
    "502 as HTML": (502, HTML, "server_error"),
    "503 busy": (503, {"success": False, "code": "server_busy", "message": "busy"}, "server_error"),
    "504 without a body": (504, b"", "server_error"),
    "408 of a proxy": (408, b"", "server_error"),
    "400 as HTML": (400, HTML, "server_error"),
    "403 as HTML": (403, HTML, "server_error"),
    "a redirect": (302, b"", "server_error"),
    "200 as HTML": (200, HTML, "unreadable_answer"),
    "200 without a body": (200, b"", "unreadable_answer"),
    "200 with half of JSON": (200, b'{"success": true, "task_id": "t', "unreadable_answer"),
    "200 without an id": (200, {"success": True}, "no_task_id"),
    "200 with an empty id": (200, {"success": True, "task_id": ""}, "no_task_id"),
    "200 with an object for an id": (200, {"success": True, "task_id": {"x": 1}}, "no_task_id"),
    "200 that failed for no known reason": (200, {"success": False, "message": "Something broke"}, "unclear_verdict"),
    "200 that denies a task with an id": (
        200,
        {"success": False, "task_id": "t", "message": "Invalid"},
        "unclear_verdict",
    ),
}


@pytest.mark.parametrize(("status", "body", "reason"), NEVER_AGAIN.values(), ids=NEVER_AGAIN)
def test_whatever_is_not_proved_is_never_sent_again(status: int, body: object, reason: str) -> None:
    outcome = classify_exchange(answered(status, body))

    assert isinstance(outcome, Unknown)
    assert outcome.reason == reason


WITHOUT_ANSWER = {
    "DNS, connect, TLS, pool timeout": (Exchange(never_connected=True), NotAccepted, "unreachable"),
    "the last chunk never left": (Exchange(), NotAccepted, "not_sent"),
    "the last chunk left": (Exchange(last_chunk_handed_over=True), Unknown, "no_answer"),
    "a 5xx before the last chunk left": (Exchange(502, body=HTML, complete=True), NotAccepted, "not_sent"),
    "a 200 cut after the last chunk left": (Exchange(200, last_chunk_handed_over=True), Unknown, "cut_answer"),
}


@pytest.mark.parametrize(("facts", "kind", "reason"), WITHOUT_ANSWER.values(), ids=WITHOUT_ANSWER)
def test_without_an_answer_the_connection_decides(facts: Exchange, kind: type, reason: str) -> None:
    outcome = classify_exchange(facts)

    assert isinstance(outcome, kind)
    assert outcome.reason == reason


@given(
    status=st.integers(100, 599),
    body=st.one_of(st.binary(max_size=200), st.builds(orjson.dumps, st.dictionaries(st.text(), st.text()))),
)
def test_only_a_readable_id_accepts_and_only_proof_allows_a_second_time(status: int, body: bytes) -> None:
    outcome = classify_exchange(answered(status, body))

    if isinstance(outcome, Accepted):
        assert 200 <= status < 300
    if isinstance(outcome, NotAccepted):
        assert outcome.reason not in {"unreachable", "not_sent", "lease_lost"}
