"""How the OpenAPI document describes the OpenAI surface."""

from collections.abc import Mapping
from typing import Any

from service.surfaces.openai import examples
from service.surfaces.openai.shapes import EditFields, Envelope, GenerationFields
from service.web.openapi import Responses, json_answer, json_body

_REASONS: Mapping[int, str] = {
    400: "The request cannot be read, or at least one value is wrong: `param` names the first, `message` all.",
    401: "No valid API key.",
    402: "The gateway's account at the image API is out of credits; nothing was charged.",
    404: "There is no such model.",
    409: "The task has not ended yet: the same request joins it. The libraries send it again by themselves.",
    413: "The body, a file in it, or its fields together are too large.",
    415: "The body's Content-Type is not taken here.",
    429: "A limit is reached; the libraries come again by themselves.",
    502: "The task has failed, its pictures cannot be fetched, or the image API refused the gateway's own account.",
    503: "Not possible now, and nothing was charged; the libraries come again by themselves.",
}
_AGAIN = {
    "x-should-retry": {
        "description": "Whether the libraries are to send the request again: `false` wherever it is useless or costs.",
        "required": True,
        "schema": {"type": "string", "enum": ["true", "false"]},
    }
}
_IMAGE_TYPES = "image/png, image/jpeg, image/webp, image/gif"


def error_answers(*statuses: int) -> Responses:
    """The documentation of these error answers in OpenAI's envelope."""
    return {status: {"description": _REASONS[status], "model": Envelope, "headers": _AGAIN} for status in statuses}


def _pictures(kind: str) -> Responses:
    good = json_answer("The pictures; with `stream`, events that end with them.", examples.PICTURES)
    good["content"]["text/event-stream"] = {"example": examples.event_stream(kind)}
    return {200: good, **error_answers(400, 401, 402, 404, 409, 413, 415, 429, 502, 503)}


def _form_schema() -> dict[str, Any]:
    schema = EditFields.model_json_schema()
    schema["properties"]["image[]"] = {
        "type": "array",
        "description": "The pictures to start from, one part for each; a single one may be named `image`.",
        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
        "minItems": 1,
    }
    return schema


MODELS: Responses = {200: json_answer("The catalogue.", examples.MODELS), **error_answers(400, 401, 503)}
MODEL: Responses = {200: json_answer("The model.", examples.MODEL), **error_answers(400, 401, 404, 503)}
GENERATED: Responses = _pictures("image_generation")
EDITED: Responses = _pictures("image_edit")
GENERATION_BODY: dict[str, Any] = {
    "required": True,
    "content": json_body(GenerationFields, examples.GENERATIONS),
}
EDIT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": _form_schema(),
            "encoding": {"image[]": {"contentType": _IMAGE_TYPES}},
            "examples": examples.EDITS,
        }
    },
}
