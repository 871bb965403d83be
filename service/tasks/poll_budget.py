"""The poll budget of one upstream account over all processes: tokens in its row, spent by whoever takes due tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from sqlalchemy import Row, text

from service.errors import UpstreamError
from service.resources import Resources
from service.tasks.due import COLUMNS_SQL, NEEDS_NO_ASKING_SQL

# A listing costs the image API's own bucket as much as two polls.
LIST_COSTS = 2
# Throttled (a 401 means that, too) or busy; any other failure may be about the one task that was asked about.
PATIENCE_ASKED_BY = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})

Due = Row[Any]


@dataclass(frozen=True, slots=True)
class Claimed:
    """Tasks to ask about, each paid for with a token, and the seconds until there is a token again (0: there is)."""

    tasks: Sequence[Due]
    next_token_in_s: float


class PollBudget:
    """Saved up for one second, refilled by the database's clock; a debt is paid off before anything else."""

    def __init__(self, resources: Resources) -> None:
        settings = resources.settings
        self._resources = resources
        self._per_s = settings.reconcile_polls_per_s
        self._account = {
            "account": settings.upstream_account,
            "per_s": self._per_s,
            "burst": max(self._per_s, 1.0),
        }

    async def claim(self, lease_s: float, most: int) -> Claimed:
        """Take due tasks that the image API is to be asked about, as many as there are tokens and at most `most`.

        They are due again after `lease_s`, in case this process dies.
        """
        max_age_s = self._resources.settings.task_max_age_s
        rows = await self._spent(_CLAIM, {"lease_s": lease_s, "most": most, "max_age_s": max_age_s})
        left, pause_s = rows[0].tokens_left, rows[0].pause_s
        next_token_in_s = pause_s + (1.0 - left) / self._per_s if left < 1.0 else 0.0
        return Claimed([row for row in rows if row.id is not None], next_token_in_s)

    async def has_token(self) -> bool:
        """Whether there is a token for whoever asks next."""
        rows = await self._spent(_OWE, {"tokens": 0})
        return bool(rows[0].tokens >= 1)

    async def owe_listing(self) -> None:
        """Take the tokens of one page of a listing, even if that runs up a debt: half a listing is worth nothing."""
        await self._spent(_OWE, {"tokens": LIST_COSTS})

    async def rest_if_asked(self, exc: UpstreamError) -> None:
        """Drain the budget until the moment that the image API named, if it spoke of the account and not of a task.

        At most until the longest time between two questions: a silence of a day would leave tasks without their ends.
        """
        if exc.upstream_status in PATIENCE_ASKED_BY and exc.retry_after_s:
            await self.rest(min(exc.retry_after_s, self._resources.settings.reconcile_interval_max_s))

    async def rest(self, for_s: float) -> None:
        """Drain the budget: no process of this account asks anything for so long."""
        values = {"account": self._account["account"], "for_s": for_s}
        await self._resources.db.statement(_REST, values)

    async def _spent(self, sql: Any, values: dict[str, Any]) -> Sequence[Row[Any]]:
        rows = await self._resources.db.statement(sql, self._account | values)
        if rows:
            return rows
        await self._resources.db.statement(_MAKE, {name: self._account[name] for name in ("account", "burst")})
        return await self._resources.db.statement(sql, self._account | values)


# The lock on the account's row comes first: whoever waited for it sees the tokens that the other one left.
_BUDGET = """
    budget AS (
        SELECT name, GREATEST(EXTRACT(EPOCH FROM poll_tokens_at - clock_timestamp())::float8, 0) AS pause_s,
            LEAST(:burst, poll_tokens
                + :per_s * GREATEST(EXTRACT(EPOCH FROM clock_timestamp() - poll_tokens_at)::float8, 0)) AS tokens
        FROM accounts WHERE name = :account FOR UPDATE
    )
"""
_CLAIM = text(
    f"""
    WITH {_BUDGET},
    due AS MATERIALIZED (
        SELECT d.id FROM tasks d WHERE d.poll_at <= now() AND NOT {NEEDS_NO_ASKING_SQL.format("d")}
        ORDER BY d.poll_at
        -- Without a row there is no budget yet; a null would mean no limit.
        LIMIT COALESCE((SELECT LEAST(GREATEST(floor(tokens), 0), :most)::bigint FROM budget), 0)
        FOR UPDATE SKIP LOCKED
    ),
    claimed AS (
        UPDATE tasks t SET poll_at = now() + make_interval(secs => :lease_s), polls = t.polls + 1
        FROM due WHERE t.id = due.id
        RETURNING {COLUMNS_SQL.format("t")}
    ),
    spent AS (
        UPDATE accounts a SET poll_tokens = b.tokens - (SELECT count(*) FROM claimed),
            poll_tokens_at = GREATEST(a.poll_tokens_at, clock_timestamp())
        FROM budget b WHERE a.name = b.name AND EXISTS (SELECT FROM claimed)
    )
    SELECT c.*, b.tokens - (SELECT count(*) FROM claimed) AS tokens_left, b.pause_s
    FROM budget b LEFT JOIN claimed c ON true
    """
)
_OWE = text(
    f"""
    WITH {_BUDGET},
    spent AS (
        UPDATE accounts a SET poll_tokens = b.tokens - :tokens,
            poll_tokens_at = GREATEST(a.poll_tokens_at, clock_timestamp())
        FROM budget b WHERE a.name = b.name AND :tokens > 0
    )
    SELECT tokens FROM budget
    """
)
# Tokens come back from `poll_tokens_at` on; where it lies ahead, none do until then.
_REST = text(
    """
    INSERT INTO accounts AS a (name, poll_tokens_at) VALUES (:account, now() + make_interval(secs => :for_s))
    ON CONFLICT (name) DO UPDATE SET poll_tokens = LEAST(a.poll_tokens, 0),
        poll_tokens_at = GREATEST(a.poll_tokens_at, excluded.poll_tokens_at)
    """
)
_MAKE = text("INSERT INTO accounts (name, poll_tokens) VALUES (:account, :burst) ON CONFLICT DO NOTHING")
