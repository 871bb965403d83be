"""Lenient readers of single JSON values: each gives the value in our type, or None when it is not one."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

import orjson

MAX_TEXT_LENGTH = 4096
MAX_AMOUNT = Decimal(10) ** 12
MAX_INTEGER = 10**9


def parse_json(body: bytes) -> object:
    """The JSON value in `body`, or None when it holds none; never raises."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def mapping(value: object) -> Mapping[str, object]:
    """`value` if it is a JSON object, else an empty one, so that reads chain without guards."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[object]:
    """`value` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def text(value: object) -> str | None:
    """Non-empty text without NUL (Postgres stores none) and of bounded length, else None."""
    if not isinstance(value, str):
        return None
    return value.replace("\x00", "").strip()[:MAX_TEXT_LENGTH] or None


def identifier(value: object) -> str | None:
    """An id as text; numbers are taken too, anything over 200 characters is no id."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**30 else None
    found = text(value)
    return found if found is not None and len(found) <= 200 else None


def decimal(value: object) -> Decimal | None:
    """A finite amount of zero or more, from a number or from text; the text form of a float keeps it exact."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        return None
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount <= MAX_AMOUNT else None


def integer(value: object) -> int | None:
    """A whole number of zero or more, from a number or from text; fractions are cut."""
    amount = decimal(value)
    return None if amount is None or amount > MAX_INTEGER else int(amount)


def flag(value: object) -> bool:
    """Truth as JSON, number or word tell it; absent is False."""
    return value.strip().lower() in {"true", "1", "yes"} if isinstance(value, str) else value is True or value == 1


def texts(value: object) -> tuple[str, ...] | None:
    """An array's texts (numbers as text) in their order; None when there is no array or nothing in it."""
    found = tuple(each for each in (identifier(item) for item in sequence(value)) if each is not None)
    return found or None


def first(source: Mapping[str, object], *names: str) -> object:
    """The first value under `names` that is neither absent nor null."""
    return next((source[name] for name in names if source.get(name) is not None), None)
