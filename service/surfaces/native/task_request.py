"""Reads a request for images, sent as a multipart form with files or as JSON without, into one checked shape."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

import orjson
from starlette.requests import Request

from service.errors import MalformedBody, UnsupportedMediaType
from service.settings import Settings
from service.surfaces.native.shapes import TaskFields
from service.tasks.schemas import TaskRequest
from service.uploads.form_parts import FormLimits
from service.uploads.multipart import read_form
from service.uploads.spool import Asset, SpoolFile
from service.web.body import media_type, parse_object, read_json_object, shaped

_SEND_FILES = "send the images themselves: a multipart form with one `assets` part for each"
_TAKES_FILES = "is not a field here; did you mean `assets`? " + _SEND_FILES[0].upper() + _SEND_FILES[1:]
_IN_PARAMETERS = "belongs into `model_parameters`"

# What people send by mistake, or will be able to send later, and what to do instead.
REMEDIES: Mapping[str, str] = {
    "assets": f"JSON carries no files; {_SEND_FILES}",
    **dict.fromkeys(("asset", "file", "files", "image", "images", "image_urls", "reference_images"), _TAKES_FILES),
    **dict.fromkeys(("aspect_ratio", "resolution", "quality", "seed"), _IN_PARAMETERS),
    "receive_url": "is not a field here; did you mean `callback_url`?",
    "webhook_url": "is not a field here; did you mean `callback_url`?",
    "model": "is not a field here; did you mean `model_id`?",
    "n": "is not a field here; did you mean `generations_count`?",
}


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A request for images as it was read, and whether it is only to be checked."""

    wanted: TaskRequest
    validate_only: bool


async def read_task_request(request: Request, upload: SpoolFile, settings: Settings) -> ReadRequest:
    """The request in its shape, its files in `upload`; nothing in it has been held against the catalogue yet.

    Raises BadRequest and its kin, BodyTooLarge, UnsupportedMediaType, InvalidRequest, Unavailable (the spool is full).
    """
    if media_type(request) == "application/json":
        return _read_request(await read_json_object(request, settings.request_max_json_bytes), ())
    if media_type(request) != "multipart/form-data":
        raise UnsupportedMediaType("Send `multipart/form-data`, or `application/json` when there are no files.")
    limits = FormLimits(
        asset_max_bytes=settings.asset_max_bytes,
        max_assets=settings.request_max_assets,
        fields_max_bytes=settings.request_max_json_bytes,
    )
    form = await read_form(request.headers["content-type"], request.stream(), upload, limits)
    return _read_request(_form_values(form.fields), form.assets)


def _read_request(values: Mapping[str, object], assets: tuple[Asset, ...]) -> ReadRequest:
    fields = shaped(TaskFields, values, REMEDIES)
    # By way of its text: a limit of 0.1 credits is meant as a tenth, not as the nearest binary number.
    max_credits = None if fields.max_credits is None else Decimal(str(fields.max_credits))
    wanted = fields.model_dump(exclude={"max_credits", "validate_only"})
    return ReadRequest(TaskRequest(**wanted, max_credits=max_credits, assets=assets), fields.validate_only)


def _form_values(pairs: Iterable[tuple[str, str]]) -> dict[str, object]:
    """A form's texts as the values that they stand for; the objects among them are JSON in a string."""
    values: dict[str, object] = {}
    for name, text in pairs:
        if name in values:
            raise MalformedBody(f"The field `{name[:60]}` comes twice.")
        values[name] = _form_value(name, text)
    return values


def _form_value(name: str, text: str) -> object:
    if name in {"model_parameters", "metadata"}:
        return parse_object(text, f"The field `{name}`")
    # Left as they are when they are no number: the shape then says so in the words that JSON callers get.
    if name == "generations_count":
        with suppress(ValueError):
            return int(text[:20])
    if name in {"max_credits", "deadline_s", "validate_only"}:
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(text)
    return text
