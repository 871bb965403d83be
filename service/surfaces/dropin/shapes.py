"""What the drop-in surface takes and gives, as shapes: as lenient as the image API, but what is wrong is named."""

import re
from typing import Annotated, Any, Literal

from fastapi import Header
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from service.web.body import StorableObject, StorableText

MAX_ID_LENGTH = 200
MAX_DELETED = 100
MAX_URL_LENGTH = 2048
MAX_PAGE_NUMBER = 1_000_000
_DIGITS = re.compile(r"\s*-?[0-9]{1,19}\s*")


class Lenient(BaseModel):
    """A request's shape: keys that nothing reads are passed over, as the image API does."""

    model_config = ConfigDict(extra="ignore", strict=True)


def _number(value: object) -> object:
    """The number that a text spells, as forms have to send it; anything else as it is."""
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


Whole = Annotated[int, BeforeValidator(_number, json_schema_input_type=int | str)]
Flat = Annotated[StorableText | None, Field(description="As in `model_parameters`, which goes before it.")]


class PricedFields(Lenient):
    """What the price of a request depends on, its parameters in an object, at top level, or both."""

    model_id: Annotated[StorableText, Field(min_length=1, max_length=MAX_ID_LENGTH, description="From the model list.")]
    generations_count: Whole = Field(default=1, description="How many images; a number or its digits.")
    model_parameters: StorableObject | StorableText | None = Field(
        default=None, description="An object, or its JSON in a string: aspect_ratio, resolution, quality, seed."
    )
    aspect_ratio: Flat = None
    resolution: Flat = None
    quality: Flat = None
    seed: Whole | None = Field(default=None, description="As in `model_parameters`, which goes before it.")


class PriceFields(PricedFields):
    """A request to be priced."""

    assets: int = Field(default=0, ge=0, le=10_000, description="How many reference images will be sent.")


class CreateFields(PricedFields):
    """A request for images."""

    prompt: StorableText = Field(
        description="What to show. Name every file sent as `@img1`, `@img2` … in the order of the `assets`."
    )
    receive_url: Annotated[StorableText, Field(max_length=MAX_URL_LENGTH)] | None = Field(
        default=None, description="Gets the task object by POST when the task has ended, signed and with retries."
    )


class DeleteFields(Lenient):
    """Tasks to take back."""

    task_ids: Annotated[list[str], Field(max_length=MAX_DELETED)] = Field(description="Ids from creates.")


class CreateHeaders(BaseModel):
    """The headers of a request for images."""

    idempotency_key: str | None = Field(
        default=None,
        description="Optional: the same value with the same request joins the task that the first one made, whatever "
        "became of its answer.",
    )


KeyHeader = Annotated[CreateHeaders, Header()]


class ListParameters(BaseModel):
    """Which tasks, and which page of them."""

    model_config = ConfigDict(extra="ignore")

    type: str = Field(default="imagen2", description="`imagen2` are images; there is nothing under any other word.")
    page: int = Field(default=1, ge=1, le=MAX_PAGE_NUMBER, description="From 1.")
    limit: int = Field(default=20, ge=1, le=100, description="Tasks on a page.")


class Models(BaseModel):
    """The image API's own list."""

    success: Literal[True]
    models: list[dict[str, Any]]


class Price(BaseModel):
    """The exact charge of a request."""

    success: Literal[True]
    credits: float


class Created(BaseModel):
    """A task that is kept and will end; it may still wait for its turn."""

    success: Literal[True]
    task_id: str
    estimated_credits: float = Field(description="What it costs; 0 while the image API does not say.")
    ec_remain_credits: str = Field(description="What is left on the account.")


class ResultImage(BaseModel):
    """A finished image; sizes are in pixels."""

    id: str | None
    image_url: str = Field(alias="imageUrl")
    preview_url: str | None = Field(alias="previewUrl")
    mime_type: str | None = Field(alias="mimeType")
    width: int | None
    height: int | None


class Metadata(BaseModel):
    """What was asked for, and the images as soon as there are any."""

    prompt: str
    model_id: str = Field(alias="modelId")
    generations_count: int = Field(alias="generationsCount")
    model_parameters: dict[str, Any] = Field(alias="modelParameters")
    provider_credit_cost: float = Field(alias="providerCreditCost", description="As `credit_cost`; do not go by it.")
    result_images: list[ResultImage] = []
    audio_url: str | None = Field(default=None, description="The first image's URL.")


class Task(BaseModel):
    """A task in the image API's form, under the gateway's id."""

    id: str
    created_at: str
    updated_at: str
    type: Literal["imagen2"]
    status: Literal["doing", "done", "error"]
    progress: int | None
    credit_cost: float
    error_message: str | None
    metadata: Metadata


class FullTask(Task):
    """The task with its prompt once more."""

    text: str
    text_length: int
    text_truncated: Literal[False]


class WrappedTask(BaseModel):
    """The task inside `data`."""

    success: Literal[True]
    data: Task


class TaskPage(BaseModel):
    """A page of the caller's tasks, newest first."""

    success: Literal[True]
    data: list[Task]
    page: int
    limit: int
    total: int


class Deleted(BaseModel):
    """What came back for the tasks that were taken back."""

    success: Literal[True]
    refunded_credits: float


class Credits(BaseModel):
    """The account's balance."""

    success: Literal[True]
    credits: float


class ProviderHealth(BaseModel):
    """One word for each provider behind the image API."""

    success: Literal[True]
    data: dict[str, str]
