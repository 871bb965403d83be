"""GET /v1i/models, /v1/credits, /v1/health-check and POST /v1i/task/price: free of charge, and kept for a moment."""

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.catalog.check import problems
from service.errors import InvalidRequest, UpstreamUnavailable
from service.surfaces.dropin import examples
from service.surfaces.dropin.answers import json_response, ok
from service.surfaces.dropin.create_request import read_price_request
from service.surfaces.dropin.numbers import json_number
from service.surfaces.dropin.shapes import Credits, Models, Price, PriceFields, ProviderHealth
from service.web.auth import SECURITY, Client
from service.web.context import GatewayParts
from service.web.openapi import json_body

router = APIRouter(tags=["drop-in"], dependencies=[*SECURITY])


@router.get(
    "/v1i/models",
    summary="List the image models",
    operation_id="dropInListModels",
    response_model=Models,
    responses=ok(examples.MODELS, 401, 503),
)
async def list_models(gateway: GatewayParts, client: Client) -> Response:
    """The image API's own list with every key that it has; the last one while the image API is down."""
    listing = await gateway.catalog.current()
    return json_response(orjson.dumps({"success": True, "models": [model.raw for model in listing.models]}))


@router.post(
    "/v1i/task/price",
    summary="Ask what a request costs",
    operation_id="dropInPrice",
    response_model=Price,
    responses=ok(examples.PRICE, 400, 401, 413, 422, 502, 503),
    openapi_extra={"requestBody": {"required": True, "content": json_body(PriceFields, examples.PRICE_REQUESTS)}},
)
async def quote_price(request: Request, gateway: GatewayParts, client: Client) -> Response:
    """The exact charge. Parameters may stand in `model_parameters` or at top level; other keys are passed over."""
    wanted = await read_price_request(request, gateway.resources.settings)
    wrong = problems((await gateway.catalog.current()).models, wanted)
    if wrong:
        raise InvalidRequest(*wrong)
    quote = await gateway.prices.quote(wanted)
    return json_response(orjson.dumps({"success": True, "credits": json_number(quote.credits)}))


@router.get(
    "/v1/credits",
    summary="Get the balance",
    operation_id="dropInCredits",
    response_model=Credits,
    responses=ok(examples.CREDITS, 401, 503),
)
async def read_credits(gateway: GatewayParts, client: Client) -> Response:
    """The balance of the gateway's account, which all clients share; the last known while the image API is down."""
    balance = await gateway.balance.current()
    return json_response(orjson.dumps({"success": True, "credits": json_number(balance)}))


@router.get(
    "/v1/health-check",
    summary="Ask how the providers are",
    operation_id="dropInHealth",
    response_model=ProviderHealth,
    responses=ok(examples.HEALTH, 401),
)
async def check_health(gateway: GatewayParts, client: Client) -> Response:
    """The image API's word on each provider, as last heard; empty while it has never been heard of."""
    try:
        providers = await gateway.providers.current()
    except UpstreamUnavailable:
        providers = {}
    return json_response(orjson.dumps({"success": True, "data": providers}))
