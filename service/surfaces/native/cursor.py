"""Cursors of listings: opaque to callers, so that what they hold may change."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from uuid import UUID

from service.errors import FieldError, InvalidRequest


def write_cursor(last: UUID | None) -> str | None:
    """The cursor behind the item with this id; None when there is no more."""
    return None if last is None else urlsafe_b64encode(last.bytes).decode().rstrip("=")


def read_cursor(cursor: str | None) -> UUID | None:
    """The id that a cursor holds; raises InvalidRequest for one that we did not write."""
    if cursor is None:
        return None
    try:
        found = UUID(bytes=urlsafe_b64decode(cursor.encode() + b"=="))
    except (ValueError, Error, UnicodeEncodeError) as exc:
        raise _foreign() from exc
    if write_cursor(found) != cursor:
        raise _foreign()
    return found


def _foreign() -> InvalidRequest:
    return InvalidRequest(FieldError("cursor", "is not a `next_cursor` of this endpoint; leave it out to start anew"))
