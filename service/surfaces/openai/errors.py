"""What can go wrong in an OpenAI request and nowhere else.

GatewayError
├── NotFound 404
│   └── ModelNotFound
├── TaskFailed 502            the task that the request waited for has ended without pictures
└── PicturesNotFetched 502    the task has succeeded, but its pictures cannot be fetched now
"""

from uuid import UUID

from service.errors import GatewayError, NotFound

FETCH_AGAIN_AFTER_S = 1.0


class ModelNotFound(NotFound):
    """There is no image model of that name."""

    code, title = "model_not_found", "Model not found"


class TaskFailed(GatewayError):
    """The task has ended without pictures; `task_code` is its own error code, or `canceled`."""

    status, code, title = 502, "task_failed", "Task failed"

    def __init__(self, detail: str, *, task_id: UUID, task_code: str) -> None:
        super().__init__(detail)
        self.task_id = task_id
        self.task_code = task_code


class PicturesNotFetched(GatewayError):
    """The task has its pictures, but they cannot be fetched now."""

    status, code, title = 502, "pictures_not_fetched", "Pictures not fetched"

    def __init__(self, detail: str, *, task_id: UUID) -> None:
        super().__init__(detail, retry_after_s=FETCH_AGAIN_AFTER_S)
        self.task_id = task_id
