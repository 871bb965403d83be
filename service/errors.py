"""The family tree of what can go wrong; each class is one problem type that a client can act on.

GatewayError
├── BadRequest 400            the request cannot be read
│   ├── MalformedBody
│   └── UnknownField
├── InvalidRequest 422        it can be read, but a value is wrong; names every field
├── IdempotencyKeyReused 422  the key came with another request
├── NotAuthenticated 401
├── MaxCreditsExceeded 402    it costs more than the caller's own limit
├── NotFound 404              no such thing, or another client's
├── Conflict 409              it stands where this cannot be done; a class for each reason
├── BodyTooLarge 413
├── UnsupportedMediaType 415
├── LimitReached 429          ours; carries Retry-After
├── Unavailable 503           ours; carries Retry-After
└── UpstreamError             theirs
    ├── UpstreamRefused       a verdict on the request itself: sending it again changes nothing
    ├── UpstreamUnavailable   provably not accepted: it may be sent again
    └── UpstreamUnknown       nobody knows whether it was accepted: a paid call is never sent again
"""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field: where (`model_parameters.aspect_ratio`), what, and how to mend it."""

    field: str
    message: str


class GatewayError(Exception):
    """Something went wrong inside the gateway; the operators' log has the cause under this request id."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self, detail: str = "", *, fields: tuple[FieldError, ...] = (), retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail or type(self).__doc__ or self.title)
        self.detail = str(self)
        self.fields = fields
        self.retry_after_s = retry_after_s


class BadRequest(GatewayError):
    """The request cannot be read."""

    status, code, title = 400, "bad_request", "Bad request"


class MalformedBody(BadRequest):
    """The body is not what its Content-Type says."""

    code, title = "malformed_body", "Malformed body"


class UnknownField(BadRequest):
    """The request has a field or parameter that this endpoint does not take."""

    code, title = "unknown_field", "Unknown field"


class InvalidRequest(GatewayError):
    """At least one value is wrong; `errors` names each field and the remedy."""

    status, code, title = 422, "invalid_request", "Invalid request"

    def __init__(self, *fields: FieldError) -> None:
        super().__init__("; ".join(f"{each.field}: {each.message}" for each in fields), fields=fields)


class IdempotencyKeyReused(GatewayError):
    """This Idempotency-Key came with another request before; use a new key for a new request."""

    status, code, title = 422, "idempotency_key_reused", "Idempotency key reused"


class NotAuthenticated(GatewayError):
    """Send a valid API key as `Authorization: Bearer <key>` or `X-Api-Key: <key>`."""

    status, code, title = 401, "not_authenticated", "Not authenticated"


class MaxCreditsExceeded(GatewayError):
    """The request costs more than its `max_credits`; nothing was stored or sent."""

    status, code, title = 402, "max_credits_exceeded", "Costs more than max_credits"


class NotFound(GatewayError):
    """There is no such resource, or it belongs to another client."""

    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(GatewayError):
    """This path does not take that method; `Allow` lists those that it takes."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class Conflict(GatewayError):
    """The resource is in a state in which this cannot be done."""

    status, code, title = 409, "conflict", "Conflict"


class AlreadySent(Conflict):
    """The task was sent to the image API, or is being sent, and cannot be taken back now."""

    code, title = "already_sent", "Already sent"


class AlreadyFinal(Conflict):
    """The task has ended."""

    code, title = "already_final", "Already final"


class NotFailed(Conflict):
    """Only a task that failed or was canceled can be sent again."""

    code, title = "not_failed", "Not failed"


class DuplicateCostNotAccepted(Conflict):
    """The image API may still make and charge the first one; with `accept_duplicate_cost=true` it is sent again."""

    code, title = "duplicate_cost_not_accepted", "Duplicate cost not accepted"


class AssetsGone(Conflict):
    """The files of the task are not stored any more; send the request anew."""

    code, title = "assets_gone", "Assets gone"


class TaskNotEnded(Conflict):
    """The task has not ended yet; the same request sent again joins it and waits on."""

    code, title = "task_not_ended", "Task not ended"

    def __init__(self, detail: str = "", *, task_id: UUID | None, retry_after_s: float) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)
        self.task_id = task_id


class BodyTooLarge(GatewayError):
    """The body, a file in it, or its fields together are larger than this endpoint takes."""

    status, code, title = 413, "body_too_large", "Body too large"


class UnsupportedMediaType(GatewayError):
    """Send the body with a Content-Type that this endpoint takes."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class LimitReached(GatewayError):
    """A limit of the gateway is reached; try again after Retry-After seconds."""

    status, code, title = 429, "limit_reached", "Limit reached"


class Unavailable(GatewayError):
    """The gateway cannot take this request now and has stored nothing; try again after Retry-After seconds."""

    status, code, title = 503, "unavailable", "Unavailable"


class UpstreamError(GatewayError):
    """The image API answered with an error, or not at all."""

    status, code, title = 502, "upstream_error", "Image API error"

    def __init__(
        self,
        detail: str = "",
        *,
        upstream_status: int | None = None,
        upstream_code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)
        self.upstream_status = upstream_status
        self.upstream_code = upstream_code


class UpstreamRefused(UpstreamError):
    """The image API refused the request; sending it again unchanged will be refused again."""

    status, code, title = 422, "upstream_refused", "Refused by the image API"


class UpstreamUnavailable(UpstreamError):
    """The image API did not take the request; nothing was charged and it may be sent again."""

    status, code, title = 503, "upstream_unavailable", "Image API unavailable"


class UpstreamUnknown(UpstreamError):
    """The image API was reached, but whether it took the request is not known."""

    code, title = "upstream_unknown", "Outcome unknown"
