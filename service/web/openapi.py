"""The OpenAPI 3.1 document: what every operation shares, so that routes name only what is their own."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.web.problems import MEDIA_TYPE, Problem

_REASONS: Mapping[int, str] = {
    400: "The request cannot be read, or has a field or parameter that is not taken here.",
    401: "No valid API key.",
    402: "It would cost more than `max_credits`; `detail` names the price. Nothing was stored or sent.",
    403: "The signature of the URL is not ours, or it has expired.",
    404: "No such resource, or another client's.",
    409: "It stands where this cannot be done; `code` tells what is in the way.",
    413: "The body, a file in it, or its fields together are too large.",
    415: "The body's Content-Type is not taken here.",
    422: "At least one value is wrong; `errors` names each field and the remedy. Or the image API refused the request.",
    429: "A limit is reached; try again after `Retry-After` seconds.",
    502: "The image API refused the gateway's own account, or answered with an error; nothing was charged.",
    504: "The image API, or where it keeps its pictures, did not answer in time.",
    503: "Not possible now, and nothing was charged; try again after `Retry-After` seconds.",
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 1}}
}

Responses = dict[int | str, dict[str, Any]]


class Api(FastAPI):
    """A FastAPI whose document knows problems and nothing of the framework's own error shapes."""

    def openapi(self) -> dict[str, Any]:
        """The document; made once."""
        if self.openapi_schema is None:
            _, shapes = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
            document = super().openapi()
            schemas = document["components"].setdefault("schemas", {})
            schemas.update(shapes["$defs"])
            operations = [operation for path in document["paths"].values() for operation in path.values()]
            _forget_framework_errors(operations, schemas)
            _unfold_examples(operations)
        return super().openapi()


def _forget_framework_errors(operations: Sequence[dict[str, Any]], schemas: dict[str, Any]) -> None:
    """Take out the 422 that the framework adds where a parameter is optional text, which nothing can be wrong with."""
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operation in operations:
        if "HTTPValidationError" in str(operation["responses"].get("422")):
            del operation["responses"]["422"]


def _unfold_examples(operations: Sequence[dict[str, Any]]) -> None:
    answers = (answer for operation in operations for answer in operation["responses"].values())
    for content in (answer.get("content", {}).get("application/json", {}) for answer in answers):
        if isinstance(content.get("example"), str):
            content["example"] = orjson.loads(content["example"])


def problem_answers(*statuses: int) -> Responses:
    """The documentation of these error answers, as a route's `responses` takes it."""
    return {status: _problem_answer(status) for status in statuses}


def json_answer(description: str, example: object, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The documentation of a good answer; its schema is the route's response model."""
    # As text until the document is whole: the framework drops every null on the way, and a null says something here.
    content = {"application/json": {"example": orjson.dumps(example).decode()}}
    return {"description": description, "content": content, "headers": _text_headers(headers or {})}


def not_modified(description: str) -> dict[str, Any]:
    """The documentation of a 304, which has no body."""
    return {"description": description, "headers": _text_headers({"ETag": "The version that you hold."})}


def _text_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in headers.items()}


def json_body(shape: type[BaseModel], examples: Mapping[str, Any]) -> dict[str, Any]:
    """A `content` entry for a JSON body of this shape."""
    schema = shape.model_json_schema()
    return {"application/json": {"schema": _inlined(schema, schema.pop("$defs", {})), "examples": dict(examples)}}


def _inlined(schema: Any, shapes: Mapping[str, Any]) -> Any:
    """The schema with the shapes it refers to in place: `#` means the whole document where it will stand."""
    if isinstance(schema, list):
        return [_inlined(each, shapes) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        schema = {**shapes[schema["$ref"].rpartition("/")[2]], **schema}
        del schema["$ref"]
    return {name: _inlined(part, shapes) for name, part in schema.items()}


def _problem_answer(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": _REASONS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    return answer | {"headers": _RETRY_AFTER} if status in {429, 503} else answer
