"""POST /api/v1/quotes: what a request would cost, checked as the request itself would be."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.catalog.check import Wanted, problems
from service.errors import InvalidRequest
from service.surfaces.native import examples
from service.surfaces.native.priced import priced_response
from service.surfaces.native.shapes import Nothing, Quote, QuoteFields
from service.surfaces.native.task_request import REMEDIES
from service.web.auth import SECURITY, Client
from service.web.body import read_json_object, shaped
from service.web.context import GatewayParts
from service.web.openapi import json_answer, json_body, problem_answers

_REMEDIES = {
    "assets": "is not a field here; say how many there will be in `asset_count`",
    "prompt": "does not change the price; leave it out",
}

router = APIRouter(prefix="/api/v1", tags=["quotes"], dependencies=[*SECURITY])


@router.post(
    "/quotes",
    summary="Ask what a request costs",
    operation_id="createQuote",
    response_model=Quote,
    responses={
        200: json_answer("The exact charge.", examples.QUOTE),
        **problem_answers(400, 401, 413, 415, 422, 502, 503),
    },
    openapi_extra={"requestBody": {"required": True, "content": json_body(QuoteFields, examples.QUOTE_REQUESTS)}},
)
async def create_quote(request: Request, gateway: GatewayParts, client: Client, _: Nothing) -> Response:
    """The price that the image API names for exactly this request. Asking is free and nothing is kept."""
    values = await read_json_object(request, gateway.resources.settings.request_max_json_bytes)
    fields = shaped(QuoteFields, values, {**REMEDIES, **_REMEDIES})
    wanted = Wanted(fields.model_id, fields.generations_count, fields.model_parameters, fields.asset_count, prompt=None)
    wrong = problems((await gateway.catalog.current()).models, wanted)
    if wrong:
        raise InvalidRequest(*wrong)
    return priced_response(wanted, await gateway.prices.quote(wanted), {})
