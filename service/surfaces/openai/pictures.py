"""A task's pictures in the form in which they are wanted: by URL, in base64, or both."""

from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass

import orjson

from service.errors import GatewayError
from service.pictures.fetch import PictureCut
from service.pictures.signature import ImagePlace
from service.surfaces.openai.errors import PicturesNotFetched
from service.surfaces.openai.ordered import Ordered
from service.surfaces.openai.picture_bytes import HeldPicture, hold
from service.surfaces.openai.pictured import Pictured
from service.surfaces.openai.waiting import Waiting
from service.tasks.result_images import source_url
from service.uploads.spool import SpoolFile


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture as it is shown; what is None is not there."""

    url: str | None
    held: HeldPicture | None

    @property
    def size_bytes(self) -> int:
        """The length of its members as JSON."""
        before, after = self._frame()
        return len(before) + (self.held.base64_bytes if self.held else 0) + len(after)

    async def members(self) -> AsyncIterator[bytes]:
        """Its members as JSON, in pieces and without the braces."""
        before, after = self._frame()
        yield before
        if self.held is not None:
            async for piece in self.held.base64():
                yield piece
        yield after

    def _frame(self) -> tuple[bytes, bytes]:
        """What stands around the base64."""
        url = b'"url":%b' % orjson.dumps(self.url) if self.url is not None else b""
        if self.held is None:
            return url, b""
        return (b"%b," % url if url else b"") + b'"b64_json":"', b'"'


async def show(waiting: Waiting, order: Ordered, done: Pictured, spool: SpoolFile) -> list[Shown]:
    """The pictures, in their order; their bytes lie in `spool`, which stays open until they are out.

    Raises PicturesNotFetched when the bytes were asked for and cannot be had. Where they are given beside the URLs,
    unasked, the URLs have to do then.
    """
    held: list[HeldPicture] = []
    if order.with_bytes:
        try:
            held = [await _held(waiting, done, number, spool) for number in range(1, len(done.urls) + 1)]
        except (GatewayError, PictureCut) as exc:
            if not order.with_urls:
                raise _not_fetched(done, exc) from exc
    urls = done.urls if order.with_urls else [None] * len(done.urls)
    return [Shown(url, held[place] if held else None) for place, url in enumerate(urls)]


async def _held(waiting: Waiting, done: Pictured, number: int, spool: SpoolFile) -> HeldPicture:
    gateway = waiting.gateway
    url = await source_url(gateway.resources.db, ImagePlace(done.task_id, number), waiting.client)
    with closing(await gateway.pictures.fetch(url)) as picture:
        return await hold(spool, picture.content_type, picture.chunks())


def _not_fetched(done: Pictured, exc: Exception) -> PicturesNotFetched:
    detail = (
        f"Task {done.task_id} has its pictures, but they cannot be fetched now: {exc} Send the same request again, "
        "or with `response_format` `url`: it joins the task, and nothing is paid twice."
    )
    return PicturesNotFetched(detail, task_id=done.task_id)
