"""The paid call of one claim and the commit of what it said; the same for a waiting caller and for the dispatcher."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import assert_never
from uuid import UUID

import structlog
from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service import telemetry
from service.errors import LimitReached, Unavailable
from service.resources import Resources
from service.tasks.accounts import UNAUTHORIZED_IN_A_ROW, note_authorized, note_unauthorized, pause_account
from service.tasks.advance import Applied, News, advance, announce, apply_news
from service.tasks.asked import Claim
from service.tasks.asset_store import store_assets
from service.tasks.begin import refuse_overfull_queue, stored_bytes
from service.tasks.idempotency import free_key
from service.tasks.schemas import TaskRequest
from service.tasks.unanswered import forget_unanswered
from service.uploads.spool import SpoolFile
from service.upstream.client import CreateRequest
from service.upstream.outcome import Accepted, NotAccepted, Refused, SubmitOutcome, Unknown
from service.upstream.receive_url import receive_url

STORE_TRIES_S = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0)
PAUSE_S = {"active_task_limit": 2.0, "rate_limited": 2.0, "unreachable": 2.0, "unauthorized_throttle": 1.0}
DEAD_KEY_PAUSE_S = 60.0
DAILY_CAP_PAUSE_S = 900.0
SEND_AGAIN_AFTER_S = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sendable:
    """What is sent for a task: its request, and the spool with its assets. `is_stored`: also in the database."""

    client: str
    wanted: TaskRequest
    upload: SpoolFile | None
    is_stored: bool


async def send(resources: Resources, claim: Claim, sendable: Sendable) -> tuple[SubmitOutcome, Applied]:
    """Make the call and commit its outcome. What was provably not taken waits in the queue again, if it has room."""
    with telemetry.timed("upstream"):
        outcome = await resources.upstream.create(_request(resources, claim, sendable), claim.send_before)
    log.info("submission", task_id=str(claim.task_id), attempt=claim.attempt, outcome=type(outcome).__name__.lower())
    applied = await stored_in_spite_of_faults(claim.task_id, lambda: _store(resources, claim, sendable, outcome))
    # What follows is care for later calls: it must not turn a paid call into an error.
    with suppress(Unavailable):
        await _mind_the_account(resources, claim, outcome)
    return outcome, applied


def _request(resources: Resources, claim: Claim, sendable: Sendable) -> CreateRequest:
    wanted, public_url = sendable.wanted, resources.settings.public_url
    told = receive_url(public_url, claim.task_id, claim.attempt, resources.callback_secrets) if public_url else None
    return CreateRequest(
        prompt=wanted.prompt,
        model_id=wanted.model_id,
        generations_count=wanted.generations_count,
        model_parameters=wanted.model_parameters,
        receive_url=told,
        assets=wanted.assets,
        spool=sendable.upload,
    )


async def _store(resources: Resources, claim: Claim, sendable: Sendable, outcome: SubmitOutcome) -> Applied:
    news = News(claim.task_id, "outcome_unknown", attempt=claim.attempt, claim_id=claim.claim_id)
    match outcome:
        case Accepted(upstream_id=upstream_id, estimated_credits=credits):
            accepted = replace(news, report="accepted", upstream_id=upstream_id, estimated_credits=credits)
            return await advance(resources, accepted)
        case Refused(code=code, message=message):
            refusal = replace(news, report="refused", error_code=code or "upstream_refused", error_message=message)
            return await _fail_uncharged(resources, refusal)
        case NotAccepted():
            return await _queue_again(resources, news, sendable, outcome)
        case Unknown():
            first_s = resources.settings.unknown_search_first_s
            return await advance(resources, replace(news, next_look_s=first_s))
        case _:
            assert_never(outcome)


async def _fail_uncharged(resources: Resources, news: News) -> Applied:
    """Fail the task and let go of its request in one commit: the caller gets an error and may try again."""
    async with resources.db.transaction() as connection:
        applied = await apply_news(connection, resources, news)
        await free_key(connection, news.task_id)
        await forget_unanswered(connection, news.task_id)
    announce(resources, news, applied)
    return applied


async def _queue_again(resources: Resources, news: News, sendable: Sendable, outcome: NotAccepted) -> Applied:
    """Queue the task with its assets in one commit; nothing is ever queued without what it needs to be sent."""
    size_bytes = stored_bytes(sendable.wanted.assets)
    queued = replace(news, report="not_taken")
    wait_s = outcome.retry_after_s or SEND_AGAIN_AFTER_S
    try:
        async with resources.db.transaction() as connection:
            if not sendable.is_stored:
                await refuse_overfull_queue(connection, resources.settings, sendable.client, size_bytes)
                if sendable.upload is not None:
                    await store_assets(connection, news.task_id, sendable.wanted.assets, sendable.upload)
            applied = await apply_news(connection, resources, queued)
            # Whatever state it is in: a report may have come first, and the clean-up goes by what is said to be stored.
            values = {"id": news.task_id, "bytes": size_bytes, "wait_s": wait_s}
            await connection.execute(_SEND_LATER, values)
    except LimitReached:
        code = f"upstream_{outcome.reason}"
        failed = replace(news, report="not_taken_finally", error_code=code, error_message=outcome.message)
        return await _fail_uncharged(resources, failed)
    announce(resources, queued, applied)
    return applied


async def _mind_the_account(resources: Resources, claim: Claim, outcome: SubmitOutcome) -> None:
    """Let sending rest when the upstream says so about the account and not about the task."""
    account, database = resources.settings.upstream_account, resources.db
    if not isinstance(outcome, NotAccepted):
        if claim.was_unauthorized:
            await note_authorized(database, account)
        return
    pause_s, is_unauthorized = PAUSE_S.get(outcome.reason, 0.0), outcome.reason == "unauthorized_throttle"
    if is_unauthorized and await note_unauthorized(database, account) >= UNAUTHORIZED_IN_A_ROW:
        pause_s = DEAD_KEY_PAUSE_S
        log.error("dispatch_paused", reason="the image API keeps refusing the key", for_s=pause_s)
    elif outcome.reason == "daily_cap":
        pause_s = DAILY_CAP_PAUSE_S
        log.error("dispatch_paused", reason="the account's daily cap is reached", for_s=pause_s)
    if pause_s:
        telemetry.dispatch_pauses_total.labels(outcome.reason).inc()
        await pause_account(database, account, outcome.reason, max(pause_s, outcome.retry_after_s or 0.0))


async def stored_in_spite_of_faults(task_id: UUID, store: Callable[[], Awaitable[Applied]]) -> Applied:
    """Keep trying for some seconds to store what the paid call said: it is not to be had a second time.

    When Postgres stays away the lease runs out and the task becomes unknown, to be healed by its callback.
    """
    for pause_s in STORE_TRIES_S:
        try:
            return await store()
        except Unavailable:
            log.warning("outcome_not_stored_yet", task_id=str(task_id), retry_in_s=pause_s)
            await asyncio.sleep(pause_s)
    return await store()


_SEND_LATER = text(
    """
    UPDATE tasks SET stored_bytes = :bytes,
        send_after = CASE WHEN state = 'queued' THEN now() + make_interval(secs => :wait_s) END
    WHERE id = :id
    """
).bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
