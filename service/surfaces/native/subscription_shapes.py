"""What the native API takes and gives about subscriptions, as shapes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from service.subscribers.event_types import EventType
from service.subscribers.store import Format, State
from service.surfaces.native.shapes import MAX_ID_LENGTH, ModelId, PageParameters, SmallObject, Strict
from service.web.body import StorableText

MAX_FILTER_VALUES = 100
MAX_ROTATION_GRACE_S = 604_800

Reference = Annotated[StorableText, Field(min_length=1, max_length=MAX_ID_LENGTH)]
ModelIds = Annotated[list[ModelId], Field(min_length=1, max_length=MAX_FILTER_VALUES)]
References = Annotated[list[Reference], Field(min_length=1, max_length=MAX_FILTER_VALUES)]
EventTypes = Annotated[list[EventType], Field(min_length=1)]

_URL = "An http or https address that the operator's allow-list admits."
_EVENT_TYPES = (
    "Which events; by default all that end a task. With the format `upstream` only `task.succeeded`, `task.failed` and "
    "`task.canceled`, which is then the default."
)
_FILTER = "Only events of tasks that all of its members fit; without one, of every task."
_MODEL_ID = "The task is for one of these image models."
_CLIENT_REFERENCE = "The task has one of these references."
_METADATA = "The task's metadata contains this object: its members with these values, among others."
_FORMAT = (
    "`standard`: the event with the task as this API shows it. `upstream`: the bare task object of the image API, for "
    "code that reads that already. Both are signed."
)
_TIMEOUT_S = "Longest wait for an answer, in seconds; null: as the operator has set it."
_MAX_IN_FLIGHT = "Most notifications under way at once; null, and at most: as the operator has set it."
_RATE_PER_S = "Most notifications a second, on average; null: without a limit."


class SubscriptionFilter(Strict):
    """Which tasks; a task has to fit every member that is there."""

    model_id: ModelIds | None = Field(default=None, description=_MODEL_ID)
    client_reference: References | None = Field(default=None, description=_CLIENT_REFERENCE)
    metadata: SmallObject | None = Field(default=None, description=_METADATA)


class SubscriptionFields(Strict):
    """Where to send events, and which."""

    url: StorableText = Field(description=_URL)
    event_types: EventTypes | None = Field(default=None, description=_EVENT_TYPES)
    filter: SubscriptionFilter | None = Field(default=None, description=_FILTER)
    format: Format = Field(default="standard", description=_FORMAT)
    description: StorableText = Field(default="", max_length=500, description="For people.")
    timeout_s: float | None = Field(default=None, ge=1, le=30, description=_TIMEOUT_S)
    max_in_flight: int | None = Field(default=None, ge=1, le=10_000, description=_MAX_IN_FLIGHT)
    rate_per_s: float | None = Field(default=None, gt=0, le=10_000, description=_RATE_PER_S)


class SubscriptionChanges(Strict):
    """What is to change: members that are left out stay as they are, null sets one back (RFC 7396)."""

    url: StorableText = Field(default_factory=str, description=_URL)
    event_types: EventTypes | None = Field(default=None, description=_EVENT_TYPES)
    filter: SubscriptionFilter | None = Field(
        default=None, description=f"{_FILTER} Its members change one by one too; null takes the whole filter away."
    )
    description: StorableText | None = Field(default=None, max_length=500, description="For people.")
    timeout_s: float | None = Field(default=None, ge=1, le=30, description=_TIMEOUT_S)
    max_in_flight: int | None = Field(default=None, ge=1, le=10_000, description=_MAX_IN_FLIGHT)
    rate_per_s: float | None = Field(default=None, gt=0, le=10_000, description=_RATE_PER_S)
    state: Literal["active", "paused"] = Field(
        default_factory=lambda: "active",
        description="`paused`: events are kept and wait. `active`: they go out, also after it was disabled.",
    )


class Subscription(BaseModel):
    """Where a client's events go."""

    id: UUID
    url: str
    event_types: list[EventType]
    filter: Mapping[str, Any] | None = Field(description="Which tasks; null: all.")
    format: Format
    inline: bool = Field(description="Whether a request's `callback_url` made it.")
    state: State = Field(description="`disabled`: nothing is kept for it until it is set `active` again.")
    disabled_reason: Literal["gone", "failing"] | None = Field(
        description="`gone`: it answered 410. `failing`: it only failed for days."
    )
    description: str
    timeout_s: float | None
    max_in_flight: int | None
    rate_per_s: float | None
    failures_in_row: int = Field(description="Attempts that failed since one succeeded.")
    failing_since: datetime | None = Field(description="When the first of them failed.")
    rests_until: datetime | None = Field(description="After many failures: no attempt before then.")
    rotating_until: datetime | None = Field(description="Until then two secrets sign.")
    created_at: datetime
    updated_at: datetime


class SubscriptionWithSecret(Subscription):
    """The subscription with its newest secret, which is shown this once."""

    secret: str = Field(description="`whsec_…`; verify signatures with it as Standard Webhooks describes.")


class SubscriptionItems(BaseModel):
    """A page of subscriptions, newest first."""

    items: list[Subscription]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class SubscriptionParameters(PageParameters):
    """What to list."""

    state: State | None = Field(default=None, description="Only subscriptions in this state.")


class RotationFields(Strict):
    """How long the old secret signs beside the new one."""

    grace_s: int = Field(
        default=86_400,
        ge=0,
        le=MAX_ROTATION_GRACE_S,
        description="So long, in seconds; 0 ends the old one at once, as is right when it has leaked.",
    )
    keep: Literal["current", "previous"] | None = Field(
        default=None,
        description="Needed while two secrets sign already: which of them goes on beside the new one. `previous` if "
        "nobody has the current one, say because the answer that showed it was lost.",
    )


class PingRequest(BaseModel):
    """What was posted; the connection adds `Host` and `Content-Length`."""

    url: str
    headers: dict[str, str]
    body: str = Field(description="The exact text that is signed.")


class Ping(BaseModel):
    """A `ping` and what came of it."""

    delivered: bool = Field(description="Whether the answer was a 2xx.")
    request: PingRequest
    status: int | None = Field(description="The answer's status; null when there was none.")
    answer: str = Field(description="The first 4 KiB of the answer's body, as text.")
    error_class: Literal["guard", "dns", "connect", "tls", "timeout", "http", "internal"] | None = Field(
        description="The stage at which it failed; null when it was delivered."
    )
    error: str | None
    duration_ms: int
