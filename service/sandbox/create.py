"""POST /v1i/task/generate-image: the paid call, with every point at which it may go wrong."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from service.sandbox.connection import HalfAnswer, NoAnswer, Silence
from service.sandbox.form import Submission, read_submission
from service.sandbox.gate import json_response
from service.sandbox.knobs import CutPoint, NumberForm
from service.sandbox.moods import Moods
from service.sandbox.refusals import HangUp, refusal_of
from service.sandbox.task import Order, Task
from service.sandbox.upstream import Upstream
from service.sandbox.validate import order_of


async def create_task(upstream: Upstream, request: Request) -> Response:
    """Read, check, take and charge, answer; the moods may end it after each of these."""
    cut = _chosen_cut(upstream)
    _cut_at("after_headers", cut, upstream)
    before_reset = upstream.tasks
    submission = await _submission(upstream, request, cut)
    _cut_at("read_not_accepted", cut, upstream)
    error = upstream.moods.create_error
    fails = upstream.dice.falls(error)
    if fails and error.when == "before":
        raise refusal_of(error)
    order = await _checked_order(upstream, submission)
    if upstream.tasks is not before_reset:
        raise HangUp("close", "reset")
    task = await _take(upstream, order, _base_url(upstream, request))
    if fails:
        raise refusal_of(error)
    return await _answer(upstream, task, cut)


def _chosen_cut(upstream: Upstream) -> CutPoint | None:
    knob = upstream.moods.create_cut
    # The first byte has passed: that cut is the connection's business.
    return knob.at if knob.at != "first_byte" and upstream.dice.falls(knob) else None


def _cut_at(point: CutPoint, cut: CutPoint | None, upstream: Upstream) -> None:
    if cut == point:
        raise HangUp(upstream.moods.create_cut.how, f"cut_{point}")


async def _submission(upstream: Upstream, request: Request, cut: CutPoint | None) -> Submission:
    content_type = request.headers.get("content-type", "")
    submission = await read_submission(content_type, _body(upstream, request, cut))
    upstream.counts.ignored_fields.update(submission.ignored)
    return submission


async def _body(upstream: Upstream, request: Request, cut: CutPoint | None) -> AsyncIterator[bytes]:
    declared_bytes = request.headers.get("content-length", "")
    half_bytes = int(declared_bytes) // 2 if declared_bytes.isdecimal() else 0
    read_bytes = 0
    async for chunk in request.stream():
        read_bytes += len(chunk)
        if cut == "mid_body" and read_bytes >= half_bytes:
            _cut_at("mid_body", cut, upstream)
        if upstream.moods.upload_bytes_per_s and chunk:
            await upstream.wait(len(chunk) / upstream.moods.upload_bytes_per_s)
        yield chunk


async def _checked_order(upstream: Upstream, submission: Submission) -> Order:
    lenient = upstream.moods.img_references == "lenient"
    order = order_of(submission, upstream.catalogue, lenient)
    upstream.charge_bucket("upload", len(order.assets))
    await upstream.wait(upstream.moods.accept_delay_s)
    return order


async def _take(upstream: Upstream, order: Order, base_url: str) -> Task:
    task = upstream.tasks.accept(order, base_url, upstream.moods)
    if upstream.dice.falls(upstream.moods.callback_early):
        await _call_back_early(upstream, task)
    else:
        upstream.tasks.start(task, upstream.moods)
    return task


async def _call_back_early(upstream: Upstream, task: Task) -> None:
    """End the task and have its callback answered while the create still waits for its own answer."""
    upstream.tasks.end_by_fate(task, upstream.moods)
    plan = upstream.callbacks.plan(task, upstream.moods)
    if plan is not None:
        # A reset may cancel the send, which is not the end of this request.
        await asyncio.wait({upstream.callbacks.spawn(plan, 0.0)})


async def _answer(upstream: Upstream, task: Task, cut: CutPoint | None) -> Response:
    how = upstream.moods.create_cut.how
    if cut is not None:
        upstream.counts.refused[f"cut_{cut}_after_charge"] += 1
    match cut:
        case "accepted":
            return NoAnswer(how)
        case "never_answer":
            return Silence()
    await upstream.wait(upstream.moods.answer_delay_s)
    body = create_body(task, upstream.moods, upstream.account.balance)
    return HalfAnswer(orjson.dumps(body), how) if cut == "half_answer" else json_response(body)


def create_body(task: Task, moods: Moods, balance: int) -> dict[str, Any]:
    """The create answer, with the id and the credits in the forms that the moods name."""
    body: dict[str, Any] = {"success": True}
    outer, _, inner = moods.id_field.partition(".")
    if inner:
        body[outer] = {inner: task.task_id}
    elif outer != "none":
        body[outer] = task.task_id
    body |= in_form("estimated_credits", task.order.credits, moods.estimated_credits_form)
    return body | in_form("ec_remain_credits", balance, moods.remain_credits_form)


def in_form(name: str, number: int, form: NumberForm) -> dict[str, int | str]:
    """A number under its name as a number or a string, or nothing at all."""
    if form == "missing":
        return {}
    return {name: number if form == "number" else str(number)}


def _base_url(upstream: Upstream, request: Request) -> str:
    return upstream.settings.public_url or f"{request.url.scheme}://{request.headers.get('host', '127.0.0.1')}"
