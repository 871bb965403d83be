"""What the native API takes and gives about deliveries, as shapes."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from service.subscribers.event_types import EventType
from service.surfaces.native.shapes import Moment, PageParameters

EventId = Annotated[
    str, Field(pattern="^evt_[0-9a-f]{32}$", description="The event's id: the `webhook-id` of its notifications.")
]


class DeliveryParameters(PageParameters):
    """What to list."""

    subscription_id: UUID | None = Field(default=None, description="Only deliveries to this subscription.")
    event_id: EventId | None = Field(default=None, description="Only deliveries of this event: the `webhook-id`.")
    task_id: UUID | None = Field(default=None, description="Only deliveries about this task.")
    event_type: EventType | None = Field(default=None, description="Only deliveries of this kind of event.")
    state: Literal["pending", "delivered", "dead"] | None = Field(
        default=None, description="Only deliveries in this state; `pending` is all that is undone."
    )
    created_after: Moment | None = Field(default=None, description="Only later ones; with an offset, such as `Z`.")
    created_before: Moment | None = Field(default=None, description="Only earlier ones; with an offset.")


class Delivery(BaseModel):
    """One event on its way to one subscription, or at its end."""

    id: UUID
    subscription_id: UUID
    event_id: EventId
    event_type: str | None = Field(description="Null once the event itself is not kept any more.")
    task_id: UUID | None = Field(description="Null where the event is about no task.")
    state: Literal["pending", "sending", "delivered", "dead"] = Field(
        description="`pending`: it waits for its next attempt. `dead`: it will not be tried again by itself."
    )
    attempts: int = Field(description="How often it was begun.")
    next_attempt_at: datetime | None = Field(
        description="Not before; later while the subscription is paused, rests after failures, or is busy."
    )
    created_at: datetime
    ended_at: datetime | None


class DeliveryItems(BaseModel):
    """A page of deliveries, newest first."""

    items: list[Delivery]
    next_cursor: str | None = Field(
        description="Send it as `cursor` for the next page; null on the last. A page may have fewer items than asked "
        "for, or none, and a next one all the same, when what is wanted is rare."
    )


class Attempt(BaseModel):
    """One try to deliver."""

    number: int = Field(description="1 is the first.")
    started_at: datetime
    duration_ms: int
    status: int | None = Field(description="What the subscriber answered, if it did.")
    error_class: str | None = Field(
        description="Null when it was delivered; else where it failed: `guard`, `dns`, `connect`, `tls`, `timeout`, "
        "`http`, or `internal`."
    )
    error: str | None
    answer: str | None = Field(description="The beginning of the subscriber's answer, at most 4 KiB.")


class AttemptItems(BaseModel):
    """The attempts of one delivery, the first one first."""

    items: list[Attempt]
