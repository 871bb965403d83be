"""What the sandbox says of a task: the other side's word for "paid once" and "called back"."""

import time
from collections.abc import Mapping
from typing import Any

from service.demo.client import Client
from service.demo.ending import DemoFailed

CALLBACK_TIMEOUT_S = 10.0
POLL_S = 0.02


class Ledger:
    """The control endpoint of a sandbox."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def confirm(self, task: Mapping[str, Any], quoted_credits: float) -> str:
        """How the end of the task came to be known. Raises DemoFailed unless it was charged once, as quoted."""
        entry = self._only_entry(task)
        if not entry["credits"] == task["credits"] == quoted_credits:
            amounts = f"quoted {quoted_credits:g}, charged {entry['credits']:g}, recorded {task['credits']}"
            raise DemoFailed(f"task {task['id']} has differing prices: {amounts} credits")
        if not entry["callbacks_sent"]:
            return "none was sent, polled instead"
        return self._called_back(task, entry)

    def _called_back(self, task: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
        """The sandbox hears our answer to its callback a moment after the task has moved."""
        deadline_s = time.monotonic() + CALLBACK_TIMEOUT_S
        while not entry["callback_statuses"] and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
            entry = self._only_entry(task)
        statuses = entry["callback_statuses"]
        if 200 not in statuses:
            raise DemoFailed(f"the callback of task {task['id']} was answered with {statuses or 'nothing'}")
        return "received and answered 200"

    def _only_entry(self, task: Mapping[str, Any]) -> Mapping[str, Any]:
        """The one create of this task; every create names our task in the address to call back."""
        entries: list[dict[str, Any]] = self._client.get("/_sandbox/ledger")["creates"]
        mine = [each for each in entries if each["task_id"] == task["upstream_task_id"] or _calls_back(each, task)]
        if len(mine) != 1:
            raise DemoFailed(f"the sandbox has charged {len(mine)} times for task {task['id']}")
        return mine[0]


def _calls_back(entry: Mapping[str, Any], task: Mapping[str, Any]) -> bool:
    return str(task["id"]) in (entry["receive_url"] or "")
