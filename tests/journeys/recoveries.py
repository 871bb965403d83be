"""Recoveries over HTTP: begun with one call, waited for, or held as they are."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from tests.journeys.subscribers import path_of
from tests.support.gateway import Gateway
from tests.support.waiting import eventually

LONG_AGO = (datetime.now(UTC) - timedelta(days=2)).isoformat()


def recover(client: httpx.Client, subscription: dict[str, Any], **wanted: Any) -> httpx.Response:
    """Ask for what happened in the last two days, unless told otherwise."""
    return client.post(path_of(subscription, "recover"), json={"since": LONG_AGO, **wanted})


def done(client: httpx.Client, started: httpx.Response) -> dict[str, Any]:
    """The recovery once it has ended."""
    assert started.status_code == 202, started.text

    def look() -> dict[str, Any] | None:
        found = client.get(started.headers["Location"]).raise_for_status().json()
        return dict(found) if found["state"] != "running" else None

    return eventually(look, what="the recovery ends")


def hold(gateway: Gateway, started: httpx.Response) -> httpx.Response:
    """Let the recovery run on an hour from now, as if its pace were very slow."""
    assert started.status_code == 202, started.text
    gateway.database.execute(
        "UPDATE recoveries SET state = 'running', ended_at = NULL, next_at = now() + interval '1 hour' WHERE id = $1",
        UUID(started.json()["id"]),
    )
    return started
