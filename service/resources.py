"""What is opened and closed together: Postgres, the bell, the image API's client, the spool."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from service.db.engine import Database, forbid_in_transaction
from service.db.listen import Bell
from service.settings import Settings
from service.telemetry import observe_upstream
from service.uploads.spool import Spool
from service.upstream.client import UpstreamClient


@dataclass(frozen=True, slots=True)
class Resources:
    """The open things that use-cases work with."""

    settings: Settings
    db: Database
    bell: Bell
    upstream: UpstreamClient
    spool: Spool

    @property
    def callback_secrets(self) -> tuple[bytes, ...]:
        """The secrets of receive_url; the first signs."""
        return tuple(secret.get_secret_value().encode() for secret in self.settings.callback_secrets)


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open everything; close it in the opposite order. Postgres and the image API need not be there yet."""
    async with AsyncExitStack() as stack:
        database = Database(settings)
        stack.push_async_callback(database.close)
        upstream = UpstreamClient.open(settings, observe=observe_upstream, guard=forbid_in_transaction)
        stack.push_async_callback(upstream.close)
        spool = Spool(settings.spool_dir, settings.spool_max_bytes)
        stack.callback(spool.close)
        yield Resources(settings, database, Bell(settings, database), upstream, spool)
