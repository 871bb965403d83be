"""The kinds of knob that moods are made of: a chance, an error answer, a cut connection, a token bucket."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ErrorShape = Literal[
    "message", "error_text", "error_object", "code", "error_message", "errors", "html", "empty", "garbage"
]
CutPoint = Literal[
    "first_byte", "after_headers", "mid_body", "read_not_accepted", "accepted", "never_answer", "half_answer"
]
CutForm = Literal["close", "reset"]
BusyForm = Literal["503", "429", "200", "mixed"]
NumberForm = Literal["number", "string", "missing"]
IdField = Literal["task_id", "taskId", "id", "data.task_id", "data.id", "none"]


class Knob(BaseModel):
    """A knob with parts; a part that does not exist is refused by name."""

    model_config = ConfigDict(extra="forbid")


class Chance(Knob):
    """How often something happens: the next N times for certain, after that by rate."""

    rate: float = Field(0.0, ge=0, le=1, description="share of the occasions, drawn from the seeded generator")
    next: int = Field(0, ge=0, description="this many next occasions for certain; counts down as they happen")


class Throttle(Chance):
    """A refusal that looks like a wrong key."""

    message: str = Field("Unauthorized", description="the words of the 401")


class BusyPoll(Chance):
    """A poll that is told to come back, whatever the task does."""

    form: BusyForm = Field("503", description="status 503, 429, or 200 with success:false; mixed draws one")


class AnswerError(Chance):
    """An error answer of a chosen status and shape."""

    status: int = Field(500, ge=200, le=599, description="HTTP status")
    shape: ErrorShape = Field("message", description="which of the known error bodies")
    code: str = Field("internal_error", description="code in the shapes that have one")
    message: str = Field("Internal error", description="the words")
    retry_after_s: int | None = Field(None, ge=0, description="sends Retry-After")


class CreateError(AnswerError):
    """An error answer to a create, which may hide that the task was taken and charged."""

    when: Literal["before", "after"] = Field("before", description="before or after the task is taken and charged")


class Cut(Chance):
    """A connection that ends without a proper answer."""

    how: CutForm = Field("close", description="close ends with FIN, reset with RST")


class CreateCut(Cut):
    """Where in a create the connection ends."""

    at: CutPoint = Field(
        "accepted",
        description="first_byte: nothing parsed; after_headers: body unread; mid_body: half read; read_not_accepted: "
        "all read, not taken; accepted: taken and charged, no answer; never_answer: taken and charged, held open; "
        "half_answer: taken and charged, 200 with half a body",
    )


class TaskError(Chance):
    """A task that ends in error after it was taken."""

    code: str = Field("temporary_model_error", description="stands first in error_message")
    message: str = Field("the model could not finish this image", description="stands second in error_message")
    refund: bool = Field(True, description="credits come back when it fails")


class ForgedCallback(Chance):
    """An extra callback that is not true, sent before the true one."""

    form: Literal["wrong_status", "foreign_id", "wrong_token", "garbage"] = Field(
        "wrong_status",
        description="the opposite end; another task's id; the last character of the URL changed; not JSON",
    )


class Bucket(Knob):
    """A token bucket for one kind of request; answers carry X-RateLimit-* while it is on."""

    per_s: float = Field(0.0, ge=0, description="tokens that come back each second; 0 = no limit")
    burst: int = Field(1, ge=1, description="tokens that the full bucket holds")
