"""What the OpenAI surface takes and gives, as shapes: the document and the checks of each value come from here."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Header, Query
from pydantic import BaseModel, ConfigDict, Field

from service.web.body import StorableText

MAX_MODEL_LENGTH = 200
MAX_USER_LENGTH = 512

_WHO = "Who of your users asked; kept in the task's metadata."
_SIZE = "`auto`, or `WIDTHxHEIGHT` in pixels: the model's nearest ratio, and the smallest resolution that holds it."
_QUALITY = "`auto`, or a step: the model's nearest quality. `standard` and `hd` are `medium` and `high`."


class ImageFields(BaseModel):
    """A request for pictures, as OpenAI's libraries send it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: StorableText = Field(description="What to show.")
    model: StorableText | None = Field(
        default=None, max_length=MAX_MODEL_LENGTH, description="An id from `/openai/v1/models`; it has to be named."
    )
    n: int | None = Field(default=None, ge=1, le=10, description="How many pictures; each model has its own limit.")
    size: StorableText | None = Field(default=None, description=_SIZE)
    quality: StorableText | None = Field(default=None, description=_QUALITY)
    response_format: Literal["url", "b64_json"] | None = Field(
        default=None, description="`url`, `b64_json`, or, left out, both: old and new code reads different ones."
    )
    stream: bool | None = Field(default=None, description="Answer with events; comments keep the connection alive.")
    partial_images: int | None = Field(
        default=None, ge=0, le=3, description="At most so many previews; the image API has none, so there come none."
    )
    background: Literal["auto", "opaque"] | None = Field(default=None, description="No model here draws transparency.")
    output_format: Literal["png"] | None = Field(default=None, description="The answer tells what the pictures are.")
    output_compression: Literal[100] | None = Field(default=None, description="Pictures are given as they were made.")
    user: StorableText | None = Field(default=None, max_length=MAX_USER_LENGTH, description=_WHO)
    safety_identifier: StorableText | None = Field(default=None, max_length=MAX_USER_LENGTH, description=_WHO)


class GenerationFields(ImageFields):
    """A request for pictures from words."""

    moderation: Literal["auto"] | None = Field(default=None, description="The image API's own; it cannot be set.")
    style: Literal["vivid"] | None = Field(default=None, description="Describe any other style in the prompt.")


class EditFields(ImageFields):
    """A request for pictures from words and pictures."""

    input_fidelity: Literal["low"] | None = Field(default=None, description="The models have no such choice.")


class NoParameters(BaseModel):
    """The endpoint takes no query parameter."""

    model_config = ConfigDict(extra="forbid")


Nothing = Annotated[NoParameters, Query()]


class LibraryFields(BaseModel):
    """What a client library says about itself, and a key for those who set one."""

    idempotency_key: str | None = Field(
        default=None,
        description="A value of your own: the same one with the same request joins its task for a day, however often. "
        "The libraries send none by themselves, and need none for their own retries.",
    )

    x_stainless_retry_count: str | None = Field(
        default=None, description="How often the library has sent this request before; a repetition joins its task."
    )
    x_stainless_read_timeout: str | None = Field(
        default=None, description="Seconds after which the library gives up; it is answered before."
    )
    x_stainless_timeout: str | None = Field(default=None, description="The same, from the Node library.")


LibraryHeaders = Annotated[LibraryFields, Header()]


class Picture(BaseModel):
    """One picture."""

    url: str | None = Field(default=None, description="Where the picture lies; absent with `b64_json` alone.")
    b64_json: str | None = Field(default=None, description="The picture itself in base64; absent with `url` alone.")


class Pictures(BaseModel):
    """The pictures of a task that has succeeded."""

    created: int = Field(description="When the task ended, in seconds since 1970.")
    size: str | None = Field(description="`WIDTHxHEIGHT` of the first picture, if the image API names it.")
    quality: str | None = Field(description="The quality that was chosen; null where the model has no choice.")
    output_format: str | None = Field(description="What the first picture is: `png`, `jpeg`, `webp` …")
    model: str
    model_parameters: dict[str, Any] = Field(description="What `size` and `quality` came to for this model.")
    credits: float | None = Field(description="What it cost; null when that is not known.")
    task_id: UUID = Field(description="The task behind it, also under `/api/v1/tasks`.")
    data: list[Picture]


class Model(BaseModel):
    """An image model, with what it takes; a list that is null means that it takes no such parameter."""

    id: str
    object: Literal["model"]
    created: int = Field(description="Always 0: the image API does not tell.")
    owned_by: str
    max_generations: int | None
    max_prompt_length: int | None
    aspect_ratios: list[str] | None
    resolutions: list[str] | None
    qualities: list[str] | None
    supports_images: bool
    max_assets: int | None


class Models(BaseModel):
    """Every image model on sale."""

    object: Literal["list"]
    data: list[Model]


class Failure(BaseModel):
    """What went wrong; `message` is for people."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(description="What happened and what to do.")
    type: str = Field(description="The class of error, in OpenAI's words.")
    code: str | None = Field(description="The kind of error as a word for programs.")
    param: str | None = Field(description="The first wrong field.")
    task_id: UUID | None = Field(default=None, description="The task that was made all the same; absent without one.")


class Envelope(BaseModel):
    """Every error of these endpoints."""

    model_config = ConfigDict(extra="forbid")

    error: Failure
