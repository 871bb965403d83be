"""Every shape of error answer of the image API, folded into one code, one message and one waiting time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from http import HTTPStatus

from service.upstream.reading import decimal, first, identifier, mapping, parse_json, sequence, text

MAX_MESSAGE_LENGTH = 300
MAX_RETRY_AFTER_S = 86_400.0

_HTML_TITLE = re.compile(r"<title[^>]*>(.{1,2000}?)</title", re.IGNORECASE | re.DOTALL)
_HTML_START = re.compile(r"\s*(<!doctype html|<html|<head|<body)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error answer says; `is_api` tells that the API itself spoke, not a proxy in front of it."""

    code: str | None
    message: str
    retry_after_s: float | None = None
    is_api: bool = False


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> ErrorBody:
    """The error in an answer of any shape (JSON, HTML, text, nothing); never raises, the message is never empty."""
    parsed = parse_json(body)
    retry_after_s = read_retry_after(headers)
    if isinstance(parsed, Mapping):
        code, message = _from_json(parsed)
        return ErrorBody(code, _cut(message or _phrase(status)), retry_after_s, is_api=True)
    return ErrorBody(None, _cut(_from_text(body) or _phrase(status)), retry_after_s)


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `Retry-After` (seconds or a date, counted from the answer's own Date), at most a day."""
    found = {name.lower(): value for name, value in headers.items()}
    wanted = found.get("retry-after", "")
    seconds = decimal(wanted)
    if seconds is not None:
        return min(float(seconds), MAX_RETRY_AFTER_S)
    moment = _date(wanted)
    if moment is None:
        return None
    now = _date(found.get("date", "")) or datetime.now(UTC)
    return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def _date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _from_json(parsed: Mapping[str, object]) -> tuple[str | None, str | None]:
    nested = mapping(parsed.get("error")) or mapping(parsed.get("data")) or mapping(parsed.get("detail"))
    code = identifier(first(parsed, "code", "error_code")) or identifier(first(nested, "code", "type", "error_code"))
    listed = sequence(first(parsed, "errors", "detail")) or sequence(nested.get("errors"))
    message = (
        text(first(parsed, "message", "error_message"))
        or text(first(nested, "message", "error_message", "detail"))
        or text(parsed.get("error"))
        or text(parsed.get("detail"))
    )
    return code, "; ".join(filter(None, [message, *(_from_item(item) for item in listed[:10])])) or None


def _from_item(item: object) -> str | None:
    entry = mapping(item)
    message = text(item) or text(first(entry, "message", "msg", "error"))
    name = text(first(entry, "field", "param", "path"))
    return f"{name}: {message}" if name and message else message


def _from_text(body: bytes) -> str | None:
    readable = body[:65_536].decode("utf-8", "replace")
    if _HTML_START.match(readable):
        title = _HTML_TITLE.search(readable)
        return text(unescape(title.group(1))) if title else None
    return text(readable)


def _phrase(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _cut(message: str) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in message).split())
    return line[:MAX_MESSAGE_LENGTH] or "no message"
