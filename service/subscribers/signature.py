"""Signs webhooks as Standard Webhooks says, so that subscribers verify them with the library of their language.

Specification: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import secrets as random_source
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from uuid import UUID

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_signing_secret() -> str:
    """A fresh secret as Standard Webhooks writes it: `whsec_` and the base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(random_source.token_bytes(SECRET_BYTES)).decode()


def webhook_id(event_id: UUID) -> str:
    """The `webhook-id` of an event: the same over retries and replays, so that receivers can deduplicate."""
    return f"evt_{event_id.hex}"


def signed_headers(secrets: Sequence[str], webhook_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers that prove who sent `body`, and when.

    One `v1` signature per secret, separated by spaces: during a rotation the old and the new secret both verify, and
    a receiver skips versions that it does not know, which leaves room for `v1a`.
    """
    timestamp = str(int(at.timestamp()))
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    signatures = " ".join(_v1(secret, signed) for secret in secrets)
    return {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": signatures}


def _v1(secret: str, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, "sha256")).decode()


@lru_cache(maxsize=1024)
def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
