"""How the OpenAPI document describes the task endpoints."""

from typing import Any

from service.surfaces.native import examples
from service.surfaces.native.shapes import AcceptedTask, TaskFields, ValidRequest
from service.tasks.schemas import Task
from service.web.openapi import Responses, json_answer, json_body, not_modified, problem_answers

_VERSIONED = {
    "ETag": "The task's version.",
    "Retry-After": "Seconds until it is worth looking again; absent once the task has ended.",
}
_NEW = {"Location": "Where to get the task.", **_VERSIONED}
_IMAGE_TYPES = "image/png, image/jpeg, image/webp, image/gif"
_CANCELED = {**examples.TASK, "state": "canceled", "version": 3, "credits": 0, "ended_at": examples.TASK["updated_at"]}
_ENDED = {**examples.FINISHED_TASK, "callback": None}


def _form_schema() -> dict[str, Any]:
    """The JSON fields and the files beside them."""
    schema = TaskFields.model_json_schema()
    schema["properties"]["assets"] = {
        "type": "array",
        "description": "Reference images, one part for each: `@img1` in the prompt is the first.",
        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
    }
    return schema


REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        **json_body(TaskFields, examples.TASK_JSON_REQUESTS),
        "multipart/form-data": {
            "schema": _form_schema(),
            "encoding": {
                "assets": {"contentType": _IMAGE_TYPES},
                "model_parameters": {"contentType": "application/json"},
                "metadata": {"contentType": "application/json"},
            },
            "examples": examples.TASK_FORM_REQUESTS,
        },
    },
}
_AT_ONCE = json_answer(
    "The task has ended within `Prefer: wait=N`; or, with `validate_only`, the request is good and has a price.",
    _ENDED,
    {name: f"{meaning} Not with `validate_only`." for name, meaning in _NEW.items()},
)

CREATED: Responses = {
    200: _AT_ONCE | {"model": AcceptedTask | ValidRequest},
    202: json_answer("The task is kept and will come to an end.", {**examples.TASK, "callback": None}, _NEW),
    **problem_answers(400, 401, 402, 413, 415, 422, 429, 502, 503),
}
FOUND: Responses = {
    200: json_answer("The task as it stands.", examples.FINISHED_TASK, _VERSIONED),
    304: not_modified("It still has the version that you hold."),
    **problem_answers(400, 401, 404, 422, 429, 503),
}
LISTED: Responses = {
    200: json_answer("A page of tasks.", {"items": [examples.FINISHED_TASK], "next_cursor": None}),
    **problem_answers(400, 401, 422, 503),
}
CANCELED: Responses = {
    200: json_answer(
        "It was never sent, is canceled, and costs nothing.", examples.QUEUED_AND_CANCELED_TASK, _VERSIONED
    ),
    202: json_answer("It was sent, and the image API was asked for it: the task as it stands.", _CANCELED, _VERSIONED),
    **problem_answers(400, 401, 404, 409, 422, 502, 503),
}
CANCELED[202]["model"] = Task
RESUBMITTED: Responses = {
    202: json_answer("The new task, which waits for a slot.", examples.QUEUED_TASK, _VERSIONED),
    **problem_answers(400, 401, 404, 409, 422, 429, 503),
}
FOLLOWED: Responses = {
    200: {
        "description": "The task's events, until the one that ends it.",
        "content": {"text/event-stream": {"example": examples.EVENT_STREAM}},
    },
    204: {"description": "You have all of its events already, and it has ended: there is no reason to come back."},
    **problem_answers(400, 401, 404, 429, 503),
}
PICTURED: Responses = {
    200: {
        "description": "The picture.",
        "content": {
            media_type: {"schema": {"type": "string", "contentMediaType": media_type}, "example": "<its bytes>"}
            for media_type in _IMAGE_TYPES.split(", ")
        },
        "headers": {
            "ETag": {"description": "Changes never.", "schema": {"type": "string"}},
            "Content-Disposition": {"description": "A name for the file.", "schema": {"type": "string"}},
        },
    },
    304: not_modified("You hold it already."),
    **problem_answers(400, 401, 403, 404, 409, 422, 502, 503, 504),
}
