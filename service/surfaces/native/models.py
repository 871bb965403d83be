"""GET /api/v1/models: the catalogue, with an ETag, from memory."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Header, Path
from starlette.responses import Response

from service.catalog.check import did_you_mean, find_model, shown
from service.catalog.models import Listing, model_json
from service.errors import NotFound
from service.surfaces.native import examples
from service.surfaces.native.shapes import ImageModel, ModelItems, Nothing
from service.web.auth import SECURITY, Client
from service.web.context import GatewayParts
from service.web.etag import is_held
from service.web.openapi import Responses, json_answer, not_modified, problem_answers

router = APIRouter(prefix="/api/v1", tags=["models"], dependencies=[*SECURITY])

IfNoneMatch = Annotated[str | None, Header(description="The ETag of what you hold; 304 when it has not changed.")]

_CACHING = {
    "ETag": "Changes with the content.",
    "Age": "Seconds since the list was fetched; only on a copy served past its time.",
    "Warning": "`110` on a copy served past its time, while the image API cannot be reached or is asked anew.",
}


def _answers(example: object) -> Responses:
    return {
        200: json_answer("The catalogue as it was last fetched.", example, _CACHING),
        304: not_modified("You hold this very content."),
    }


@router.get(
    "/models",
    summary="List the image models",
    operation_id="listModels",
    response_model=ModelItems,
    responses={**_answers({"items": [examples.MODEL]}), **problem_answers(400, 401, 503)},
)
async def list_models(gateway: GatewayParts, client: Client, _: Nothing, if_none_match: IfNoneMatch = None) -> Response:
    """Every model on sale with what it takes. Answered from memory; a stale copy while the image API is down."""
    listing = await gateway.catalog.current()
    return _answer({"items": [model_json(model) for model in listing.models]}, listing, if_none_match)


@router.get(
    "/models/{model_id}",
    summary="Get one image model",
    operation_id="getModel",
    response_model=ImageModel,
    responses={**_answers(examples.MODEL), **problem_answers(400, 401, 404, 503)},
)
async def get_model(
    model_id: Annotated[str, Path(examples=["bytedance-seedream-4.5"])],
    gateway: GatewayParts,
    client: Client,
    _: Nothing,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What one model takes: counts, ratios, resolutions, qualities, reference images."""
    listing = await gateway.catalog.current()
    model = find_model(listing.models, model_id)
    if model is None:
        near = did_you_mean(model_id, [each.model_id for each in listing.models])
        raise NotFound(f"There is no model {shown(model_id)}.{near}")
    return _answer(model_json(model), listing, if_none_match)


def _answer(content: object, listing: Listing, if_none_match: str | None) -> Response:
    headers = {"ETag": listing.etag, "Cache-Control": "private, no-cache"}
    if listing.is_stale:
        headers |= {"Age": str(int(listing.age_s)), "Warning": '110 image-gateway "Response is stale"'}
    if is_held(if_none_match, listing.etag):
        return Response(status_code=304, headers=headers)
    return Response(orjson.dumps(content), headers=headers, media_type="application/json")
