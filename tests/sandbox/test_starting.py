"""Starting and stopping: variables that are understood or refused in a sentence, and an end that takes no time."""

import json
import subprocess
import sys
import time

import httpx
import pytest

from service.sandbox.settings import SandboxSettings, settings_from
from tests.sandbox.orders import create
from tests.sandbox.wire import BODY, Wire, create_head
from tests.support.postgres import ROOT
from tests.support.sandbox import StartSandbox
from tests.support.waiting import eventually


def test_without_variables_it_listens_where_the_gateway_looks() -> None:
    assert settings_from({}) == SandboxSettings("127.0.0.1", 8900, frozenset({"sk_sandbox"}), 1_000_000, "", {})


def test_it_starts_with_the_keys_credits_and_moods_it_is_given(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(
        {
            "SANDBOX_API_KEYS": "sk_a, sk_b",
            "SANDBOX_CREDITS": "5000",
            "SANDBOX_MOODS": json.dumps({"progress": "null", "busy_poll": {"rate": 0.25}}),
        }
    )
    moods = sandbox.api.get("/_sandbox/moods").json()

    credits = [
        httpx.get(f"{sandbox.url}/v1/credits", headers={"xi-api-key": key}, trust_env=False).json().get("credits")
        for key in ("sk_a", "sk_b", "sk_sandbox")
    ]

    assert credits == [5000, 5000, None]
    assert (moods["progress"], moods["busy_poll"]["rate"]) == ("null", 0.25)


def test_image_urls_begin_with_the_public_url_when_there_is_one(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox({"SANDBOX_PUBLIC_URL": "https://pictures.test/", "SANDBOX_MOODS": '{"duration_s": 0}'})
    task_id = create(sandbox).json()["task_id"]

    metadata = eventually(
        lambda: (task := sandbox.api.get(f"/v1/task/{task_id}").json())["status"] == "done" and task["metadata"]
    )

    assert metadata["result_images"][0]["imageUrl"].startswith(f"https://pictures.test/images/{task_id}/")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SANDBOX_PORT", "http", "SANDBOX_PORT must be a whole number"),
        ("SANDBOX_CREDITS", "-5", "SANDBOX_CREDITS must be a whole number"),
        ("SANDBOX_API_KEYS", " , ", "SANDBOX_API_KEYS must name at least one key"),
        ("SANDBOX_MOODS", "{", "SANDBOX_MOODS is not JSON"),
        ("SANDBOX_MOODS", "[]", "SANDBOX_MOODS must be a JSON object"),
        ("SANDBOX_MOODS", '{"bussy": 1}', "SANDBOX_MOODS: bussy"),
    ],
)
def test_a_variable_that_is_not_understood_ends_the_start_with_a_sentence(name: str, value: str, words: str) -> None:
    command = [sys.executable, "-m", "service.sandbox"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"SANDBOX_PORT": "0", name: value},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith(f"sandbox: {words}")
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_ends_the_start_with_a_sentence(start_sandbox: StartSandbox) -> None:
    port = start_sandbox().url.rpartition(":")[2]
    command = [sys.executable, "-m", "service.sandbox"]

    done = subprocess.run(
        command, cwd=ROOT, env={"SANDBOX_PORT": port}, capture_output=True, text=True, timeout=30, check=False
    )

    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert port in done.stderr


def test_sigterm_ends_it_soon_even_with_a_create_unanswered(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox({"SANDBOX_MOODS": json.dumps({"create_cut": {"next": 1, "at": "never_answer"}})})
    with Wire(sandbox.url) as wire:
        wire.send(create_head(), BODY)
        assert eventually(lambda: sandbox.ledger()["creates_total"] == 1)

        started_s = time.monotonic()
        sandbox.program.stop()
        assert wire.end() == (b"", "FIN")

    assert time.monotonic() - started_s < 4
    assert "Traceback" not in sandbox.program.log()
