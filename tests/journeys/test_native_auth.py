"""Who gets in, and what nobody sees of anybody else."""

import httpx
import pytest

from tests.support.gateway import ALPHA_KEY, Gateway

ENDPOINTS = [
    ("GET", "/api/v1/models"),
    ("GET", "/api/v1/models/bytedance-seedream-4.5"),
    ("POST", "/api/v1/quotes"),
    ("POST", "/api/v1/tasks"),
    ("GET", "/api/v1/tasks"),
    ("GET", "/api/v1/tasks/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f"),
    ("POST", "/api/v1/subscriptions"),
    ("GET", "/api/v1/subscriptions"),
    ("GET", "/api/v1/subscriptions/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f"),
    ("DELETE", "/api/v1/subscriptions/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f"),
    ("GET", "/api/v1/subscriptions/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f/stats"),
    ("POST", "/api/v1/subscriptions/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f/recover"),
    ("GET", "/api/v1/subscriptions/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f/recoveries"),
    ("GET", "/api/v1/deliveries"),
    ("GET", "/api/v1/deliveries/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f"),
    ("GET", "/api/v1/deliveries/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f/attempts"),
    ("POST", "/api/v1/deliveries/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f/resend"),
    ("GET", "/api/v1/events"),
]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_nothing_answers_without_a_key(gateway: Gateway, method: str, path: str) -> None:
    answer = gateway.anonymous.request(method, path)

    assert answer.status_code == 401
    assert answer.json()["code"] == "not_authenticated"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {ALPHA_KEY}"},
        {"Authorization": f"bearer   {ALPHA_KEY}"},
        {"Authorization": ALPHA_KEY},
        {"X-Api-Key": ALPHA_KEY},
        {"xi-api-key": ALPHA_KEY},
    ],
    ids=["bearer", "bearer in other letters", "bare", "X-Api-Key", "xi-api-key"],
)
def test_a_key_is_taken_from_each_header(gateway: Gateway, headers: dict[str, str]) -> None:
    assert gateway.anonymous.get("/api/v1/tasks", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong-key-0123456789"},
        {"Authorization": f"Bearer {ALPHA_KEY}x"},
        {"Authorization": f"Basic {ALPHA_KEY}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"{ALPHA_KEY}x"},
        {"X-Api-Key": ""},
        {"Authorization": "Bearer wrong-key-0123456789", "X-Api-Key": ALPHA_KEY},
    ],
    ids=[
        "unknown",
        "with a letter more",
        "Basic",
        "no key at all",
        "bare and unknown",
        "empty",
        "wrong in Authorization, right beside it",
    ],
)
def test_any_other_key_is_refused(gateway: Gateway, headers: dict[str, str]) -> None:
    assert gateway.anonymous.get("/api/v1/tasks", headers=headers).status_code == 401


def test_a_key_that_is_no_text_is_refused_cleanly(gateway: Gateway) -> None:
    answer = gateway.anonymous.get("/api/v1/tasks", headers=httpx.Headers([(b"x-api-key", b"\xff\xfe")]))

    assert answer.status_code == 401


def test_anothers_task_looks_like_no_task(gateway: Gateway) -> None:
    task_id = gateway.alpha.post("/api/v1/tasks", json=REQUEST).json()["id"]

    foreign = gateway.beta.get(f"/api/v1/tasks/{task_id}")
    missing = gateway.beta.get("/api/v1/tasks/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f")

    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["detail"] == missing.json()["detail"]
    assert gateway.beta.get("/api/v1/tasks").json()["items"] == []


def test_no_key_ever_reaches_the_log(gateway: Gateway) -> None:
    gateway.alpha.get("/api/v1/tasks")
    gateway.anonymous.get("/api/v1/tasks", headers={"X-Api-Key": "a-secret-that-was-mistyped"})

    assert ALPHA_KEY not in gateway.program.log()
    assert "a-secret-that-was-mistyped" not in gateway.program.log()


REQUEST = {"prompt": "A lighthouse", "model_id": "bytedance-seedream-4.5"}
