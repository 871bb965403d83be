"""Server-sent events as a client reads them, from a stream that may still be open."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class StreamEvent:
    """One event of a stream; `id` is what the client sends as Last-Event-ID when it comes back."""

    id: str = ""
    type: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads("\n".join(self.lines)))


def read_events(lines: Iterable[str]) -> Iterator[StreamEvent]:
    """Each event as soon as the empty line after it is read; comments and `retry` are passed over."""
    event = StreamEvent()
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and event.lines:
            yield event
            event = StreamEvent()
        elif name == "id":
            event.id = value
        elif name == "event":
            event.type = value
        elif name == "data":
            event.lines.append(value)


def followed(client: httpx.Client, task_id: str, last_event_id: str | None = None) -> list[StreamEvent]:
    """All events until the gateway ends the stream."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    with client.stream("GET", f"/api/v1/tasks/{task_id}/events", headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        return list(read_events(answer.iter_lines()))
