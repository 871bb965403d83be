"""Reading tasks in the image API's own form: one task by its id, or a page by its number."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.db.engine import Database
from service.errors import NotFound
from service.upstream.task_form import upstream_task_json


@dataclass(frozen=True, slots=True)
class ShownTask:
    """A task as its JSON in the image API's form, and its prompt."""

    body: bytes
    prompt: str


@dataclass(frozen=True, slots=True)
class NumberedPage:
    """The JSON of the tasks on one page, newest first, and how many tasks there are in all."""

    bodies: tuple[bytes, ...]
    total: int


async def show_task(database: Database, client: str, task_id: UUID) -> ShownTask:
    """The client's task, by one indexed read; NotFound when there is none or it is another client's."""
    rows = await database.statement(_SHOW, {"id": task_id, "client": client})
    if not rows:
        raise NotFound("Task not found.")
    return ShownTask(rows[0].body.encode(), rows[0].prompt)


async def show_page(database: Database, client: str, page: int, limit: int) -> NumberedPage:
    """The client's tasks on a page (from 1) of `limit`. The total is counted in an index, and takes longer as it grows:
    that is what this form of list costs; the native list has a cursor.
    """
    values = {"client": client, "limit": limit, "offset": (page - 1) * limit}
    rows = await database.statement(_PAGE, values)
    return NumberedPage(tuple(row.body.encode() for row in rows if row.id is not None), rows[0].total)


_SHOW = text(
    f"SELECT {upstream_task_json('t')}::text AS body, t.prompt FROM tasks t WHERE t.id = :id AND t.client = :client"
).bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
# The page is found in the index alone; only its own tasks are read and rendered.
_PAGE = text(
    f"""
WITH page AS (SELECT id FROM tasks WHERE client = :client ORDER BY id DESC LIMIT :limit OFFSET :offset),
total AS (SELECT count(*) AS tasks FROM tasks WHERE client = :client)
SELECT total.tasks AS total, t.id, {upstream_task_json("t")}::text AS body
FROM total LEFT JOIN (page JOIN tasks t ON t.id = page.id) ON true
ORDER BY t.id DESC
"""
)
