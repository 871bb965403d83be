"""Where a connection can end: at each point of a create with FIN or RST, and whether the task was charged by then."""

import time

import httpx
import pytest

from tests.sandbox.orders import balance, create, created, ended
from tests.sandbox.wire import BODY, End, Wire, create_head, get_head
from tests.support.receiver import Receiver
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

HALF = len(BODY) // 2
ENDS = {"close": "FIN", "reset": "RST"}
FREE, PAID = 0, 1


def cut_create(sandbox: Sandbox, *chunks: bytes) -> tuple[bytes, End]:
    with Wire(sandbox.url) as wire:
        wire.send(*chunks)
        return wire.end()


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize(
    ("at", "sent", "paid"),
    [
        ("first_byte", (create_head()[:60],), FREE),
        ("after_headers", (create_head(),), FREE),
        ("mid_body", (create_head(), BODY[: HALF + 1]), FREE),
        ("read_not_accepted", (create_head(), BODY), FREE),
        ("accepted", (create_head(), BODY), PAID),
    ],
)
def test_a_create_can_end_unanswered_at_each_point(
    sandbox: Sandbox, how: str, at: str, sent: tuple[bytes, ...], paid: int
) -> None:
    sandbox.moods({"create_cut": {"next": 1, "at": at, "how": how}})

    came, end = cut_create(sandbox, *sent)

    ledger = sandbox.ledger()
    assert (came, end) == (b"", ENDS[how])
    assert len(ledger["creates"]) == paid
    assert 1_000_000 - ledger["balance"] == paid * 1188
    assert len(ledger["refused"]) == 1
    assert create(sandbox).status_code == 200, "only one create was to be cut"


@pytest.mark.parametrize("how", ENDS)
def test_a_paid_create_can_answer_with_half_a_body(sandbox: Sandbox, how: str) -> None:
    sandbox.moods({"create_cut": {"next": 1, "at": "half_answer", "how": how}})

    came, end = cut_create(sandbox, create_head(), BODY)

    head, _, half = came.partition(b"\r\n\r\n")
    promised = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert (len(half), end) == (promised // 2, ENDS[how])
    assert len(sandbox.ledger()["creates"]) == PAID


def test_a_paid_create_can_stay_unanswered_and_still_call_back(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.moods({"create_cut": {"next": 1, "at": "never_answer"}, "duration_s": 0})

    with pytest.raises(httpx.ReadTimeout):
        create(sandbox, {"receive_url": receiver.url}, timeout=0.4)

    assert len(receiver.wait_for(1)) == 1
    assert len(sandbox.ledger()["creates"]) == PAID


@pytest.mark.parametrize("at", ["accepted", "half_answer"])
def test_a_charged_create_without_an_answer_runs_to_its_end(sandbox: Sandbox, at: str) -> None:
    sandbox.moods({"create_cut": {"next": 1, "at": at}, "duration_s": 0})

    cut_create(sandbox, create_head(), BODY)

    assert eventually(lambda: sandbox.ledger()["creates"][0]["status"] == "done")


def test_a_large_upload_cut_halfway_never_hands_over_its_end(sandbox: Sandbox) -> None:
    sandbox.moods({"create_cut": {"next": 1, "at": "mid_body", "how": "reset"}})
    handed_over = []

    def body() -> object:
        for place in range(400):
            handed_over.append(place)
            yield b"x" * 65536

    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(400 * 65536)}
    with pytest.raises(httpx.TransportError):
        sandbox.api.post("/v1i/task/generate-image", content=body(), headers=headers)  # type: ignore[arg-type]

    assert len(handed_over) < 400
    assert balance(sandbox) == 1_000_000


def test_a_kept_alive_connection_can_close_as_the_create_arrives(sandbox: Sandbox) -> None:
    sandbox.moods({"create_cut": {"next": 1, "at": "first_byte", "how": "close"}})

    with Wire(sandbox.url) as wire:
        wire.send(get_head("/v1/credits"))
        first = wire.answer()
        wire.send(create_head(), BODY)
        came, end = wire.end()

    assert first.startswith(b"HTTP/1.1 200")
    # Unread bytes of the request may turn the end into RST, as with any server.
    assert (came, end in ("FIN", "RST")) == (b"", True)
    assert sandbox.ledger()["creates"] == []


@pytest.mark.parametrize("how", ENDS)
def test_a_connection_can_end_as_it_is_accepted(sandbox: Sandbox, how: str) -> None:
    sandbox.moods({"accept_cut": {"next": 1, "how": how}})

    with Wire(sandbox.url) as wire:
        came, end = wire.end()
    with Wire(sandbox.url) as wire:
        wire.send(get_head("/v1/credits"))
        second = wire.answer()

    assert (came, end) == (b"", ENDS[how])
    assert second.startswith(b"HTTP/1.1 200")


def test_cuts_happen_at_the_rate_that_was_set(sandbox: Sandbox) -> None:
    sandbox.moods({"create_cut": {"rate": 0.5, "at": "accepted", "how": "reset"}, "active_task_cap": 0})

    ends = [
        cut_create(sandbox, create_head().replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), BODY)[1]
        for _ in range(40)
    ]

    assert 10 <= ends.count("RST") <= 30
    assert ends.count("RST") + ends.count("FIN") == 40
    assert sandbox.ledger()["creates_total"] == 40


