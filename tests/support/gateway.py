"""The gateway under test: a real process on a real database and the sandbox, spoken to over HTTP."""

import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

import httpx
import pytest

from service.demo.children import free_port
from tests.support.database import Database
from tests.support.processes import START_TIMEOUT_S, Program, Programs
from tests.support.sandbox import API_KEY, Sandbox
from tests.support.waiting import eventually

ALPHA_KEY = "key-alpha-0123456789abcdef"
BETA_KEY = "key-beta-0123456789abcdef"
CALLBACK_SECRET = "callback-secret-0123456789abcdef"
ENCRYPTION_KEY = "encryption-key-0123456789abcdef0123456789abcdef"
CLIENT_TIMEOUT_S = 70.0
NOTHING: Mapping[str, str] = MappingProxyType({})


class Gateway:
    """One gateway process; it keeps its address and its settings when it is started again."""

    def __init__(self, programs: Programs, database: Database, environment: Mapping[str, str], role: str) -> None:
        self._programs = programs
        self._role = role
        self.database = database
        self.environment = environment
        self.url = f"http://127.0.0.1:{environment['GATEWAY_PORT']}"
        self.alpha = self.client(ALPHA_KEY)
        self.beta = self.client(BETA_KEY)
        self.anonymous = httpx.Client(base_url=self.url, timeout=CLIENT_TIMEOUT_S, trust_env=False)
        self.program = self._run()

    def client(self, api_key: str) -> httpx.Client:
        """A client that carries the key."""
        return httpx.Client(base_url=self.url, headers=auth(api_key), timeout=CLIENT_TIMEOUT_S, trust_env=False)

    def async_client(self, api_key: str = ALPHA_KEY) -> httpx.AsyncClient:
        """For tests of many calls at once: `async with gateway.async_client() as client`."""
        return httpx.AsyncClient(base_url=self.url, headers=auth(api_key), timeout=CLIENT_TIMEOUT_S, trust_env=False)

    def start_again(self) -> None:
        """Run it anew after it was killed or stopped, and wait until it is ready."""
        assert self.program.exit_code is not None, "it still runs"
        self.program = self._run()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait for its readiness; fails when it ends instead."""
        eventually(self._is_ready, timeout_s=START_TIMEOUT_S, what=f"{self.program.name} is ready")

    def close(self) -> None:
        """Close the clients."""
        for client in (self.alpha, self.beta, self.anonymous):
            client.close()

    def _run(self) -> Program:
        return self._programs.start(f"gateway-{self._role}", ["service", self._role], self.environment)

    def _is_ready(self) -> bool:
        assert self.program.exit_code is None, f"the gateway ended with {self.program.exit_code}; see its log below"
        try:
            return self.anonymous.get("/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


class StartGateway(Protocol):
    def __call__(self, environment: Mapping[str, str] = ..., *, role: str = ..., wait: bool = ...) -> Gateway: ...


def auth(api_key: str) -> dict[str, str]:
    """The header of an authenticated call."""
    return {"Authorization": f"Bearer {api_key}"}


def environment_of(database: Database, sandbox: Sandbox) -> dict[str, str]:
    """The settings that tests run with: two clients, receivers on loopback allowed, loops that look often."""
    port = free_port()
    return {
        "GATEWAY_PORT": str(port),
        "GATEWAY_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "GATEWAY_DATABASE_URL": database.url,
        "GATEWAY_DATABASE_POOL_SIZE": "5",
        "GATEWAY_UPSTREAM_URL": sandbox.url,
        "GATEWAY_UPSTREAM_API_KEY": API_KEY,
        "GATEWAY_API_KEYS": f"alpha:{ALPHA_KEY},beta:{BETA_KEY}",
        "GATEWAY_CALLBACK_SECRETS": CALLBACK_SECRET,
        "GATEWAY_ENCRYPTION_KEYS": ENCRYPTION_KEY,
        "GATEWAY_OUTBOUND_ALLOW": "127.0.0.0/8",
        "GATEWAY_IMAGE_ALLOW": "127.0.0.0/8",
        "GATEWAY_POLL_FLOOR_S": "0.2",
        # GATEWAY_TEST_LISTEN=false runs every test as behind a pooler, where polling does all.
        "GATEWAY_LISTEN": os.environ.get("GATEWAY_TEST_LISTEN", "true"),
        "GATEWAY_DRAIN_TIMEOUT_S": "15",
    }


@pytest.fixture(scope="session")
def shared_gateway(shared_programs: Programs, worker_database: Database, shared_sandbox: Sandbox) -> Iterator[Gateway]:
    """The gateway that the tests of one worker share, one after the other."""
    gateway = Gateway(shared_programs, worker_database, environment_of(worker_database, shared_sandbox), "all")
    gateway.wait_until_ready()
    yield gateway
    gateway.close()


@pytest.fixture
def gateway(sandbox: Sandbox, database: Database, shared_gateway: Gateway) -> Gateway:
    """The worker's gateway on an emptied database and a sandbox in its best mood; do not stop it."""
    return shared_gateway


@pytest.fixture
def start_gateway(programs: Programs, own_database: Database, sandbox: Sandbox) -> Iterator[StartGateway]:
    """Starts gateways of this test alone, all on `own_database`: `start_gateway({"GATEWAY_PUBLIC_URL": ""})`."""
    started: list[Gateway] = []

    def start(environment: Mapping[str, str] = NOTHING, *, role: str = "all", wait: bool = True) -> Gateway:
        gateway = Gateway(programs, own_database, {**environment_of(own_database, sandbox), **environment}, role)
        started.append(gateway)
        if wait:
            gateway.wait_until_ready()
        return gateway

    yield start
    for gateway in started:
        gateway.close()
