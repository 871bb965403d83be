"""Makes a task and the paid call for it: the row is committed before the call, what the call said right after."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, assert_never
from uuid import UUID

import structlog
from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.db.ids import new_id
from service.errors import Unavailable, UpstreamRefused, UpstreamUnavailable
from service.resources import Resources
from service.subscribers.signature import new_signing_secret
from service.subscribers.store import INLINE_SUBSCRIPTION_CTES
from service.tasks.advance import Applied, News, advance
from service.tasks.schemas import TaskRequest
from service.tasks.store import StoredTask
from service.telemetry import timed
from service.uploads.spool import Asset, SpoolFile
from service.upstream.client import CreateRequest
from service.upstream.outcome import Accepted, NotAccepted, Refused, SubmitOutcome, Unknown
from service.upstream.receive_url import receive_url

STORE_TRIES_S = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0)
RETRY_AFTER_S = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InlineCallback:
    """The subscription behind a request's callback_url; its secret is shown once, to the request that made it."""

    subscription_id: UUID
    secret: str | None


@dataclass(frozen=True, slots=True)
class Submitted:
    """A task whose paid call was made: accepted, or of unknown outcome (its state tells)."""

    task: StoredTask
    callback: InlineCallback | None


@dataclass(frozen=True, slots=True)
class _Begun:
    """A committed `submitting` row and what is needed to make its call."""

    task_id: UUID
    claim_id: UUID
    attempt: int
    send_before: float  # by our monotonic clock
    callback: InlineCallback | None


async def submit_task(resources: Resources, client: str, wanted: TaskRequest, upload: SpoolFile | None) -> Submitted:
    """Commit the task, make the paid call, commit what it said.

    Raises UpstreamRefused or UpstreamUnavailable after the task is recorded as failed (nothing was charged), and
    Unavailable when nothing could be stored and nothing was sent. An unknown outcome is a 2xx: the task is healed by
    its callback or by the reconciler, and is never sent again.
    """
    begun = await _begin(resources, client, wanted)
    request = CreateRequest(
        prompt=wanted.prompt,
        model_id=wanted.model_id,
        generations_count=wanted.generations_count,
        model_parameters=wanted.model_parameters,
        receive_url=_receive_url(resources, begun),
        assets=wanted.assets,
        spool=upload,
    )
    with timed("upstream"):
        outcome = await resources.upstream.create(request, begun.send_before)
    log.info("submission", task_id=str(begun.task_id), attempt=begun.attempt, outcome=type(outcome).__name__.lower())
    applied = await _stored_in_spite_of_faults(lambda: advance(resources, _news(begun, outcome)))
    if applied.task is None:
        raise Unavailable("The task is gone from the database.")
    _raise_if_not_sent(outcome, applied.task)
    return Submitted(applied.task, begun.callback)


def _receive_url(resources: Resources, begun: _Begun) -> str | None:
    public_url = resources.settings.public_url
    return receive_url(public_url, begun.task_id, begun.attempt, resources.callback_secrets) if public_url else None


def _news(begun: _Begun, outcome: SubmitOutcome) -> News:
    """What the call said, as news about the attempt and claim that it was made under."""
    news = News(begun.task_id, "outcome_unknown", attempt=begun.attempt, claim_id=begun.claim_id)
    match outcome:
        case Accepted(upstream_id=upstream_id, estimated_credits=credits):
            return replace(news, report="accepted", upstream_id=upstream_id, estimated_credits=credits)
        case Refused(code=code, message=message):
            return replace(news, report="refused", error_code=code or "upstream_refused", error_message=message)
        case NotAccepted(reason=reason, message=message):
            code = f"upstream_{reason}"
            return replace(news, report="not_taken_finally", error_code=code, error_message=message)
        case Unknown():
            return news
        case _:
            assert_never(outcome)