def test_a_connection_can_be_slow_to_be_read(sandbox: Sandbox) -> None:
    sandbox.moods({"slow_connection_s": 0.3})

    started_s = time.monotonic()
    httpx.get(f"{sandbox.url}/v1/credits", trust_env=False)

    assert time.monotonic() - started_s >= 0.3


def test_a_body_can_be_read_slowly(sandbox: Sandbox) -> None:
    sandbox.moods({"upload_bytes_per_s": 1000})

    started_s = time.monotonic()
    create(sandbox, {"prompt": "x" * 300}).raise_for_status()

    assert time.monotonic() - started_s >= 0.3


@pytest.mark.parametrize(("knob", "charged"), [("accept_delay_s", 0), ("answer_delay_s", 1)], ids=["before", "after"])
def test_a_create_can_be_slow_before_or_after_it_is_charged(sandbox: Sandbox, knob: str, charged: int) -> None:
    sandbox.moods({knob: 0.5})

    with pytest.raises(httpx.ReadTimeout):
        create(sandbox, timeout=0.25)

    assert sandbox.ledger()["creates_total"] == charged


@pytest.mark.parametrize(
    ("down", "status", "kind"),
    [("503", 503, "application/json"), ("html", 503, "text/html; charset=utf-8")],
)
@pytest.mark.parametrize("path", ["/v1i/models", "/v1/task/x", "/v1/tasks", "/v1/credits", "/v1/health-check"])
def test_an_upstream_that_is_down_answers_503_everywhere(
    sandbox: Sandbox, down: str, status: int, kind: str, path: str
) -> None:
    sandbox.moods({"down": down})

    answer = sandbox.api.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (status, kind)
    assert create(sandbox).status_code == status


@pytest.mark.parametrize("how", ENDS)
def test_an_upstream_that_is_down_may_just_hang_up(sandbox: Sandbox, how: str) -> None:
    sandbox.moods({"down": how})

    with Wire(sandbox.url) as wire:
        wire.send(get_head("/v1i/models"))
        assert wire.end() == (b"", ENDS[how])
    sandbox.moods({"down": "no"})
    assert sandbox.api.get("/v1i/models").status_code == 200


def test_connections_can_be_refused_for_a_while(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0})
    sandbox.api.post("/_sandbox/refuse", json={"for_s": 0.5}).raise_for_status()

    with pytest.raises(ConnectionRefusedError):
        Wire(sandbox.url)

    assert eventually(lambda: _connects(sandbox.url))
    assert ended(sandbox, created(sandbox))["status"] == "done"


def _connects(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.ConnectError:
        return False
