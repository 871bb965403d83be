"""Reading JSON that anybody may have written: bounded, strict, and every fault a clean 4xx that names its field."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ValidationError
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from service.errors import BodyTooLarge, FieldError, MalformedBody, UnknownField, UnsupportedMediaType
from service.web.problems import validation_problem

MAX_DEPTH = 16
MAX_SHOWN_LENGTH = 60

Shape = TypeVar("Shape", bound=BaseModel)
T = TypeVar("T")


def media_type(request: Request) -> str:
    """The body's media type in lower case, without its parameters; empty when the request names none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body; raises BodyTooLarge as soon as it is over the limit, announced or not."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise BodyTooLarge(f"The body is larger than {max_bytes:,} bytes.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise BodyTooLarge(f"The body is larger than {max_bytes:,} bytes.")
    return bytes(body)


async def read_json_object(request: Request, max_bytes: int) -> dict[str, object]:
    """The JSON object that is the body; raises UnsupportedMediaType, BodyTooLarge or MalformedBody."""
    if media_type(request) != "application/json":
        raise UnsupportedMediaType("Send JSON with `Content-Type: application/json`.")
    return parse_object(await read_body(request, max_bytes), "The body")


def parse_object(source: bytes | str, name: str) -> dict[str, object]:
    """The JSON object in `source`; raises MalformedBody, in which `name` says what was read.

    NaN, infinities, lone surrogates and invalid UTF-8 are no JSON; the parser turns them away.
    """
    try:
        parsed = orjson.loads(source)
    except orjson.JSONDecodeError as exc:
        raise MalformedBody(f"{name} is not valid JSON: {exc.msg}, at character {exc.pos}.") from exc
    if not isinstance(parsed, dict):
        raise MalformedBody(f"{name} must be a JSON object.")
    return parsed


def shaped(shape: type[Shape], values: Mapping[str, object], remedies: Mapping[str, str]) -> Shape:
    """The values in their shape; raises UnknownField for names that it has not, InvalidRequest for wrong values.

    `remedies` holds, for names that people send by mistake, what to do instead.
    """
    known = list(shape.model_fields)
    unknown = [name for name in values if name not in shape.model_fields]
    if unknown:
        fields = tuple(FieldError(_short(name), _remedy(name, known, remedies)) for name in unknown)
        raise UnknownField(" ".join(f"`{each.field}`: {each.message}." for each in fields), fields=fields)
    try:
        return shape.model_validate(values)
    except ValidationError as exc:
        raise validation_problem(exc.errors(include_url=False, include_input=False)) from exc


def _storable(value: T) -> T:
    _walk(value, MAX_DEPTH)
    return value


# What Postgres can keep: no NUL character anywhere, and no deeper nesting than anybody means.
StorableText = Annotated[str, AfterValidator(_storable)]
StorableObject = Annotated[dict[str, Any], AfterValidator(_storable)]


def _walk(value: object, depth_left: int) -> None:
    if depth_left < 0:
        raise PydanticCustomError("too_deep", "must not be nested deeper than {depth} levels", {"depth": MAX_DEPTH})
    if isinstance(value, str):
        _refuse_nul(value)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _refuse_nul(name)
            _walk(item, depth_left - 1)
    elif isinstance(value, list):
        for item in value:
            _walk(item, depth_left - 1)


def _refuse_nul(value: str) -> None:
    if "\x00" in value:
        raise PydanticCustomError("nul_character", "must not contain NUL characters")


def _remedy(name: str, known: list[str], remedies: Mapping[str, str]) -> str:
    if name in remedies:
        return remedies[name]
    near = get_close_matches(name[:MAX_SHOWN_LENGTH], known, n=1)
    return (
        f"is not a field here; did you mean `{near[0]}`" if near else f"is not a field here; known: {', '.join(known)}"
    )


def _short(name: str) -> str:
    return name[:MAX_SHOWN_LENGTH]
