"""Reads a create or a price request in every form that clients of the image API send, into one checked shape."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from service.catalog.check import Wanted
from service.errors import FieldError, InvalidRequest, MalformedBody, UnknownField, UnsupportedMediaType
from service.settings import Settings
from service.surfaces.dropin.shapes import CreateFields, PricedFields, PriceFields
from service.tasks.schemas import TaskRequest
from service.uploads.form_parts import FormLimits
from service.uploads.multipart import read_form
from service.uploads.parts import MISTAKEN_FIELDS
from service.uploads.spool import Asset, SpoolFile
from service.web.body import media_type, parse_object, read_body, shaped

MAX_FORM_FIELDS = 100
FLAT_PARAMETERS = ("aspect_ratio", "resolution", "quality", "seed")
SEND_FILES = "send the images themselves: a multipart form with one `assets` part for each"


async def read_create_request(request: Request, upload: SpoolFile, settings: Settings) -> TaskRequest:
    """The request, its files in `upload`; nothing in it has been held against the catalogue yet.

    Raises BadRequest and its kin, BodyTooLarge, UnsupportedMediaType, InvalidRequest, Unavailable (the spool is full).
    """
    values, assets = await _values_and_assets(request, upload, settings)
    fields = shaped(CreateFields, values, {})
    return TaskRequest(
        prompt=fields.prompt,
        model_id=fields.model_id,
        generations_count=fields.generations_count,
        model_parameters=_parameters(fields),
        callback_url=fields.receive_url or None,
        callback_format="upstream",
        assets=assets,
    )


async def read_price_request(request: Request, settings: Settings) -> Wanted:
    """What is to be priced. The Content-Type is not looked at: not every client sets it."""
    body = await read_body(request, settings.request_max_json_bytes)
    fields = shaped(PriceFields, _known(PriceFields, parse_object(body, "The body")), {})
    return Wanted(fields.model_id, fields.generations_count, _parameters(fields), fields.assets, prompt=None)


async def _values_and_assets(
    request: Request, upload: SpoolFile, settings: Settings
) -> tuple[dict[str, object], tuple[Asset, ...]]:
    kind = media_type(request)
    if kind == "multipart/form-data":
        limits = FormLimits(
            asset_max_bytes=settings.asset_max_bytes,
            max_assets=settings.request_max_assets,
            fields_max_bytes=settings.request_max_json_bytes,
        )
        form = await read_form(request.headers["content-type"], request.stream(), upload, limits)
        return _known(CreateFields, dict(form.fields)), form.assets
    body = await read_body(request, settings.request_max_json_bytes)
    if kind == "application/json":
        values = parse_object(body, "The body")
    elif kind == "application/x-www-form-urlencoded":
        values = _form_values(body)
    else:
        raise UnsupportedMediaType("Send `multipart/form-data`, `application/x-www-form-urlencoded` or JSON.")
    _refuse_lost_references(values)
    return _known(CreateFields, values), ()


def _form_values(body: bytes) -> dict[str, object]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS)
    except ValueError as exc:
        raise MalformedBody("The body is not a form in UTF-8 with at most a hundred fields.") from exc
    return dict(pairs)


def _refuse_lost_references(values: Mapping[str, object]) -> None:
    """A reference that nothing reads would be lost without a word, and the image paid for."""
    lost = [name for name, value in values.items() if value and (name == "assets" or name in MISTAKEN_FIELDS)]
    if lost:
        fields = tuple(FieldError(name, f"is not read from this form of request; {SEND_FILES}") for name in lost)
        raise UnknownField(" ".join(f"`{each.field}` {each.message}." for each in fields), fields=fields)


def _known(shape: type[PricedFields], values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name in shape.model_fields}


def _parameters(fields: PricedFields) -> dict[str, object]:
    """The model parameters, with those at top level under those in the object; null says as much as nothing."""
    flat = {name: getattr(fields, name) for name in FLAT_PARAMETERS}
    given = fields.model_parameters or {}
    if isinstance(given, str):
        given = parse_object(given, "`model_parameters`")
    parameters = {name: value for name, value in {**flat, **given}.items() if value is not None}
    seed = parameters.get("seed")
    return {**parameters, "seed": _seed(seed)} if isinstance(seed, str) else parameters


def _seed(digits: str) -> int:
    try:
        return int(digits[:20])
    except ValueError as exc:
        raise InvalidRequest(FieldError("model_parameters.seed", "must be a whole number")) from exc
