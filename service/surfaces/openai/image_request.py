"""Reads OpenAI requests for pictures: JSON for words alone, a multipart form for words and pictures."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from starlette.requests import Request

from service.errors import FieldError, InvalidRequest, MalformedBody, UnknownField, UnsupportedMediaType
from service.settings import Settings
from service.surfaces.openai.shapes import EditFields, GenerationFields, ImageFields
from service.uploads.form_parts import FormLimits
from service.uploads.multipart import read_form
from service.uploads.spool import Asset, SpoolFile
from service.web.body import media_type, read_json_object, shaped

IMAGE_FIELDS = frozenset({"image", "image[]"})
_NO_MASK = "no model here takes a mask; say in the prompt what is to change"
_OVERLAYS: Mapping[str, str] = dict.fromkeys(("mask", "markup"), _NO_MASK)
_NO_SUCH_OUTPUT = "the image API makes no such output; leave it out"
_NUMBERS = frozenset({"n", "partial_images", "output_compression"})
_TRUTHS: Mapping[str, bool] = {"true": True, "false": False}

# What people send by mistake, or what OpenAI has and the models here have not.
REMEDIES: Mapping[str, str] = {
    **_OVERLAYS,
    **dict.fromkeys(("svg", "frame_count", "frame_duration_ms"), _NO_SUCH_OUTPUT),
    "complexity": "the models here have no such choice; leave it out",
    "model_id": "is not a field here; did you mean `model`?",
    "generations_count": "is not a field here; did you mean `n`?",
    **dict.fromkeys(("aspect_ratio", "resolution"), "is not a field here; did you mean `size`?"),
    **dict.fromkeys(("image", "images", "image[]"), "send pictures to /openai/v1/images/edits, as parts of a form"),
}


async def read_generation(request: Request, settings: Settings) -> GenerationFields:
    """The JSON request in its shape. Raises BadRequest and its kin, BodyTooLarge, InvalidRequest."""
    return shaped(GenerationFields, await read_json_object(request, settings.request_max_json_bytes), REMEDIES)


async def read_edit(request: Request, upload: SpoolFile, settings: Settings) -> tuple[ImageFields, tuple[Asset, ...]]:
    """The form in its shape, and its pictures in `upload`, in their order.

    Raises what `read_generation` does, UnsupportedMediaType, and Unavailable when the spool is full.
    """
    if media_type(request) != "multipart/form-data":
        raise UnsupportedMediaType("Send `multipart/form-data` with the pictures as parts named `image` or `image[]`.")
    limits = FormLimits(
        asset_max_bytes=settings.asset_max_bytes,
        max_assets=settings.request_max_assets,
        fields_max_bytes=settings.request_max_json_bytes,
        file_fields=IMAGE_FIELDS,
    )
    try:
        form = await read_form(request.headers["content-type"], request.stream(), upload, limits)
    except UnknownField as exc:
        overlay = next((each.field for each in exc.fields if each.field in _OVERLAYS), None)
        if overlay is None:
            raise
        raise UnknownField(f"`{overlay}`: {_NO_MASK}.", fields=(FieldError(overlay, _NO_MASK),)) from exc
    fields = shaped(EditFields, _form_values(form.fields), REMEDIES)
    if not form.assets:
        raise InvalidRequest(FieldError("image", "send at least one picture, as a part named `image` or `image[]`"))
    return fields, form.assets


def _form_values(pairs: Iterable[tuple[str, str]]) -> dict[str, object]:
    """A form's texts as the values that they stand for; what stands for none is left for the shape to refuse."""
    values: dict[str, object] = {}
    for name, text in pairs:
        if name in values:
            raise MalformedBody(f"The field `{name[:60]}` comes twice.")
        values[name] = _form_value(name, text)
    return values


def _form_value(name: str, text: str) -> object:
    if name in _NUMBERS:
        with suppress(ValueError):
            return int(text[:20])
    if name == "stream":
        return _TRUTHS.get(text.lower(), text)
    return text
