"""The one account of the sandbox: its balance, what it spent today, and the buckets that limit its requests."""

import math
import time
from datetime import UTC, datetime, timedelta

from service.sandbox.knobs import Bucket
from service.sandbox.moods import Moods
from service.sandbox.refusals import Refused

SCOPES = ("create", "upload", "poll", "read", "command")


class Account:
    """Credits of one user; all keys together."""

    def __init__(self, balance: int) -> None:
        self.balance = balance
        self._spent_today = 0
        self._day = datetime.now(UTC).date()

    def charge(self, amount: int, moods: Moods) -> None:
        """Take the credits, or refuse: 402 or 401 without balance, 429 until tomorrow beyond the daily cap."""
        now = datetime.now(UTC)
        if now.date() != self._day:
            self._day, self._spent_today = now.date(), 0
        if moods.daily_cap_credits and self._spent_today + amount > moods.daily_cap_credits:
            raise _daily_cap_reached(now)
        if amount > self.balance:
            words = f"Not enough credits: {amount} needed, {self.balance} left"
            raise Refused(int(moods.no_credit_status), "no_credit", words, "code", "insufficient_credits")
        self.balance -= amount
        self._spent_today += amount

    def refund(self, amount: int) -> None:
        """Give credits back; what was spent today stays spent."""
        self.balance += amount


def _daily_cap_reached(now: datetime) -> Refused:
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    wait_s = math.ceil((midnight - now).total_seconds())
    words = "The daily credit limit of this key is reached"
    return Refused(429, "daily_cap", words, "code", "daily_limit", headers={"Retry-After": str(wait_s)})


class TokenBucket:
    """Tokens that come back at a steady pace, up to a burst."""

    def __init__(self, knob: Bucket) -> None:
        self._per_s, self._burst = knob.per_s, knob.burst
        self._tokens = float(knob.burst)
        self._filled_at_s = time.monotonic()

    def take(self, cost: int, scope: str) -> dict[str, str]:
        """The headers of the answer, empty when there is no limit; Refused with 429 when tokens are missing."""
        if not self._per_s or not cost:
            return {}
        now_s = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_at_s) * self._per_s)
        self._filled_at_s = now_s
        missing = cost - self._tokens
        if missing <= 0:
            self._tokens -= cost
            return self._headers(scope)
        wait_s = max(1, math.ceil(missing / self._per_s))
        headers = self._headers(scope) | {"Retry-After": str(wait_s)}
        raise Refused(429, "rate_limited", "Too many requests", "code", "rate_limit_exceeded", headers=headers)

    def _headers(self, scope: str) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": f"{self._per_s:g}",
            "X-RateLimit-Burst": str(self._burst),
            "X-RateLimit-Remaining": str(int(self._tokens)),
            "X-RateLimit-Scope": scope,
        }


def buckets_of(moods: Moods) -> dict[str, TokenBucket]:
    """A full bucket for every scope."""
    return {scope: TokenBucket(getattr(moods, f"bucket_{scope}")) for scope in SCOPES}