def _raise_if_not_sent(outcome: SubmitOutcome, task: StoredTask) -> None:
    """Tell the caller of a verdict or of a call that was not taken, unless a report has settled the task meanwhile."""
    if task.state != "failed":
        return
    match outcome:
        case Refused(status=status, code=code, message=message):
            raise UpstreamRefused(message, upstream_status=status, upstream_code=code)
        case NotAccepted(reason=reason, code=code, retry_after_s=retry_after_s, message=message):
            raise UpstreamUnavailable(
                f"The image API did not take the task ({reason}): {message} Nothing was charged; send it again.",
                upstream_code=code,
                retry_after_s=retry_after_s or RETRY_AFTER_S,
            )
        case Accepted() | Unknown():
            return
        case _:
            assert_never(outcome)


async def _stored_in_spite_of_faults(store: Callable[[], Awaitable[Applied]]) -> Applied:
    """Keep trying for some seconds to store what the paid call said: it is not to be had a second time.

    When Postgres stays away the lease runs out and the task becomes unknown, to be healed by its callback.
    """
    for pause_s in STORE_TRIES_S:
        try:
            return await store()
        except Unavailable:
            log.warning("outcome_not_stored_yet", retry_in_s=pause_s)
            await asyncio.sleep(pause_s)
    return await store()


async def _begin(resources: Resources, client: str, wanted: TaskRequest) -> _Begun:
    """Commit the task as `submitting`: the callback may come before the reply, and a crash must leave a trace."""
    settings, secret = resources.settings, new_signing_secret()
    values: dict[str, Any] = {
        "id": new_id(),
        "claim_id": new_id(),
        "client": client,
        "account": settings.upstream_account,
        "model_id": wanted.model_id,
        "prompt": wanted.prompt,
        "generations_count": wanted.generations_count,
        "model_parameters": wanted.model_parameters,
        "assets": [_shown_asset(asset) for asset in wanted.assets],
        "client_reference": wanted.client_reference,
        "metadata": wanted.metadata,
        "lease_s": settings.lease_s,
        "slot_s": settings.task_max_age_s,
        "callback_url": wanted.callback_url,
        "traceparent": structlog.contextvars.get_contextvars().get("traceparent"),
        "subscription_id": new_id(),
        "secret": secret,
    }
    # Counted from before the commit, so that our lease ends before the one in the database.
    send_before = time.monotonic() + settings.lease_s
    rows = await resources.db.statement(_BEGIN, values)
    made_id, is_new = rows[0].subscription_id, rows[0].is_new
    callback = InlineCallback(made_id, secret if is_new else None) if made_id else None
    return _Begun(values["id"], values["claim_id"], 1, send_before, callback)


def _shown_asset(asset: Asset) -> dict[str, object]:
    return {
        "filename": asset.filename,
        "content_type": asset.content_type,
        "size_bytes": asset.size_bytes,
        "sha256": asset.sha256,
    }


_BEGIN = text(
    f"""
WITH {INLINE_SUBSCRIPTION_CTES},
task AS (
    INSERT INTO tasks (id, client, account, state, attempt, model_id, prompt, generations_count, model_parameters,
        assets, client_reference, metadata, traceparent, callback_subscription_id, claim_id, submitted_at,
        lease_until, slot_until, poll_at)
    VALUES (:id, :client, :account, 'submitting', 1, :model_id, :prompt, :generations_count, :model_parameters,
        :assets, :client_reference, :metadata, :traceparent, (SELECT id FROM callback), :claim_id, now(),
        now() + make_interval(secs => :lease_s), now() + make_interval(secs => :slot_s),
        now() + make_interval(secs => :lease_s))
    RETURNING id
)
SELECT task.id, callback.id AS subscription_id, callback.created AS is_new FROM task LEFT JOIN callback ON true
"""
).bindparams(
    bindparam("id", type_=pg.UUID(as_uuid=True)),
    bindparam("claim_id", type_=pg.UUID(as_uuid=True)),
    bindparam("subscription_id", type_=pg.UUID(as_uuid=True)),
    bindparam("model_parameters", type_=pg.JSONB),
    bindparam("assets", type_=pg.JSONB),
    bindparam("metadata", type_=pg.JSONB),
)
