"""Check a create or a price request against the catalogue, the way the upstream does, and price it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from service.sandbox.catalogue import PARAMETER_LISTS, Catalogue, ImageModel
from service.sandbox.form import Submission, json_object
from service.sandbox.refusals import Refused
from service.sandbox.task import Asset, Order

MAX_PROMPT_CHARS = 4000
MAX_ASSET_BYTES = 5 * 1024 * 1024
_FLAT_PARAMETERS = (*PARAMETER_LISTS, "seed")
_REFERENCE = re.compile(r"@img(\d+)")


def order_of(submission: Submission, catalogue: Catalogue, lenient_references: bool) -> Order:
    """The order that a create request is, priced; Refused with the upstream's answer otherwise."""
    fields = submission.fields
    model = catalogue.model(_text(fields, "model_id"))
    prompt = _prompt(fields, model)
    count = _generations_count(fields.get("generations_count", 1), model)
    parameters = _parameters(fields, model)
    _check_assets(submission.assets, model)
    _check_references(prompt, len(submission.assets), lenient_references)
    return Order(
        prompt=prompt,
        model_id=model.model_id,
        generations_count=count,
        model_parameters=parameters,
        assets=tuple(submission.assets),
        receive_url=_receive_url(fields.get("receive_url")),
        credits=model.price(count, parameters),
        aspect_ratio=model.chosen("aspect_ratio", parameters),
        resolution=model.chosen("resolution", parameters),
    )


def quote_of(request: Mapping[str, Any], catalogue: Catalogue) -> int:
    """The credits that a price request asks for; keys it does not know are ignored."""
    model = catalogue.model(_text(request, "model_id"))
    count = _generations_count(request.get("generations_count", 1), model)
    asset_count = request.get("assets", 0)
    if not isinstance(asset_count, int) or isinstance(asset_count, bool) or asset_count < 0:
        raise Refused(400, "bad_assets", "assets must be the number of files")
    _check_asset_count(asset_count, model)
    return model.price(count, _parameters(request, model))


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refused(400, f"missing_{name}", f"{name} is required")
    return value


def _prompt(fields: Mapping[str, Any], model: ImageModel) -> str:
    prompt = _text(fields, "prompt")
    limit = min(MAX_PROMPT_CHARS, model.line.get("max_prompt_length") or MAX_PROMPT_CHARS)
    if len(prompt) > limit:
        raise Refused(400, "prompt_too_long", f"prompt has {len(prompt)} characters, {model.model_id} takes {limit}")
    return prompt


def _generations_count(value: object, model: ImageModel) -> int:
    digits = str(value).strip()
    highest = int(model.line.get("max_generations") or 1)
    if isinstance(value, (int, str)) and re.fullmatch(r"[0-9]{1,3}", digits) and 1 <= int(digits) <= highest:
        return int(digits)
    raise Refused(400, "bad_generations_count", f"generations_count must be 1 to {highest} for {model.model_id}")


def _receive_url(value: object) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, str) and re.match(r"https?://[^/\s]+", value):
        return value
    raise Refused(400, "bad_receive_url", "receive_url must be an http or https URL")


def _parameters(fields: Mapping[str, Any], model: ImageModel) -> dict[str, Any]:
    """model_parameters, as an object or as JSON in a string, with the flat ones of some clients laid under it."""
    flat = {name: fields[name] for name in _FLAT_PARAMETERS if name in fields}
    given = fields.get("model_parameters") or {}
    if isinstance(given, str):
        given = json_object(given)
    if not isinstance(given, dict):
        raise Refused(400, "bad_parameters", "model_parameters must be a JSON object")
    parameters = {name: value for name, value in (flat | given).items() if value is not None}
    for name, value in parameters.items():
        _check_parameter(name, value, model)
    return parameters


def _check_parameter(name: str, value: object, model: ImageModel) -> None:
    if name in PARAMETER_LISTS:
        choices = model.choices(name)
        if not choices:
            raise _wrong_parameter(name, f"{model.model_id} takes no {name}")
        if value not in choices:
            raise _wrong_parameter(name, f"{name} must be one of {', '.join(choices)}, not {json.dumps(value)[:80]}")
    elif name == "seed":
        if not re.fullmatch(r"-?[0-9]{1,19}", str(value)):
            raise _wrong_parameter(name, "seed must be a whole number")
    elif name not in ("enhance_prompt", "negative_prompt") or not model.line.get(f"supports_{name}"):
        raise _wrong_parameter(name, f"{model.model_id} takes no parameter {name[:80]}")


def _wrong_parameter(name: str, message: str) -> Refused:
    return Refused(422, "bad_parameters", message, "errors", field_name=f"model_parameters.{name[:80]}")


def _check_assets(assets: Sequence[Asset], model: ImageModel) -> None:
    _check_asset_count(len(assets), model)
    if model.line.get("requires_reference_images") and not assets:
        raise Refused(400, "assets_required", f"{model.model_id} needs at least one reference image in assets")
    for place, asset in enumerate(assets, 1):
        if asset.bytes > MAX_ASSET_BYTES:
            raise Refused(400, "asset_too_big", f"asset {place} is larger than 5 MB")
        if not asset.mime_type:
            raise Refused(400, "asset_type", f"asset {place} is no PNG, JPEG or WebP image")


def _check_asset_count(count: int, model: ImageModel) -> None:
    if count and not model.line.get("supports_images"):
        raise Refused(400, "assets_unsupported", f"{model.model_id} takes no reference images")
    highest = int(model.line.get("max_assets") or 0)
    if count > highest:
        raise Refused(400, "too_many_assets", f"{model.model_id} takes {highest} assets at most, not {count}")


def _check_references(prompt: str, asset_count: int, lenient: bool) -> None:
    named = {int(number[:9]) for number in _REFERENCE.findall(prompt)}
    attached = set(range(1, asset_count + 1))
    if named == attached or (lenient and named <= attached):
        return
    raise Refused(
        400, "img_references", f"the prompt must name @img1 to @imgN once or more for its {asset_count} assets"
    )
