"""The kinds of event that a client can subscribe to."""

from typing import Literal, get_args

EventType = Literal[
    "task.queued",
    "task.processing",
    "task.succeeded",
    "task.failed",
    "task.canceled",
    "task.result_late",
    "subscription.disabled",
]

EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)

# What a subscription gets unless it asks for something else, and what a request's callback_url always gets.
TERMINAL_EVENT_TYPES: tuple[EventType, ...] = ("task.succeeded", "task.failed", "task.canceled", "task.result_late")

# What the image API itself would report: a subscription in its own form gets no more.
ENDED_EVENT_TYPES: tuple[EventType, ...] = ("task.succeeded", "task.failed", "task.canceled")
