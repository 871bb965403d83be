"""Settings, clients and requests for the upstream's tests; what a test does not name does not matter to it."""

import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from pydantic import SecretStr

from service.settings import Settings
from service.uploads.spool import Asset, Spool
from service.upstream.client import CreateRequest, UpstreamClient
from service.upstream.outcome import SubmitOutcome

API_KEY = "sk_a_key_that_must_not_leak"


def make_settings(url: str, **changes: float | str) -> Settings:
    """Short waits, so that a test of a timeout is over soon."""
    values: dict[str, object] = {
        "upstream_url": url,
        "upstream_api_key": SecretStr(API_KEY),
        "upstream_connect_timeout_s": 1.0,
        "upstream_read_timeout_s": 2.0,
        "upstream_retry_budget_s": 2.0,
        "submit_total_s": 5.0,
    }
    return Settings.model_validate({**values, **changes})


@asynccontextmanager
async def open_client(url: str, **changes: float | str) -> AsyncIterator[UpstreamClient]:
    client = UpstreamClient.open(make_settings(url, **changes))
    try:
        yield client
    finally:
        await client.close()


@contextmanager
def make_request(
    *contents: bytes, prompt: str = "a fox", model_id: str = "some-model", receive_url: str | None = None
) -> Iterator[CreateRequest]:
    """A request with these files as its assets."""
    spool = Spool(None, 2**30)
    with spool.open() as file:
        assets = []
        for index, content in enumerate(contents, start=1):
            digest = hashlib.sha256(content).hexdigest()
            assets.append(Asset(f"file {index}.png", "image/png", len(content), digest, file.size_bytes))
            file.write(content)
        yield CreateRequest(prompt, model_id, 1, {"aspect_ratio": "1:1"}, receive_url, tuple(assets), file)
    spool.close()


def soon() -> float:
    """A `send_before` that no test reaches."""
    return time.monotonic() + 60


async def create_once(url: str, *contents: bytes, **changes: float | str) -> SubmitOutcome:
    """What a create against this server comes to."""
    async with open_client(url, **changes) as client:
        with make_request(*contents) as request:
            return await client.create(request, soon())
