"""The upstream of the tests: the project's own sandbox as a real HTTP server, its moods and its ledger."""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import httpx
import pytest

from tests.support.processes import Program, Programs

LISTENING = r"sandbox listening on (http://\S+)"
API_KEY = "sk_sandbox"
NOTHING: Mapping[str, str] = MappingProxyType({})
ENVIRONMENT = {"SANDBOX_PORT": "0", "SANDBOX_MOODS": json.dumps({"duration_s": 0.2})}


class Sandbox:
    """A running sandbox and its control endpoint."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.url = program.wait_for_line(LISTENING)[1].rstrip("/")
        self.api = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=30, trust_env=False
        )

    def moods(self, knobs: Mapping[str, Any]) -> None:
        """Turn knobs; the others stay as they are: `moods({"duration_s": 5, "callbacks": "held"})`."""
        answer = self.api.patch("/_sandbox/moods", json=knobs)
        assert answer.is_success, answer.text

    def ledger(self) -> dict[str, Any]:
        """Every create that was accepted, with its charge: the source of truth for "paid once"."""
        return dict(self.api.get("/_sandbox/ledger").raise_for_status().json())

    def release_callbacks(self) -> None:
        """Send the callbacks that the mood `callbacks: held` kept back."""
        self.api.post("/_sandbox/callbacks/release").raise_for_status()

    def reset(self) -> None:
        """Forget tasks and ledger; moods are again what they were at the start."""
        self.api.post("/_sandbox/reset").raise_for_status()


class StartSandbox(Protocol):
    def __call__(self, environment: Mapping[str, str] = ...) -> Sandbox: ...


@pytest.fixture(scope="session")
def shared_sandbox(shared_programs: Programs) -> Iterator[Sandbox]:
    """The sandbox that the tests of one worker share, one after the other."""
    sandbox = _started(shared_programs, {})
    yield sandbox
    sandbox.api.close()


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    """The worker's sandbox, in its best mood and with an empty ledger."""
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture
def start_sandbox(programs: Programs) -> Iterator[StartSandbox]:
    """Starts sandboxes of this test alone: `start_sandbox({"SANDBOX_CREDITS": "10"})`."""
    started: list[Sandbox] = []

    def start(environment: Mapping[str, str] = NOTHING) -> Sandbox:
        started.append(_started(programs, environment))
        return started[-1]

    yield start
    for sandbox in started:
        sandbox.api.close()


def _started(programs: Programs, environment: Mapping[str, str]) -> Sandbox:
    return Sandbox(programs.start("sandbox", ["service.sandbox"], {**ENVIRONMENT, **environment}))
