"""What goes into the commit before a paid call, and what may come out of it."""

from dataclasses import dataclass
from uuid import UUID

from service.tasks.idempotency import IdempotencyKey
from service.tasks.schemas import TaskRequest
from service.tasks.store import StoredTask
from service.uploads.spool import SpoolFile


@dataclass(frozen=True, slots=True)
class InlineCallback:
    """The subscription behind a request's callback_url; its secret is shown once, to the request that made it."""

    subscription_id: UUID
    secret: str | None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """What makes two requests the same wish (client, route, fingerprint), and the request that waits for its answer.

    For surfaces whose clients send no Idempotency-Key: see `attach`.
    """

    client: str
    route: str
    fingerprint: bytes
    waiter: UUID


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked request, whose it is, where its files lie, and its idempotency key if it came with one."""

    client: str
    wanted: TaskRequest
    upload: SpoolFile | None
    key: IdempotencyKey | None = None
    slot_s: float | None = None  # how long it holds its slot at most; None: as long as any may
    unanswered: Unanswered | None = None  # kept with the task until the request is answered


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to make one paid call for a task, until `send_before` by this process's monotonic clock."""

    task_id: UUID
    claim_id: UUID
    attempt: int
    send_before: float
    was_unauthorized: bool = False  # the call before was a 401: one that is not ends the row of them


@dataclass(frozen=True, slots=True)
class Joined:
    """The request came before: this is the task that it made then."""

    task_id: UUID


@dataclass(frozen=True, slots=True)
class Queued:
    """No slot is free: the task waits, with everything that it needs to be sent."""

    task: StoredTask
    callback: InlineCallback | None


@dataclass(frozen=True, slots=True)
class Begun:
    """The task has a slot, and this process is to make its call now."""

    claim: Claim
    callback: InlineCallback | None
