"""Every mood of the upstream as a knob: change one with PATCH /_sandbox/moods, see them all on the start page."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from service.sandbox.knobs import (
    AnswerError,
    Bucket,
    BusyPoll,
    Chance,
    CreateCut,
    CreateError,
    Cut,
    ForgedCallback,
    IdField,
    Knob,
    NumberForm,
    TaskError,
    Throttle,
)


class ServerMoods(Knob):
    """The server as a whole."""

    seed: int = Field(1, description="seeds the one generator behind every rate; naming it in a PATCH starts it anew")
    down: Literal["no", "503", "html", "close", "reset"] = Field(
        "no", description="every API endpoint answers 503 as JSON or HTML, or ends the connection unanswered"
    )
    accept_cut: Cut = Field(
        default_factory=Cut,
        description="ends a new connection as it is accepted; whose it is cannot be known then, so control calls too",
    )
    slow_connection_s: float = Field(0.0, ge=0, description="a new connection is not read from for so long")
    health: Literal["good", "degraded", "overloaded"] = Field("good", description="what GET /v1/health-check says")


class AccountMoods(Knob):
    """Keys, money and limits."""

    throttle_401: Throttle = Field(
        default_factory=Throttle, description="a valid key gets 401 on /v1i/*, which means throttling"
    )
    no_credit_status: Literal["402", "401"] = Field("402", description="the answer when the balance is too low")
    active_task_cap: int = Field(20, ge=0, description="unfinished tasks per account, then 429; 0 = no cap")
    daily_cap_credits: int = Field(0, ge=0, description="credits charged per UTC day, then 429; 0 = no cap")
    bucket_create: Bucket = Field(default_factory=Bucket, description="a create costs 1")
    bucket_upload: Bucket = Field(default_factory=Bucket, description="each asset of a create costs 1")
    bucket_poll: Bucket = Field(default_factory=Bucket, description="a poll costs 1, a list 2")
    bucket_read: Bucket = Field(default_factory=Bucket, description="models, price, credits and health cost 1")
    bucket_command: Bucket = Field(default_factory=Bucket, description="a delete costs 1")


class CreateMoods(Knob):
    """What happens to POST /v1i/task/generate-image."""

    create_cut: CreateCut = Field(default_factory=CreateCut, description="ends the connection at one point of a create")
    create_error: CreateError = Field(default_factory=CreateError, description="an error answer to a create")
    upload_bytes_per_s: int = Field(0, ge=0, description="reads request bodies of creates this slowly; 0 = full speed")
    accept_delay_s: float = Field(0.0, ge=0, description="wait after reading, before taking and charging")
    answer_delay_s: float = Field(0.0, ge=0, description="wait after taking and charging, before answering")
    id_field: IdField = Field("task_id", description="where the create answer holds the id")
    estimated_credits_form: NumberForm = Field("number", description="estimated_credits in the create answer")
    remain_credits_form: NumberForm = Field("string", description="ec_remain_credits in the create answer")
    img_references: Literal["strict", "lenient"] = Field(
        "strict", description="strict: exactly @img1..@imgN for N assets; lenient: none beyond the assets"
    )


class ModelChange(BaseModel):
    """The fields of a model that the sandbox itself acts on; others are shown as they come."""

    model_config = ConfigDict(extra="allow")
    credits: int = Field(1, ge=0)
    max_generations: int = Field(1, ge=1)
    max_prompt_length: int | None = Field(None, ge=1)
    max_assets: int = Field(0, ge=0)
    aspect_ratios: list[str] | None = None
    resolutions: list[str] | None = None
    qualities: list[str] | None = None
    default_aspect_ratio: str | None = None
    default_resolution: str | None = None
    default_quality: str | None = None


class ReadMoods(Knob):
    """What happens to the reading calls."""

    busy_poll: BusyPoll = Field(default_factory=BusyPoll, description="busy answers to polls; live: about one in three")
    not_found_after_create_s: float = Field(0.0, ge=0, description="polls of a younger task get 404")
    not_found_after_create_polls: int = Field(0, ge=0, description="the first N polls of each task get 404")
    poll_error: AnswerError = Field(default_factory=AnswerError, description="an error answer to a poll")
    list_error: AnswerError = Field(default_factory=AnswerError, description="an error answer to a list")
    models_error: AnswerError = Field(default_factory=AnswerError, description="an error answer to the model list")
    price_error: AnswerError = Field(default_factory=AnswerError, description="an error answer to a price")
    credits_error: AnswerError = Field(default_factory=AnswerError, description="an error answer to the balance")
    delete_error: AnswerError = Field(default_factory=AnswerError, description="an error answer to a delete")
    credits_form: NumberForm = Field("number", description="credits in the answers of price and balance")
    models_patch: dict[str, dict[str, Any] | None] = Field(
        default_factory=dict,
        description="model id to changed or added fields; null takes the model away; replaces the patch before",
    )
    list_endpoint: bool = Field(True, description="GET /v1/tasks exists; false = 404")
    list_shows_receive_url: bool = Field(False, description="listed tasks carry metadata.receive_url")
    delete_endpoint: bool = Field(True, description="POST /v1/task/delete exists; false = 404")
    delete_refunds: bool = Field(True, description="deleting an unfinished task gives its credits back")
    image_forbidden_agent: str = Field("", description="pictures are 403 to user agents containing this; empty = off")
    image_ttl_s: float = Field(0.0, ge=0, description="picture URLs are 403 so long after the end; 0 = never")

    @field_validator("models_patch")
    @classmethod
    def _sellable(cls, patch: dict[str, dict[str, Any] | None]) -> dict[str, dict[str, Any] | None]:
        for change in patch.values():
            ModelChange.model_validate(change or {})
        return patch


class TaskMoods(Knob):
    """How a task runs and ends."""

    duration_form: Literal["fixed", "range", "heavy_tail"] = Field(
        "fixed", description="duration_s; between it and duration_max_s; Pareto from it, cut at duration_max_s"
    )
    duration_s: float = Field(2.0, ge=0, description="seconds, or the shortest; 0 ends at once after the answer")
    duration_max_s: float = Field(600.0, ge=0, description="the longest, for range and heavy_tail")
    duration_tail: float = Field(1.1, gt=0, description="Pareto index of heavy_tail; smaller = heavier")
    stuck: Chance = Field(default_factory=Chance, description="a task that never ends by itself")
    task_error: TaskError = Field(default_factory=TaskError, description="a task that ends in error")
    progress: Literal["number", "null"] = Field("number", description="progress of an unfinished task")
    done_word: str = Field("done", description="status of a finished task")
    error_word: str = Field("error", description="status of a failed task")
    doing_error_message: str | None = Field(None, description="error_message of unfinished tasks, which means nothing")
    metadata_while_doing: bool = Field(True, description="unfinished tasks show prompt, model and parameters")


class CallbackMoods(Knob):
    """How the end of a task is told to its receive_url."""

    callbacks: Literal["on", "held", "off"] = Field(
        "on", description="held waits for POST /_sandbox/callbacks/release; off sends none"
    )
    callback_delay_s: float = Field(0.0, ge=0, description="wait between the end and the callback")
    callback_lost: Chance = Field(default_factory=Chance, description="a callback that is never sent")
    callback_twice: Chance = Field(default_factory=Chance, description="a callback that is sent twice")
    callback_early: Chance = Field(
        default_factory=Chance, description="the task ends and calls back before its create is answered"
    )
    callback_forged: ForgedCallback = Field(
        default_factory=ForgedCallback, description="an extra, untrue callback before the true one"
    )
    callback_content_type: str = Field(
        "application/json", pattern=r"^[!-~][ -~]*$", description="content type of callbacks"
    )
    callback_padding_bytes: int = Field(
        0, ge=0, le=64 * 1024 * 1024, description="makes the body of callbacks longer by so much"
    )
    callback_timeout_s: float = Field(10.0, gt=0, description="how long an answer to a callback is waited for")


class Moods(ServerMoods, AccountMoods, CreateMoods, ReadMoods, TaskMoods, CallbackMoods):
    """All knobs. The defaults are an upstream on its best day that takes two seconds per task."""


MOOD_GROUPS: tuple[type[Knob], ...] = (
    ServerMoods,
    AccountMoods,
    CreateMoods,
    ReadMoods,
    TaskMoods,
    CallbackMoods,
)


def patched(moods: Moods, patch: dict[str, Any]) -> Moods:
    """New moods with the patch laid over; parts of a knob are merged. ValidationError names what does not exist."""
    merged: dict[str, Any] = moods.model_dump()
    for name, value in patch.items():
        current = getattr(moods, name, None)
        keeps_parts = isinstance(current, Knob) and isinstance(value, dict)
        merged[name] = {**merged[name], **value} if keeps_parts else value
    return Moods.model_validate(merged)
