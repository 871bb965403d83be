"""The image API's JSON, read leniently into our words: tasks, credits, prices and the answer to a create."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from service.upstream.error_body import ErrorBody, read_error, read_retry_after
from service.upstream.image_models import ImageModel, read_models
from service.upstream.reading import decimal, first, identifier, integer, mapping, parse_json, sequence, text

__all__ = [
    "CreatedBody", "ErrorBody", "ImageModel", "ListedTask", "ResultImage", "TaskPage", "TaskReport", "read_created",
    "read_credits", "read_error", "read_health", "read_models", "read_price", "read_refund", "read_retry_after",
    "read_task", "read_task_page",
]  # fmt: skip

Phase = Literal["running", "done", "failed"]

MAX_IMAGES = 64
_ID_NAMES = ("task_id", "taskId", "id")
_DONE = frozenset({"done", "success", "succeeded", "complete", "completed", "finished", "ready"})
_FAILED = frozenset(
    {"error", "fail", "failed", "failure", "cancelled", "canceled", "rejected", "expired", "timeout", "timed_out"}
)
_TASK_MARKS = ("type", "metadata", "credit_cost", "progress", "result_images")


@dataclass(frozen=True, slots=True)
class ResultImage:
    """One finished image; `url` is http or https, sizes are in pixels."""

    id: str | None
    url: str
    preview_url: str | None = None
    mime_type: str | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What the API says about one task; the error is None while it runs, since what stands there then is noise."""

    upstream_id: str | None
    phase: Phase
    progress: int | None
    credits: Decimal | None
    images: tuple[ResultImage, ...] = ()
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A task as the API lists it, with what a search for a lost submission can match on."""

    report: TaskReport
    prompt: str | None
    model_id: str | None
    generations_count: int | None
    model_parameters: Mapping[str, object]
    receive_url: str | None
    created_at: str | None
    raw: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of the API's tasks in its order; `entry_count` counts also what could not be read as a task."""

    tasks: tuple[ListedTask, ...]
    entry_count: int
    total: int | None


class CreatedBody(NamedTuple):
    """What the answer to a create says about the task and its price."""

    task_id: str | None
    estimated_credits: Decimal | None
    remaining_credits: Decimal | None


def read_task(body: object) -> TaskReport | None:
    """The task in an answer or a callback, bare or wrapped; None when it holds none (a busy answer, an error).

    A `done` task without any image stays `done` with no images: it was charged. The caller should not take it for a
    success yet but ask again, since the images may follow, and fail the task as empty only when its patience ends.
    """
    task = _task_object(mapping(body))
    return None if task is None else _report(task)


def _task_object(body: Mapping[str, object]) -> Mapping[str, object] | None:
    wrapped = mapping(body.get("data")) or mapping(body.get("task"))
    candidates = (mapping(wrapped.get("task")), wrapped, body)
    return next((each for each in candidates if _is_task(each)), None)


def _is_task(candidate: Mapping[str, object]) -> bool:
    """An id and a status word make a task; without an id (`{success: false, status: "error"}`) more must show it."""
    has_id = identifier(first(candidate, *_ID_NAMES)) is not None
    marked = candidate.get("success") is not False and any(candidate.get(name) is not None for name in _TASK_MARKS)
    return (has_id or marked) and (_status(candidate) != "" or bool(_images(candidate)))


def _status(task: Mapping[str, object]) -> str:
    return (text(first(task, "status", "state")) or "").lower()


def _phase(task: Mapping[str, object], images: tuple[ResultImage, ...]) -> Phase:
    status = _status(task)
    if status in _FAILED:
        return "failed"
    return "done" if status in _DONE or (not status and images) else "running"


def _report(task: Mapping[str, object]) -> TaskReport:
    images = _images(task)
    phase = _phase(task, images)
    failure = mapping(task.get("error"))
    message = (
        text(first(task, "error_message", "errorMessage")) or text(failure.get("message")) or text(task.get("error"))
    )
    return TaskReport(
        upstream_id=identifier(first(task, "id", "task_id", "taskId")),
        phase=phase,
        progress=_progress(task.get("progress")),
        credits=decimal(first(task, "credit_cost", "creditCost")),
        images=images if phase == "done" else (),
        error_code=_error_code(task, message) if phase == "failed" else None,
        error_message=message if phase == "failed" else None,
    )


def _error_code(task: Mapping[str, object], message: str | None) -> str | None:
    """The named code; else a message that is itself one word in code style, such as `temporary_model_error`."""
    named = identifier(first(task, "error_code", "code")) or identifier(mapping(task.get("error")).get("code"))
    worded = message is not None and "_" in message and message.replace("_", "").isalnum()
    return named or (message[:200] if worded and message else None)


