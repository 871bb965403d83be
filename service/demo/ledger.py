"""What the sandbox says of a task: the other side's word for "paid once" and "called back"."""

import time
from collections.abc import Mapping
from typing import Any

from service.demo.client import Client
from service.demo.ending import DemoFailed

CALLBACK_TIMEOUT_S = 10.0
POLL_S = 0.02


class Ledger:
    """The control endpoint of a sandbox; `expects_callback` unless the gateway was told to poll."""

    def __init__(self, client: Client, *, expects_callback: bool) -> None:
        self._client = client
        self._expects_callback = expects_callback

    def confirm(self, task: Mapping[str, Any], quoted_credits: float) -> str:
        """How the end of the task came to be known. Raises DemoFailed unless it was charged once, as quoted."""
        entry = self._entry(str(task["upstream_task_id"]))
        if not entry["credits"] == task["credits"] == quoted_credits:
            amounts = f"quoted {quoted_credits:g}, charged {entry['credits']:g}, recorded {task['credits']}"
            raise DemoFailed(f"task {task['id']} has differing prices: {amounts} credits")
        if not self._expects_callback:
            return "polled"
        if not entry["receive_url"]:
            raise DemoFailed(f"task {task['id']} went out without an address to call back")
        return self._called_back(entry)

    def _called_back(self, entry: Mapping[str, Any]) -> str:
        """The sandbox hears our answer to its callback a moment after the task has moved."""
        deadline_s = time.monotonic() + CALLBACK_TIMEOUT_S
        while not entry["callback_statuses"] and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
            entry = self._entry(str(entry["task_id"]))
        statuses = entry["callback_statuses"]
        if 200 not in statuses:
            raise DemoFailed(f"the callback of task {entry['task_id']} was answered with {statuses or 'nothing'}")
        return "received and answered 200"

    def _entry(self, upstream_task_id: str) -> Mapping[str, Any]:
        entries = self._client.get("/_sandbox/ledger")["creates"]
        mine = [entry for entry in entries if entry["task_id"] == upstream_task_id]
        if len(mine) != 1:
            raise DemoFailed(f"the sandbox's ledger has {len(mine)} entries for its task {upstream_task_id}")
        found: Mapping[str, Any] = mine[0]
        return found
