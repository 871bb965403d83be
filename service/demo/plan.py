"""Decides what a run starts and where, from the environment: own parts, or those that the environment names."""

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.demo.children import free_port
from service.demo.ending import DemoFailed
from service.demo.keys import Keys

ROOT = Path(__file__).parents[2]
LOOPBACK = "127.0.0.1"
LOOPBACK_NETWORK = "127.0.0.0/8"
DRAIN_TIMEOUT_S = 10
REACHABLE = {"": LOOPBACK, "0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - listening everywhere, one is reached here
ON = {"1", "true", "yes", "on"}


@dataclass(frozen=True)
class Address:
    """Where one of our servers listens, and the variables that choose it."""

    name: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """How a program on this machine reaches it."""
        host = REACHABLE.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def require_free(self) -> None:
        """Raise DemoFailed when it cannot be listened on."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as exc:
                raise DemoFailed(self._refusal(exc)) from exc

    def _refusal(self, exc: OSError) -> str:
        reason = "another program has it" if exc.errno == errno.EADDRINUSE else exc.strerror or str(exc)
        other = "a free port of your choice, or 0 for any"
        return f"port {self.port} on {self.host} cannot be used: {reason}. Set {self.name}_PORT to {other}."


@dataclass(frozen=True)
class Plan:
    """What a run starts and where; `sandbox` is None when the environment names an image API."""

    environment: Mapping[str, str]
    data_dir: Path
    gateway: Address
    sandbox: Address | None
    may_spend: bool
    once: bool

    @property
    def log_dir(self) -> Path:
        """What the parts print; the database keeps its own log beside its data."""
        return self.data_dir / "logs"

    @property
    def image_dir(self) -> Path:
        """The pictures of all journeys."""
        return self.data_dir / "images"

    @property
    def own_database_url(self) -> str:
        """The user's own server, empty for a private one."""
        return self.environment.get("GATEWAY_DATABASE_URL", "")

    @property
    def has_journey(self) -> bool:
        """Sending an image through costs nothing in the sandbox; elsewhere somebody has to say that it may."""
        return self.sandbox is not None or self.may_spend

    def gateway_environment(self, database_url: str, keys: Keys) -> dict[str, str]:
        """Everything that the gateway reads; what the user has set goes before what we would choose."""
        given = self.environment
        own_key = f"demo:{keys.api_key}"
        defaults = {
            "GATEWAY_CALLBACK_SECRETS": keys.callback_secret,
            "GATEWAY_OUTBOUND_ALLOW": LOOPBACK_NETWORK,
            "GATEWAY_IMAGE_ALLOW": LOOPBACK_NETWORK,
            **self._defaults_beside_a_sandbox(),
        }
        chosen = {
            "GATEWAY_PORT": str(self.gateway.port),
            "GATEWAY_DATABASE_URL": database_url,
            "GATEWAY_API_KEYS": self._theirs_and("GATEWAY_API_KEYS", own_key),
            # Theirs encrypts; ours stays to read what a run without theirs has stored.
            "GATEWAY_ENCRYPTION_KEYS": self._theirs_and("GATEWAY_ENCRYPTION_KEYS", keys.encryption_key),
            **self._upstream(),
        }
        return {**defaults, **given, **chosen}

    def sandbox_environment(self) -> dict[str, str]:
        """Everything that the sandbox reads; it has no business with the gateway's secrets."""
        rest = {name: value for name, value in self.environment.items() if not name.startswith("GATEWAY_")}
        return {**rest, "SANDBOX_PORT": str(self.sandbox.port)} if self.sandbox else rest

    def _theirs_and(self, name: str, own: str) -> str:
        theirs = self.environment.get(name, "")
        return f"{theirs},{own}" if theirs else own

    def _defaults_beside_a_sandbox(self) -> dict[str, str]:
        """An image API elsewhere could not call back to loopback; and its paid calls are given more time to end."""
        if self.sandbox is None:
            return {}
        return {"GATEWAY_PUBLIC_URL": self.gateway.url, "GATEWAY_DRAIN_TIMEOUT_S": str(DRAIN_TIMEOUT_S)}

    def _upstream(self) -> dict[str, str]:
        """The sandbox never gets to see a key that was meant for the real API."""
        if self.sandbox is None:
            return {}
        key = self.environment.get("SANDBOX_API_KEYS", "sk_sandbox").split(",")[0].strip()
        return {"GATEWAY_UPSTREAM_URL": self.sandbox.url, "GATEWAY_UPSTREAM_API_KEY": key}


def plan_from(environment: Mapping[str, str], *, once: bool) -> Plan:
    """The plan of a run. Raises DemoFailed for a variable that is wrong and for a port that is taken."""
    has_upstream = bool(environment.get("GATEWAY_UPSTREAM_URL"))
    if has_upstream and not environment.get("GATEWAY_UPSTREAM_API_KEY"):
        raise DemoFailed("GATEWAY_UPSTREAM_URL is set, so GATEWAY_UPSTREAM_API_KEY has to be set as well.")
    gateway = _address(environment, "GATEWAY", 8000)
    sandbox = None if has_upstream else _address(environment, "SANDBOX", 8900)
    if sandbox and sandbox.port == gateway.port:
        raise DemoFailed(f"GATEWAY_PORT and SANDBOX_PORT are both {gateway.port}; choose different ones.")
    for address in (gateway, sandbox):
        if address:
            address.require_free()
    return Plan(
        environment=environment,
        data_dir=Path(environment.get("DEMO_DATA_DIR") or ROOT / ".data").absolute(),
        gateway=gateway,
        sandbox=sandbox,
        may_spend=_is_on(environment, "DEMO_SPEND"),
        once=once or _is_on(environment, "DEMO_ONCE"),
    )


def _address(environment: Mapping[str, str], name: str, default_port: int) -> Address:
    text = environment.get(f"{name}_PORT") or str(default_port)
    if not (text.isascii() and text.isdecimal() and int(text) <= 65535):
        raise DemoFailed(f"{name}_PORT must be a whole number from 0 to 65535, not {text!r}.")
    return Address(name, environment.get(f"{name}_HOST") or LOOPBACK, int(text) or free_port())


def _is_on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() in ON
