"""Ids that grow with time (UUID version 7, RFC 9562), so that new rows land at the right edge of every index."""

import secrets
import time
from uuid import UUID

RANDOM_BITS = 74


def new_id() -> UUID:
    """A fresh id: 48 bits of Unix milliseconds, then 74 random bits."""
    random = secrets.randbits(RANDOM_BITS)
    high, low = random >> 62, random & ((1 << 62) - 1)
    return UUID(int=(time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)
