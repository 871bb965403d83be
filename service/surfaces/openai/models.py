"""GET /openai/v1/models: the catalogue as OpenAI's libraries list it."""

from collections.abc import Mapping
from typing import Annotated

import orjson
from fastapi import APIRouter, Path
from starlette.responses import Response

from service.catalog.check import did_you_mean, find_model, shown
from service.catalog.models import model_json
from service.surfaces.openai import answers
from service.surfaces.openai.errors import ModelNotFound
from service.surfaces.openai.shapes import Model, Models, Nothing
from service.upstream.wire import ImageModel
from service.web.auth import SECURITY, Client
from service.web.context import GatewayParts

OWNER = "image-api"
_SHOWN = (
    "max_generations",
    "max_prompt_length",
    "aspect_ratios",
    "resolutions",
    "qualities",
    "supports_images",
    "max_assets",
)

router = APIRouter(prefix="/openai/v1", tags=["openai"], dependencies=[*SECURITY])


@router.get(
    "/models",
    summary="List the image models",
    operation_id="openaiListModels",
    response_model=Models,
    responses=answers.MODELS,
)
async def list_models(gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """Every model on sale, with what it takes beside OpenAI's own fields."""
    listing = await gateway.catalog.current()
    return _answer({"object": "list", "data": [_model(model) for model in listing.models]})


@router.get(
    "/models/{model_id}",
    summary="Get one image model",
    operation_id="openaiGetModel",
    response_model=Model,
    responses=answers.MODEL,
)
async def get_model(
    model_id: Annotated[str, Path(examples=["bytedance-seedream-4.5"])],
    gateway: GatewayParts,
    client: Client,
    _: Nothing,
) -> Response:
    """One model, with what it takes."""
    models = (await gateway.catalog.current()).models
    model = find_model(models, model_id)
    if model is None:
        near = did_you_mean(model_id, [each.model_id for each in models])
        raise ModelNotFound(f"There is no model {shown(model_id)}.{near}")
    return _answer(_model(model))


def _model(model: ImageModel) -> Mapping[str, object]:
    described = model_json(model)
    own = {"id": model.model_id, "object": "model", "created": 0, "owned_by": OWNER}
    return own | {name: described[name] for name in _SHOWN}


def _answer(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json", headers={"Cache-Control": "no-store"})
