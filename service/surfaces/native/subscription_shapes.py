"""What the native API takes and gives about subscriptions, as shapes."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from service.subscribers.event_types import EventType
from service.surfaces.native.shapes import Strict
from service.web.body import StorableText


class SubscriptionFields(Strict):
    """Where to send events, and which."""

    url: StorableText = Field(description="An http or https address that the operator's allow-list admits.")
    event_types: list[EventType] | None = Field(
        default=None, min_length=1, description="Which events; by default all that end a task."
    )
    description: StorableText = Field(default="", max_length=500, description="For people.")


class Subscription(BaseModel):
    """Where a client's events go."""

    id: UUID
    url: str
    event_types: list[EventType]
    state: Literal["active", "disabled"]
    inline: bool = Field(description="Whether a request's `callback_url` made it.")
    description: str
    created_at: datetime


class CreatedSubscription(Subscription):
    """The new subscription with its secret, which is shown this once."""

    secret: str = Field(description="`whsec_…`; verify signatures with it as Standard Webhooks describes.")


class SubscriptionItems(BaseModel):
    """A page of subscriptions, newest first."""

    items: list[Subscription]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")
