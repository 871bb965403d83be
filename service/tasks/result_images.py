"""The images of a task: whose URLs it shows, and where each picture really is."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.db.engine import Database
from service.errors import NotFound, TaskNotEnded
from service.pictures.signature import ImagePlace, signed_url
from service.resources import Resources
from service.tasks.state import FINAL
from service.upstream.wire import ResultImage

LOOK_AGAIN_AFTER_S = 2.0


def shown_images(resources: Resources, task_id: UUID, images: Sequence[ResultImage]) -> dict[str, Any]:
    """The columns `images` and `image_sources` for images that a report brought; both None when it brought none.

    With GATEWAY_IMAGE_URLS=gateway the task shows signed URLs of ours from then on, in every form and every event.
    """
    if not images or resources.settings.image_urls == "upstream":
        return {"images": [asdict(image) for image in images] or None, "image_sources": None}
    signed = [_signed(resources, image, ImagePlace(task_id, number)) for number, image in enumerate(images, 1)]
    sources = [{"url": image.url, "preview_url": image.preview_url} for image in images]
    return {"images": [asdict(image) for image in signed], "image_sources": sources}


async def source_url(database: Database, place: ImagePlace, client: str | None) -> str:
    """Where the picture really is. `client` None: for whoever holds its signed URL.

    Raises NotFound for a picture that there is not or that belongs to a task of another client, and TaskNotEnded when
    it may still come.
    """
    name = "preview_url" if place.is_preview else "url"
    values = {"id": place.task_id, "client": client, "place": place.number - 1, "name": name}
    rows = await database.statement(_SOURCE, values)
    if not rows:
        raise NotFound("There is no such task.")
    if rows[0].url is not None:
        return str(rows[0].url)
    if rows[0].has_images or rows[0].state in FINAL:
        raise NotFound(f"The task has no {'preview' if place.is_preview else 'image'} {place.number}.")
    raise TaskNotEnded(
        "The task has not ended yet; its images come with its end.",
        task_id=place.task_id,
        retry_after_s=LOOK_AGAIN_AFTER_S,
    )


def _signed(resources: Resources, image: ResultImage, place: ImagePlace) -> ResultImage:
    settings, secrets = resources.settings, resources.callback_secrets
    expires_at_s = int(time.time() + settings.image_url_life_s)
    preview = replace(place, is_preview=True)
    return replace(
        image,
        url=signed_url(settings.public_url, place, expires_at_s, secrets),
        preview_url=image.preview_url and signed_url(settings.public_url, preview, expires_at_s, secrets),
    )


_SOURCE = text(
    """
    SELECT t.state, t.images <> '[]' AS has_images,
        COALESCE(t.image_sources, t.images) -> CAST(:place AS int) ->> :name AS url
    FROM tasks t WHERE t.id = :id AND (CAST(:client AS text) IS NULL OR t.client = :client)
    """
).bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
