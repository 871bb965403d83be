"""What the native API takes and gives, as shapes: the OpenAPI document and the checks of each value come from here."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Header, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from service.tasks.schemas import Task
from service.tasks.state import State
from service.web.body import StorableObject, StorableText

MAX_ID_LENGTH = 200
MAX_METADATA_BYTES = 16 * 1024
MAX_PAGE = 100
_DATE_AND_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")


def _small(value: dict[str, Any]) -> dict[str, Any]:
    if len(orjson.dumps(value)) > MAX_METADATA_BYTES:
        raise PydanticCustomError("too_large", "must have at most {most} bytes as JSON", {"most": MAX_METADATA_BYTES})
    return value


SmallObject = Annotated[StorableObject, AfterValidator(_small)]


class Strict(BaseModel):
    """A request's shape: no unknown names, no value of another type turned into the right one."""

    model_config = ConfigDict(extra="forbid", strict=True)


ModelId = Annotated[StorableText, Field(min_length=1, max_length=MAX_ID_LENGTH, description="An id from `/models`.")]
Count = Annotated[int, Field(description="How many images; each model has its own limit.")]
Parameters = Annotated[
    StorableObject,
    Field(description="`aspect_ratio`, `resolution`, `quality` as the model lists them, and `seed`; each optional."),
]


class QuoteFields(Strict):
    """A request to be priced."""

    model_id: ModelId
    generations_count: Count = 1
    model_parameters: Parameters = {}
    asset_count: int = Field(default=0, ge=0, le=10_000, description="How many reference images will be sent.")


class TaskFields(Strict):
    """A request for images."""

    prompt: StorableText = Field(
        description="What to show. Name every file sent as `@img1`, `@img2` … in the order of the `assets`."
    )
    model_id: ModelId
    generations_count: Count = 1
    model_parameters: Parameters = {}
    client_reference: StorableText | None = Field(
        default=None, min_length=1, max_length=MAX_ID_LENGTH, description="Your own id; tasks can be listed by it."
    )
    metadata: SmallObject = Field(
        default={}, description="A JSON object of yours, 16 KiB at most; it is kept and given back."
    )
    callback_url: StorableText | None = Field(
        default=None, description="Where to POST the task when it ends. It becomes an inline subscription."
    )
    max_credits: float | None = Field(
        default=None,
        ge=0,
        le=1e12,
        description="Refuse it with a 402 when it would cost more.",
    )
    deadline_s: float | None = Field(
        default=None,
        ge=1,
        le=1e9,
        description="Fail the task when it has no end so many seconds from now. What was sent is charged even so.",
    )
    priority: Literal["normal", "low"] = Field(
        default="normal", description="`low` waits while anything else does, when tasks have to wait for a slot."
    )
    validate_only: bool = Field(
        default=False, description="Check the request and ask for its price; store nothing, send nothing, pay nothing."
    )


class NoParameters(BaseModel):
    """The endpoint takes no query parameter."""

    model_config = ConfigDict(extra="forbid")


class WaitParameters(NoParameters):
    """How long to wait for news."""

    wait: float = Field(
        default=0,
        ge=0,
        le=60,
        allow_inf_nan=False,
        description="Seconds to hold the request open: until the task ends or, with `If-None-Match`, until it moves on "
        "from that version.",
    )


def _within_years(moment: datetime) -> datetime:
    # Moments at the ends of the calendar leave it when they are turned to UTC.
    if not 1970 <= moment.year < 9999:
        raise PydanticCustomError("moment_out_of_range", "must lie between the years 1970 and 9998")
    return moment


def _written_out(moment: object) -> object:
    # Left to itself the parser also reads "0.5" as half a second after 1970.
    if isinstance(moment, str) and not _DATE_AND_TIME.match(moment):
        raise PydanticCustomError("moment_format", "must be a date and time such as 2026-11-22T09:30:00Z")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_within_years), BeforeValidator(_written_out)]


class PageParameters(NoParameters):
    """Which page, and how long."""

    cursor: str | None = Field(default=None, description="`next_cursor` of the page before.")
    limit: int = Field(default=20, ge=1, le=MAX_PAGE, description="Items on a page.")


class TaskParameters(PageParameters):
    """What to list."""

    state: State | None = Field(default=None, description="Only tasks in this state.")
    model_id: StorableText | None = Field(default=None, description="Only tasks for this image model.")
    created_after: Moment | None = Field(default=None, description="Only later ones; with an offset, such as `Z`.")
    created_before: Moment | None = Field(default=None, description="Only earlier ones; with an offset.")
    client_reference: StorableText | None = Field(default=None, description="Only tasks with your own id.")


Nothing = Annotated[NoParameters, Query()]


class CreateFields(BaseModel):
    """The headers of a request for images."""

    prefer: str | None = Field(
        default=None, description="`wait=N`: hold the answer up to N seconds for the task to end."
    )
    idempotency_key: str | None = Field(
        default=None,
        description="A value of your own, new for every new request. The same one with the same request joins the task "
        "that the first made, whatever became of its answer. Kept for a day, and a day beyond the task's end.",
    )


CreateHeaders = Annotated[CreateFields, Header()]


class ImageModel(BaseModel):
    """An image model; a list that is null means that the model takes no such parameter."""

    model_id: str
    max_generations: int | None
    max_prompt_length: int | None = Field(description="Characters.")
    aspect_ratios: list[str] | None
    default_aspect_ratio: str | None
    resolutions: list[str] | None
    default_resolution: str | None
    qualities: list[str] | None
    default_quality: str | None
    eta_seconds: float | None
    supports_images: bool
    requires_reference_images: bool
    supports_enhance_prompt: bool
    supports_negative_prompt: bool
    max_assets: int | None


class ModelItems(BaseModel):
    """Every image model on sale."""

    items: list[ImageModel]


class Quote(BaseModel):
    """What the request would cost now."""

    credits: float = Field(description="The exact charge of the whole request.")
    model_id: str
    generations_count: int
    model_parameters: dict[str, Any]
    asset_count: int
    priced_at: datetime


class ValidRequest(Quote):
    """What `validate_only` finds: the request would be taken, and would cost this now."""

    valid: Literal[True]


class Callback(BaseModel):
    """The inline subscription behind `callback_url`."""

    subscription_id: UUID
    secret: str | None = Field(
        description="Signs the notifications (Standard Webhooks). Shown once, to the first task with this address."
    )


class QueuePlace(BaseModel):
    """Where a waiting task stands; it moves without a new version of the task."""

    position: int = Field(description="1 is next.")
    estimated_start_s: float | None = Field(description="Seconds from now, from measured durations; a guess.")


class FollowedTask(Task):
    """The task, and its place in the queue while it waits."""

    queue: QueuePlace | None = Field(default=None, description="Only while the task is `queued`.")


class AcceptedTask(Task):
    """The new task, and with a `callback_url` the subscription that serves it."""

    callback: Callback | None = Field(default=None, description="Only with a `callback_url`.")


class TaskItems(BaseModel):
    """A page of tasks, newest first."""

    items: list[Task]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")
