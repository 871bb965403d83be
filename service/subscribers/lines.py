"""The delivery loop's own ways to Postgres, so that no burst of requests stands before it in a pool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.db.engine import BY_INDEX, BY_INDEX_UNFLUSHED, Database
from service.db.line import Line
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Lines:
    """One line for claims and one for outcomes, so that neither waits for the other; the pool for what is rare.

    A claim is not waited for until it is on disk: if the server dies at that moment, the delivery is due again under
    the same webhook-id, as it is when the process dies.
    """

    claims: Line
    outcomes: Line
    pool: Database


@asynccontextmanager
async def open_lines(settings: Settings, pool: Database) -> AsyncIterator[Lines]:
    """Lines that close when the block ends."""
    lines = Lines(Line(settings, BY_INDEX_UNFLUSHED), Line(settings, BY_INDEX), pool)
    try:
        yield lines
    finally:
        await lines.claims.close()
        await lines.outcomes.close()
