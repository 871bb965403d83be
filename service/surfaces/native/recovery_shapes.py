"""What the native API takes and gives about recoveries, as shapes."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from service.surfaces.native.shapes import Moment, Strict


def _written(moment: object) -> object:
    # Only the parser of this one type is lax, and it would read numbers as seconds.
    if moment is not None and not isinstance(moment, str):
        raise PydanticCustomError("moment_format", "must be a date and time such as 2026-11-22T09:30:00Z")
    return moment


WrittenMoment = Annotated[Moment, Field(strict=False), BeforeValidator(_written)]


class RecoverFields(Strict):
    """What to send again."""

    since: WrittenMoment = Field(description="Events from then on, by the time in their ids; with an offset.")
    until: WrittenMoment | None = Field(default=None, description="Events up to then; by default, and at most, now.")
    only_failed: bool = Field(
        default=True,
        description="Leave out what was delivered. Else all is sent that fits the subscription as it is now.",
    )
    dry_run: bool = Field(default=False, description="Only count what would be sent.")


class Recovery(BaseModel):
    """A job that sends events of a subscription again; a crash only pauses it."""

    id: UUID
    subscription_id: UUID
    state: Literal["running", "done", "canceled"]
    since: datetime
    until: datetime
    only_failed: bool
    events_total: int = Field(description="All your events in that time, whether the subscription wants them or not.")
    events_looked_at: int
    deliveries_made: int = Field(description="Exact, whatever crashed: counted in the commit that makes them.")
    estimated_end_at: datetime | None = Field(description="If it goes on as until now; null before the first portion.")
    created_at: datetime
    ended_at: datetime | None


class RecoveryPreview(BaseModel):
    """What a recovery would do if it began now."""

    dry_run: Literal[True]
    since: datetime
    until: datetime
    only_failed: bool
    events_total: int = Field(description="All your events in that time.")
    deliveries: int = Field(description="How many of them would be sent.")


class RecoveryItems(BaseModel):
    """A page of recoveries, newest first."""

    items: list[Recovery]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")
