"""`make run`: one image's whole journey is told step by step, what it made is there the next time, nothing is left."""

import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from PIL import Image

from service.demo import postgres_home
from service.demo.keys import kept_keys
from service.demo.receiver import Refused, receiving
from tests.support.database import Database
from tests.support.gateway import auth
from tests.support.processes import Program, Programs
from tests.support.sandbox import API_KEY, Sandbox
from tests.support.waiting import eventually

ANY_PORTS = {"GATEWAY_PORT": "0", "SANDBOX_PORT": "0"}
RUN_TIMEOUT_S = 120.0
STEPS = (
    r"gateway +http://127\.0\.0\.1:\d+ .* m?s$",
    r"1 models +\d+ on sale; .* m?s$",
    r"2 quote +\d+ credits .* m?s$",
    r"3 task +202, processing: [0-9a-f-]{36} .* m?s$",
    r"4 callback +received and answered 200: succeeded, charged \d+ credits once .* m?s$",
    r"5 notification +task\.succeeded, .*; signature verified by standardwebhooks .* m?s$",
    r"6 picture +PNG, \d+x\d+ as announced: \S+\.png .* m?s$",
)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Root's database lies elsewhere and has to be cleared away by hand."""
    place = tmp_path / "kept"
    yield place
    if (place / "postgres").exists():
        with postgres_home.locked(postgres_home.home_of(place / "postgres"), wait_s=30):
            shutil.rmtree((place / "postgres").resolve())


class Demo:
    """Starts runs that keep everything in one place."""

    def __init__(self, programs: Programs, data_dir: Path) -> None:
        self._programs = programs
        self._environment = {**ANY_PORTS, "DEMO_DATA_DIR": str(data_dir)}

    def begin(self, environment: Mapping[str, str]) -> Program:
        """A run under way, as `make run` begins it."""
        return self._programs.start("demo", ["service", "demo"], {**self._environment, **environment})

    def serve(self, environment: Mapping[str, str]) -> Program:
        """A run that has come to serving."""
        run = self.begin(environment)
        run.wait_for_line("Serving; Ctrl-C stops[\\s\\S]*curl", timeout_s=RUN_TIMEOUT_S)
        return run

    def run_once(self, environment: Mapping[str, str]) -> tuple[int, str]:
        """Exit code and output of a run that ends after the journey."""
        run = self.begin({**environment, "DEMO_ONCE": "1"})
        return run.wait(timeout_s=RUN_TIMEOUT_S), run.log()


@pytest.fixture
def demo(programs: Programs, data_dir: Path) -> Demo:
    return Demo(programs, data_dir)


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    assert match is not None, f"no {pattern!r} in:\n{text}"
    return match[1]


def processes_of(data_dir: Path) -> list[str]:
    """Whatever runs with this place in its environment, or on the database that lies there."""
    marks = (os.fsencode(data_dir), os.fsencode((data_dir / "postgres").resolve()))
    running = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            text = (each / "environ").read_bytes() + (each / "cmdline").read_bytes()
        except OSError:
            continue
        if any(mark in text for mark in marks):
            running.append((each / "comm").read_text())
    return running


def test_each_step_of_an_image_is_told_and_its_picture_is_a_real_one(demo: Demo, data_dir: Path) -> None:
    exit_code, said = demo.run_once({})

    assert exit_code == 0, said
    for step in STEPS:
        assert re.search(rf"^  {step}", said, re.MULTILINE), f"no {step!r} in:\n{said}"
    width, height = found(r"PNG, (\d+)x", said), found(r"PNG, \d+x(\d+)", said)
    with Image.open(found(r"as announced: (\S+\.png)", said)) as image:
        image.load()
        assert (image.format, image.width, image.height) == ("PNG", int(width), int(height))
    assert (data_dir / "demo.json").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks at all processes as Linux shows them")
def test_the_next_run_has_the_key_and_the_tasks_of_the_last_and_leaves_nothing_running(
    demo: Demo, data_dir: Path
) -> None:
    _, said = demo.run_once({})
    assert processes_of(data_dir) == []
    key, task_id = found(r"API key +(\S+)", said), found(r"3 task +202, \w+: (\S+)", said)

    second = demo.serve({})

    assert found(r"API key +(\S+)", second.log()) == key
    url = found(r"gateway +(http\S+)", second.log())
    task = httpx.get(f"{url}/api/v1/tasks/{task_id}", headers=auth(key), timeout=10, trust_env=False)
    assert task.json()["state"] == "succeeded"
    assert second.stop(timeout_s=60) == 0
    assert processes_of(data_dir) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_kill_9_leaves_nothing_running(demo: Demo, data_dir: Path) -> None:
    run = demo.serve({})

    run.kill()

    eventually(lambda: not processes_of(data_dir), what="every part has ended")


