"""Open the port and serve: one process, one event loop, the chosen address printed on one line."""

import asyncio
import resource
import socket
from typing import Any

import uvicorn

from service.sandbox.app import create_app
from service.sandbox.connection import SandboxConnection, protocol_for
from service.sandbox.settings import SandboxSettings
from service.sandbox.upstream import Upstream

_BACKLOG = 2048


def serve(host: str, port: int, moods: dict[str, Any] | None = None) -> None:
    """Serve the sandbox until SIGTERM or SIGINT; port 0 takes a free one.

    ValidationError names a wrong mood, ValueError a port that cannot be had.
    """
    run(SandboxSettings(host=host, port=port, moods=moods or {}))


def run(settings: SandboxSettings) -> None:
    """Serve with these settings; prints `sandbox listening on http://host:port` once connections are taken."""
    _raise_file_limit()
    upstream = Upstream(settings)
    protocol = protocol_for(upstream)
    config = uvicorn.Config(
        create_app(upstream),
        http=protocol,
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    SandboxServer(config, protocol).run(sockets=[_listening_socket(settings.host, settings.port)])


class SandboxServer(uvicorn.Server):
    """uvicorn's server that says where it listens and can stop listening for a while."""

    def __init__(self, config: uvicorn.Config, protocol: type[SandboxConnection]) -> None:
        super().__init__(config)
        self._protocol, self._upstream = protocol, protocol.upstream

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then print the address."""
        await super().startup(sockets)
        if not self.started or not sockets:
            return
        self._host, self._port = sockets[0].getsockname()[:2]
        self._upstream.refuse_connections = self._refuse_connections
        shown = f"[{self._host}]" if ":" in self._host else self._host
        print(f"sandbox listening on http://{shown}:{self._port}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go of those who wait, then drain."""
        self._upstream.stopping.set()
        for connection in list(self.server_state.connections):
            if isinstance(connection, SandboxConnection):
                connection.end_silence()
        await super().shutdown(sockets)

    def _refuse_connections(self, for_s: float) -> None:
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        loop.call_later(for_s, lambda: loop.create_task(self._listen_again()))

    async def _listen_again(self) -> None:
        sock = _listening_socket(self._host, self._port)
        listener = await asyncio.get_running_loop().create_server(self._new_connection, sock=sock, backlog=_BACKLOG)
        self.servers = [listener]

    def _new_connection(self) -> asyncio.Protocol:
        return self._protocol(self.config, self.server_state, self.lifespan.state)


def _listening_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as exc:
        sock.close()
        raise ValueError(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
    return sock


def _raise_file_limit() -> None:
    """As many open files as the system lets us have: every connection and callback is one."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
