"""GET /api/v1/tasks/{id}/images/{n}: the picture itself, for clients without a way to where the image API keeps it."""

import hashlib
import time
from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Header, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.errors import NotAuthenticated
from service.pictures.errors import ImageUrlRefused
from service.pictures.fetch import Picture, PictureCut
from service.pictures.signature import ImagePlace, is_signed
from service.surfaces.native import task_answers as answers
from service.surfaces.native.shapes import NoParameters
from service.surfaces.native.task_response import TaskId, read_task_id
from service.tasks.result_images import source_url
from service.web.auth import SECURITY, presented_key
from service.web.context import GatewayParts
from service.web.etag import is_held

MAX_AGE_S = 86_400
LAST_MOMENT_S = 2**53
_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/api/v1", tags=["tasks"], dependencies=[*SECURITY])

Number = Annotated[int, Path(ge=1, le=1000, description="Which image of the task; the first is 1.")]


class SignedParameters(NoParameters):
    """What a signed URL carries in place of an API key."""

    expires: int | None = Field(default=None, ge=0, le=LAST_MOMENT_S, description="Until when: seconds of Unix time.")
    signature: str | None = Field(default=None, max_length=100, description="The gateway's signature.")


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """What both image routes are asked with."""

    request: Request
    gateway: GatewayParts
    signed: Annotated[SignedParameters, Query()]
    if_none_match: Annotated[str | None, Header(description="The ETag of the picture that you hold.")] = None


AskedImage = Annotated[ImageRequest, Depends()]


class PictureResponse(StreamingResponse):
    """A picture passed on as it comes; the connection to its source ends with the answer, however that ends."""

    def __init__(self, picture: Picture, headers: dict[str, str]) -> None:
        super().__init__(picture.chunks(), headers=headers, media_type=picture.content_type)
        self._picture = picture

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; one that breaks off is left unfinished, so that nobody takes it for whole."""
        try:
            await super().__call__(scope, receive, send)
        except PictureCut as exc:
            log.warning("picture_cut", reason=str(exc))
        finally:
            self._picture.close()


@router.head("/tasks/{task_id}/images/{number}", include_in_schema=False)
@router.get(
    "/tasks/{task_id}/images/{number}",
    summary="Get an image",
    operation_id="getImage",
    response_class=StreamingResponse,
    responses=answers.PICTURED,
)
async def read_image(task_id: TaskId, number: Number, asked: AskedImage) -> Response:
    """The picture, streamed from where the image API keeps it. HEAD gives its type and size.

    Where the operator has the gateway sign image URLs, those of a task lead here and need no API key until they expire.
    """
    return await _answer(asked, ImagePlace(read_task_id(task_id), number))


@router.head("/tasks/{task_id}/images/{number}/preview", include_in_schema=False)
@router.get(
    "/tasks/{task_id}/images/{number}/preview",
    summary="Get an image's preview",
    operation_id="getImagePreview",
    response_class=StreamingResponse,
    responses=answers.PICTURED,
)
async def read_preview(task_id: TaskId, number: Number, asked: AskedImage) -> Response:
    """The small form of the picture, where the image API made one."""
    return await _answer(asked, ImagePlace(read_task_id(task_id), number, is_preview=True))


async def _answer(asked: ImageRequest, place: ImagePlace) -> Response:
    url = await source_url(asked.gateway.resources.db, place, _client(asked, place))
    headers = _headers(url)
    if is_held(asked.if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    picture = await asked.gateway.pictures.fetch(url)
    name = f"{place.task_id}-{place.number}{'-preview' if place.is_preview else ''}"
    headers["Content-Disposition"] = f'inline; filename="{name}.{_EXTENSIONS[picture.content_type]}"'
    if picture.size_bytes is not None:
        headers["Content-Length"] = str(picture.size_bytes)
    if asked.request.method == "HEAD":
        picture.close()
        return Response(headers=headers, media_type=picture.content_type)
    return PictureResponse(picture, headers)


def _client(asked: ImageRequest, place: ImagePlace) -> str | None:
    """Whose picture may be seen; None: the one that is signed, whoever asks.

    Raises ImageUrlRefused for a signature that is none, NotAuthenticated when there is neither that nor a key.
    """
    key, signed = presented_key(asked.request.headers), asked.signed
    client = asked.gateway.keyring.client_of(key) if key else None
    if client is not None:
        structlog.contextvars.bind_contextvars(client=client)
        return client
    if signed.signature is None:
        raise NotAuthenticated
    expires_at_s = signed.expires or 0
    if not is_signed(place, expires_at_s, signed.signature, asked.gateway.resources.callback_secrets):
        raise ImageUrlRefused
    if expires_at_s < time.time():
        raise ImageUrlRefused("This image URL has expired; the URL without its signature takes an API key.")
    return None


def _headers(url: str) -> dict[str, str]:
    """A picture never changes under its URL. What it holds is a stranger's: no browser may run or guess anything."""
    return {
        "ETag": f'"{hashlib.sha256(url.encode()).hexdigest()[:32]}"',
        "Cache-Control": f"private, max-age={MAX_AGE_S}, immutable",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