def test_tasks_sent_while_it_serves_are_told_as_they_end(demo: Demo, bare_database: Database) -> None:
    run = demo.serve({"GATEWAY_DATABASE_URL": bare_database.url})
    url, key = found(r"gateway +(http\S+)", run.log()), found(r"API key +(\S+)", run.log())

    body = {"prompt": "A lighthouse", "model_id": found(r"goes to (\S+)", run.log())}
    task = httpx.post(f"{url}/api/v1/tasks", json=body, headers=auth(key), timeout=30, trust_env=False).json()

    run.wait_for_line(rf"notification +task\.succeeded {task['id']}, signature verified")
    assert run.stop(timeout_s=60) == 0
    assert bare_database.value("SELECT count(*) FROM subscriptions") == 0


def test_a_failed_journey_ends_the_run_with_the_reason_and_the_place_of_the_logs(
    demo: Demo, bare_database: Database, data_dir: Path
) -> None:
    moods = json.dumps({"task_error": {"next": 1, "message": "the brush broke"}})

    exit_code, said = demo.run_once({"GATEWAY_DATABASE_URL": bare_database.url, "SANDBOX_MOODS": moods})

    assert exit_code == 1
    assert "the brush broke" in said
    assert str(data_dir / "logs") in said
    assert "Traceback" not in said


def test_an_image_api_that_costs_money_is_sent_nothing_unless_somebody_allows_it(
    demo: Demo, bare_database: Database, sandbox: Sandbox
) -> None:
    theirs = {
        "GATEWAY_DATABASE_URL": bare_database.url,
        "GATEWAY_UPSTREAM_URL": sandbox.url,
        "GATEWAY_UPSTREAM_API_KEY": API_KEY,
    }

    held_back = demo.run_once(theirs)
    creates_before = sandbox.ledger()["creates"]
    allowed = demo.run_once({**theirs, "DEMO_SPEND": "1"})

    assert held_back[0] == 0, held_back[1]
    assert "DEMO_SPEND=1" in held_back[1]
    assert creates_before == []
    assert allowed[0] == 0, allowed[1]
    assert len(sandbox.ledger()["creates"]) == 1


def test_keys_of_a_run_before_there_was_encryption_are_kept_and_completed(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    path.write_text(json.dumps({"api_key": "demo-key", "callback_secret": "demo-secret"}))

    first, second = kept_keys(path), kept_keys(path)

    assert (first.api_key, first.callback_secret) == ("demo-key", "demo-secret")
    assert len(first.encryption_key) >= 32
    assert second == first


@pytest.mark.parametrize("name", ["GATEWAY_PORT", "SANDBOX_PORT"])
def test_a_port_that_is_taken_is_told_with_the_variable_that_chooses_another(demo: Demo, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        exit_code, said = demo.run_once({name: str(taken.getsockname()[1])})

    assert exit_code == 1
    assert f"Set {name}" in said


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"GATEWAY_PORT": "http"}, "GATEWAY_PORT must be a whole number"),
        ({"GATEWAY_PORT": "8017", "SANDBOX_PORT": "8017"}, "are both 8017"),
        ({"GATEWAY_UPSTREAM_URL": "http://127.0.0.1:9"}, "GATEWAY_UPSTREAM_API_KEY has to be set"),
    ],
    ids=["a word for a port", "one port for two", "an image API without a key"],
)
def test_a_wrong_variable_is_named_before_anything_starts(
    demo: Demo, data_dir: Path, environment: dict[str, str], words: str
) -> None:
    exit_code, said = demo.run_once(environment)

    assert exit_code == 1
    assert words in said
    assert not data_dir.exists()


def test_the_receiver_takes_nothing_that_is_not_signed_with_its_secret() -> None:
    forged = {"webhook-id": "evt_1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,Zm9yZ2Vk"}

    with receiving() as receiver:
        receiver.trust("whsec_c2VjcmV0IG9mIHRoaXMgdGVzdCBhbG9uZQ==")
        answer = httpx.post(receiver.url, content=b"{}", headers=forged, timeout=10, trust_env=False)

        assert answer.status_code == 401
        assert isinstance(receiver.next(10.0), Refused)