def _progress(value: object) -> int | None:
    progress = integer(value.strip().rstrip("%") if isinstance(value, str) else value)
    return None if progress is None else min(progress, 100)


def _images(task: Mapping[str, object]) -> tuple[ResultImage, ...]:
    stored = task.get("metadata")
    metadata = mapping(parse_json(stored.encode("utf-8", "replace")) if isinstance(stored, str) else stored)
    listed = sequence(first(metadata, "result_images", "resultImages", "images"))
    listed = listed or sequence(first(task, "result_images", "resultImages", "images"))
    # The API mirrors the first image under this name; it is all there is when the list is missing.
    listed = listed or [metadata.get("audio_url")]
    return tuple(image for image in map(_image, listed[:MAX_IMAGES]) if image is not None)


def _image(item: object) -> ResultImage | None:
    entry = mapping(item)
    url = _url(item) or _url(first(entry, "imageUrl", "image_url", "url"))
    if url is None:
        return None
    return ResultImage(
        id=identifier(entry.get("id")),
        url=url,
        preview_url=_url(first(entry, "previewUrl", "preview_url")),
        mime_type=text(first(entry, "mimeType", "mime_type")),
        width=integer(entry.get("width")),
        height=integer(entry.get("height")),
    )


def _url(value: object) -> str | None:
    url = text(value)
    return url if url is not None and url.lower().startswith(("https://", "http://")) else None


def read_task_page(body: object) -> TaskPage | None:
    """The tasks of a listing, entries that are no task left out; None when there is no list.

    None is not an empty page: a search for a lost submission ends on a complete listing without it.
    """
    source = mapping(body)
    listed = next((each for each in (body, source.get("data"), source.get("tasks")) if isinstance(each, list)), None)
    if listed is None:
        return None
    found = ((task, read_task(task)) for task in map(mapping, listed))
    tasks = tuple(_listed(task, report) for task, report in found if report is not None)
    return TaskPage(tasks, len(listed), integer(source.get("total")))


def _listed(task: Mapping[str, object], report: TaskReport) -> ListedTask:
    metadata = mapping(task.get("metadata"))
    return ListedTask(
        report=report,
        prompt=text(first(metadata, "prompt") or first(task, "prompt", "text")),
        model_id=identifier(first(metadata, "modelId", "model_id") or first(task, "model_id", "modelId")),
        generations_count=integer(first(metadata, "generationsCount", "generations_count")),
        model_parameters=mapping(first(metadata, "modelParameters", "model_parameters")),
        receive_url=_url(first(task, "receive_url", "receiveUrl") or first(metadata, "receive_url", "receiveUrl")),
        created_at=text(first(task, "created_at", "createdAt")),
        raw=task,
    )


def read_created(body: object) -> CreatedBody:
    """The task id under any of its known names, and what the task costs and leaves; each None when absent."""
    source = mapping(body)
    wrapped = mapping(source.get("data")) or mapping(source.get("task"))
    named = (identifier(first(each, *_ID_NAMES)) for each in (source, wrapped))
    return CreatedBody(
        task_id=next((found for found in named if found is not None), None),
        estimated_credits=_amount(source, "estimated_credits", "estimatedCredits", "credit_cost"),
        remaining_credits=_amount(source, "ec_remain_credits", "remain_credits", "remaining_credits"),
    )


def read_credits(body: object) -> Decimal | None:
    """The account's balance in credits."""
    return _amount(mapping(body), "credits", "balance", "remaining_credits", "ec_remain_credits")


def read_price(body: object) -> Decimal | None:
    """The exact price in credits of the request that was asked about."""
    return _amount(mapping(body), "credits", "estimated_credits", "price")


def read_refund(body: object) -> Decimal | None:
    """The credits that a delete gave back; None when it names none."""
    return _amount(mapping(body), "refunded_credits", "refundedCredits", "refund")


def _amount(source: Mapping[str, object], *names: str) -> Decimal | None:
    here, wrapped = decimal(first(source, *names)), mapping(source.get("data"))
    return here if here is not None else decimal(first(wrapped, *names))


def read_health(body: object) -> dict[str, str]:
    """Provider to `good`, `degraded`, `overloaded` or whatever word the API uses."""
    listed = mapping(mapping(body).get("data")).items()
    return {name: word for name, word in ((name, text(value)) for name, value in listed) if word is not None}
