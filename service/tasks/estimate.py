"""What a task of unknown outcome is taken to have cost: the price of its request, asked when the task is given up."""

from dataclasses import replace

from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.errors import UpstreamError
from service.resources import Resources
from service.tasks.advance import News


async def with_estimate(resources: Resources, news: News) -> News:
    """The news, with the price of the request where it ends a task of which nobody knows what it cost.

    Without a price when the image API names none now: the cost then stays unknown until a late report tells.
    """
    if news.report not in {"gave_up", "deadline_passed"}:
        return news
    rows = await resources.db.statement(_UNPRICED, {"id": news.task_id})
    if not rows:
        return news
    task = rows[0]
    try:
        price = await resources.upstream.price(
            task.model_id, task.generations_count, task.model_parameters, task.asset_count
        )
    except UpstreamError:
        return news
    return replace(news, estimated_credits=price)


_UNPRICED = text(
    """
    SELECT model_id, generations_count, model_parameters, jsonb_array_length(assets) AS asset_count
    FROM tasks WHERE id = :id AND state = 'unknown' AND estimated_credits IS NULL
    """
).bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
