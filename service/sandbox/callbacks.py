"""Tell receive_urls that their tasks ended: on time or late, never, twice, forged, or when released by hand."""

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from service.sandbox.dice import Dice
from service.sandbox.knobs import ForgedCallback
from service.sandbox.moods import Moods
from service.sandbox.task import Task, task_object

_SOCKETS = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """How one end is told; drawn when the task ends and carried out now or at release."""

    task: Task
    moods: Moods
    times: int
    forged: bool


class Callbacks:
    """The sender; `start` before use and `stop` at the end."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.held: list[Plan] = []
        self.lost = 0
        self.sent = 0
        self._sends: set[asyncio.Task[list[int | str]]] = set()
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Open the connection pool; needs the running loop."""
        connector = aiohttp.TCPConnector(limit=_SOCKETS)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def stop(self) -> None:
        """Cancel what is under way and close the pool."""
        self.cancel()
        if self._session is not None:
            await self._session.close()

    def cancel(self) -> None:
        """Forget everything held or under way."""
        self.held.clear()
        self.lost = self.sent = 0
        for send in self._sends:
            send.cancel()

    def task_ended(self, task: Task, moods: Moods) -> None:
        """Send, hold or lose the callback of a task that just ended, as the moods say."""
        plan = self.plan(task, moods)
        if plan is None:
            return
        if moods.callbacks == "held":
            self.held.append(plan)
        else:
            self.spawn(plan, moods.callback_delay_s)

    def plan(self, task: Task, moods: Moods) -> Plan | None:
        """What is to be sent for this end; None when nobody is told."""
        if not task.order.receive_url:
            return None
        if moods.callbacks == "off" or self.dice.falls(moods.callback_lost):
            self.lost += 1
            return None
        times = 2 if self.dice.falls(moods.callback_twice) else 1
        return Plan(task, moods, times, self.dice.falls(moods.callback_forged))

    def release(self, task_ids: set[str] | None) -> dict[str, asyncio.Task[list[int | str]]]:
        """Send held callbacks, all or those of some tasks; the sends under way, by task id."""
        released = [plan for plan in self.held if task_ids is None or plan.task.task_id in task_ids]
        self.held = [plan for plan in self.held if task_ids is not None and plan.task.task_id not in task_ids]
        return {plan.task.task_id: self.spawn(plan, 0.0) for plan in released}

    async def carry_out(self, plan: Plan, delay_s: float) -> list[int | str]:
        """Send what the plan says, in order; the statuses that came back, forged one not counted."""
        await asyncio.sleep(delay_s)
        task = plan.task
        truth = task_object(task, plan.moods, asyncio.get_running_loop().time())
        if plan.forged:
            await self.post(*forgery(plan.moods.callback_forged, task.order.receive_url, truth), plan.moods)
        return [await self.tell(task, truth, plan.moods) for _ in range(plan.times)]

    async def tell(self, task: Task, body: dict[str, Any], moods: Moods) -> int | str:
        """One callback of a task; its status, or what kept it from being answered, goes to the ledger."""
        if moods.callback_padding_bytes:
            body = {**body, "padding": "x" * moods.callback_padding_bytes}
        task.callbacks_sent += 1
        status = await self.post(task.order.receive_url, orjson.dumps(body), moods)
        task.callback_statuses.append(status)
        return status

    async def post(self, url: str, body: bytes, moods: Moods) -> int | str:
        """POST once, no redirects, no retry; the status, or the name of the failure."""
        if self._session is None:
            raise RuntimeError("callbacks were not started")
        self.sent += 1
        headers = {"Content-Type": moods.callback_content_type}
        timeout = aiohttp.ClientTimeout(total=moods.callback_timeout_s)
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            return type(exc).__name__

    def spawn(self, plan: Plan, delay_s: float) -> asyncio.Task[list[int | str]]:
        """Carry out a plan in the background; `cancel` ends it."""
        send = asyncio.get_running_loop().create_task(self.carry_out(plan, delay_s))
        self._sends.add(send)
        send.add_done_callback(self._sends.discard)
        return send


def forgery(knob: ForgedCallback, receive_url: str, truth: dict[str, Any]) -> tuple[str, bytes]:
    """URL and body of a callback that is not true."""
    if knob.form == "garbage":
        return receive_url, b'{"id": "' + truth["id"].encode()
    if knob.form == "wrong_token":
        changed = "a" if receive_url[-1] != "a" else "b"
        return receive_url[:-1] + changed, orjson.dumps(truth)
    if knob.form == "foreign_id":
        return receive_url, orjson.dumps({**truth, "id": uuid.uuid4().hex})
    return receive_url, orjson.dumps(_opposite(truth))


def _opposite(truth: dict[str, Any]) -> dict[str, Any]:
    if truth["error_message"] is None:
        return {**truth, "status": "error", "error_message": "forged"}
    url = "https://forged.invalid/x.png"
    image = {"id": "x", "imageUrl": url, "previewUrl": url, "mimeType": "image/png", "width": 1, "height": 1}
    metadata = {**truth["metadata"], "result_images": [image]}
    return {**truth, "status": "done", "error_message": None, "metadata": metadata}
