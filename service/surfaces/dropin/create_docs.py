"""How the OpenAPI document describes the three forms of a create request."""

from typing import Any

from service.surfaces.dropin import examples
from service.surfaces.dropin.shapes import CreateFields
from service.web.openapi import json_body

_IMAGE_TYPES = "image/png, image/jpeg, image/webp, image/gif"


def _multipart_schema() -> dict[str, Any]:
    schema = CreateFields.model_json_schema()
    schema["properties"]["assets"] = {
        "type": "array",
        "description": "Reference images, one part for each: `@img1` in the prompt is the first.",
        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
    }
    return schema


REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": _multipart_schema(),
            "encoding": {
                "assets": {"contentType": _IMAGE_TYPES},
                "model_parameters": {"contentType": "application/json"},
            },
            "examples": examples.MULTIPART_REQUESTS,
        },
        "application/x-www-form-urlencoded": {
            "schema": CreateFields.model_json_schema(),
            "examples": examples.FORM_REQUESTS,
        },
        **json_body(CreateFields, examples.JSON_REQUESTS),
    },
}
