"""The Idempotency-Key header of a request that costs money."""

import re

from service.errors import BadRequest
from service.settings import Settings
from service.tasks.idempotency import IdempotencyKey, fingerprint_of
from service.tasks.schemas import TaskRequest

_KEY = re.compile(r"[!-~]{1,255}")


def idempotency_key(
    presented: str | None, settings: Settings, client: str, route: str, wanted: TaskRequest
) -> IdempotencyKey | None:
    """The key with the request's fingerprint, good for one route; None without the header, where that may be.

    Raises BadRequest for a missing key where one is required, and for one of the wrong form.
    """
    if presented is None:
        if settings.require_idempotency_key:
            raise BadRequest("Send an Idempotency-Key: a value of your own that is new for every new request.")
        return None
    if not _KEY.fullmatch(presented):
        raise BadRequest("An Idempotency-Key has 1 to 255 printable ASCII characters without spaces.")
    return IdempotencyKey(client, route, presented, fingerprint_of(wanted))
