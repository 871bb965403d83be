"""Sends a subscriber a signed `ping` at once and tells all about it: how one tries out an address and a secret."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, func, select

from service.db.engine import Database
from service.db.ids import new_id
from service.db.notification_tables import subscriptions
from service.errors import LimitReached, NotFound
from service.subscribers.encryption import Encryption
from service.subscribers.errors import SecretUnreadable
from service.subscribers.retry import Answer
from service.subscribers.sender import HEADERS, Sender
from service.subscribers.signature import signed_headers, webhook_id
from service.subscribers.store import mine

PING_REST_S = 1.0
MAX_REMEMBERED = 1000

_COLUMNS = subscriptions.c


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was posted where, and what came of it."""

    url: str
    headers: Mapping[str, str]
    body: str
    answer: Answer


class Pinger:
    """Sends what a notification would be, to the same rules, and keeps nothing: no event, no attempt, no failure.

    One at a time for each subscription, and with a rest between two, since it is a call that anybody with a key can
    have made as often as they like.
    """

    def __init__(self, database: Database, encryption: Encryption, sender: Sender) -> None:
        self._database = database
        self._encryption = encryption
        self._sender = sender
        self._not_before_s: dict[UUID, float] = {}

    async def ping(self, client: str, subscription_id: UUID) -> Exchange:
        """Post it now, also where the subscription is paused or disabled.

        Raises NotFound, LimitReached, SecretUnreadable; what the subscriber does is told, never raised.
        """
        row = await self._read(client, subscription_id)
        secrets = self._secrets(row)
        self._take_turn(subscription_id)
        try:
            body = _body(row)
            signed = signed_headers(secrets, webhook_id(new_id()), row.at, body)
            answer = await self._sender.send(row.url, signed, body, row.timeout_s)
        finally:
            self._not_before_s[subscription_id] = monotonic() + PING_REST_S
        return Exchange(row.url, {**HEADERS, **signed}, body.decode(), answer)

    async def _read(self, client: str, subscription_id: UUID) -> Row[Any]:
        is_rotating = _COLUMNS.previous_secret_until > func.now()
        columns = (_COLUMNS.id, _COLUMNS.url, _COLUMNS.timeout_s, _COLUMNS.secret, _COLUMNS.previous_secret)
        query = select(*columns, is_rotating.label("is_rotating"), func.now().label("at"))
        rows = await self._database.statement(query.where(mine(client, subscription_id)))
        if not rows:
            raise NotFound("There is no such subscription.")
        return rows[0]

    def _secrets(self, row: Row[Any]) -> tuple[str, ...]:
        current = self._encryption.decrypt(row.id, row.secret)
        with suppress(SecretUnreadable):
            if row.is_rotating and row.previous_secret is not None:
                return current, self._encryption.decrypt(row.id, row.previous_secret)
        return (current,)

    def _take_turn(self, subscription_id: UUID) -> None:
        now_s = monotonic()
        if now_s < self._not_before_s.get(subscription_id, 0.0):
            raise LimitReached("A ping to this subscription is under way, or has just been.", retry_after_s=PING_REST_S)
        if len(self._not_before_s) >= MAX_REMEMBERED:
            self._not_before_s = {each: until for each, until in self._not_before_s.items() if until > now_s}
        self._not_before_s[subscription_id] = inf


def _body(row: Row[Any]) -> bytes:
    ping = {"type": "ping", "timestamp": row.at, "data": {"subscription_id": row.id}}
    return orjson.dumps(ping, default=str, option=orjson.OPT_UTC_Z)
