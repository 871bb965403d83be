"""How one subscription is named in a path and shown in an answer."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import Path
from starlette.responses import Response

from service.errors import NotFound
from service.subscribers.store import Subscription

SubscriptionId = Annotated[str, Path(description="The subscription's id.", json_schema_extra={"format": "uuid"})]

_HEADERS: Mapping[str, str] = {"Cache-Control": "no-store"}
_NOTHING: Mapping[str, str] = {}


def no_such_subscription() -> NotFound:
    """The answer where there is none with this id, or it is another client's."""
    return NotFound("There is no such subscription.")


def read_subscription_id(text: str) -> UUID:
    """The id in the path; what is no id names no subscription."""
    try:
        return UUID(text)
    except ValueError as exc:
        raise no_such_subscription() from exc


def shown(subscription: Subscription) -> dict[str, object]:
    """The subscription as its own client sees it."""
    members = asdict(subscription)
    del members["client"]
    return members


def json_response(content: object, *, status: int = 200, headers: Mapping[str, str] = _NOTHING) -> Response:
    """An answer about subscriptions, which no cache may keep."""
    # asyncpg gives ids of a UUID class of its own, which orjson leaves to `default`.
    body = orjson.dumps(content, default=str, option=orjson.OPT_UTC_Z)
    return Response(body, status, {**_HEADERS, **headers}, media_type="application/json")
