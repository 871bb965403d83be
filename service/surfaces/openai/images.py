"""/openai/v1/images: generations and edits, answered when the pictures are there."""

import asyncio
from contextlib import ExitStack

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.surfaces.openai import answers
from service.surfaces.openai.image_request import read_edit, read_generation
from service.surfaces.openai.ordered import Ordered, ordered
from service.surfaces.openai.serve import Call, serve
from service.surfaces.openai.shapes import LibraryFields, LibraryHeaders, Nothing, Pictures
from service.tasks.idempotency import IdempotencyKey
from service.web.auth import SECURITY, Client
from service.web.context import GatewayParts
from service.web.idempotency import idempotency_key

router = APIRouter(prefix="/openai/v1/images", tags=["openai"], dependencies=[*SECURITY])


@router.post(
    "/generations",
    summary="Make pictures from words",
    operation_id="openaiGenerateImages",
    response_model=Pictures,
    responses=answers.GENERATED,
    openapi_extra={"requestBody": answers.GENERATION_BODY},
)
async def generate(
    request: Request, gateway: GatewayParts, client: Client, _: Nothing, library: LibraryHeaders
) -> Response:
    """Check the request, pay for it, and answer when the pictures are there; with `stream`, tell how far it is.

    When the client's patience or the gateway's ends before, the answer is a 409 that the libraries take as a reason to
    send the request again: it then joins its task. The same holds after an interruption; nothing is paid twice.
    """
    call = Call(request, gateway, client, asyncio.get_running_loop().time())
    asked = await read_generation(request, gateway.resources.settings)
    order = ordered((await gateway.catalog.current()).models, asked, ())
    return await serve(call, order, _key(call, order, library), None)


@router.post(
    "/edits",
    summary="Make pictures from words and pictures",
    operation_id="openaiEditImages",
    response_model=Pictures,
    responses=answers.EDITED,
    openapi_extra={"requestBody": answers.EDIT_BODY},
)
async def edit(
    request: Request, gateway: GatewayParts, client: Client, _: Nothing, library: LibraryHeaders
) -> Response:
    """The same with pictures to start from, in parts named `image` or `image[]`.

    The prompt may name them `@img1`, `@img2` … in their order; to a prompt that names none the names are added.
    """
    call = Call(request, gateway, client, asyncio.get_running_loop().time())
    with ExitStack() as stack:
        upload = stack.enter_context(gateway.resources.spool.open())
        asked, assets = await read_edit(request, upload, gateway.resources.settings)
        order = ordered((await gateway.catalog.current()).models, asked, assets)
        key = _key(call, order, library)
        stack.pop_all()
    return await serve(call, order, key, upload)


def _key(call: Call, order: Ordered, library: LibraryFields) -> IdempotencyKey | None:
    settings = call.gateway.resources.settings
    return idempotency_key(library.idempotency_key, settings, call.client, call.route, order.wanted)
