"""The address that the image API reports a task to: it names task and attempt, and nobody else can make one."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from uuid import UUID

ROUTE_LABEL = "/callbacks/{task_id}/{token}"
MAX_ATTEMPT = 999_999

_DIGEST_BYTES = 24
_TOKEN = re.compile(r"([1-9][0-9]{0,5})\.([A-Za-z0-9_-]{32})", re.ASCII)


def sign(secrets: Sequence[bytes], task_id: UUID, attempt: int) -> str:
    """The token `<attempt>.<mac>` for this task and attempt (1 to 999,999), made with the first secret.

    The mac is HMAC-SHA256 over route, task id and attempt, cut to 192 bits: short enough for any URL column.
    """
    if not 1 <= attempt <= MAX_ATTEMPT:
        raise ValueError(f"attempt must lie between 1 and {MAX_ATTEMPT}")
    return f"{attempt}.{_mac(secrets[0], task_id, attempt)}"


def receive_url(public_url: str, task_id: UUID, attempt: int, secrets: Sequence[bytes]) -> str:
    """The whole address for this attempt, below the gateway's public URL."""
    return f"{public_url.rstrip('/')}/callbacks/{task_id}/{sign(secrets, task_id, attempt)}"


def verify(secrets: Sequence[bytes], task_id: UUID, token: str) -> int | None:
    """The attempt that the token was made for, or None; any text may come in, every secret is tried in full."""
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        return None
    attempt, mac = int(parts.group(1)), parts.group(2)
    matches = [hmac.compare_digest(_mac(secret, task_id, attempt), mac) for secret in secrets]
    return attempt if any(matches) else None


def _mac(secret: bytes, task_id: UUID, attempt: int) -> str:
    signed = f"{ROUTE_LABEL}\n{task_id}\n{attempt}".encode()
    digest = hmac.digest(secret, signed, hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:_DIGEST_BYTES]).decode()
