"""The statement that stores what came of claims: rows leave or wait, attempts are kept, subscriptions slow down."""

from sqlalchemy import text

# The arrays of ids keep a plan that was made for small tables from reading large ones whole in order to join them.
# IS NOT DISTINCT FROM keeps it from the index of leases, which is small until somebody holds an old snapshot: from then
# on it has an entry for every claim.
# A finished row leaves the table, one that waits gives up its claim: a second run of the statement finds nothing.
# The id of an attempt only says its day: one is made for all.
_ROWS = """
WITH outcome AS (
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:claim_ids AS uuid[]), CAST(:fates AS text[]), CAST(:waits_s AS float8[]),
        CAST(:rests_s AS float8[]), CAST(:started_at AS timestamptz[]), CAST(:durations_ms AS int[]),
        CAST(:statuses AS int[]), CAST(:error_classes AS text[]), CAST(:errors AS text[]), CAST(:answers AS bytea[])
    ) AS o (id, claim_id, fate, wait_s, rest_s, started_at, duration_ms, status, error_class, error, answer)
), done AS (
    DELETE FROM deliveries d USING outcome o
    WHERE d.id = ANY (CAST(:ids AS uuid[])) AND d.id = o.id
        AND d.claim_id IS NOT DISTINCT FROM o.claim_id AND o.fate <> 'retry'
    RETURNING d.id, d.client, d.event_id, d.subscription_id, d.attempts, d.created_at, o.fate,
        o.duration_ms IS NULL AS unsent
), waiting AS (
    UPDATE deliveries d SET due_at = now() + make_interval(secs => o.wait_s), claim_id = NULL, lease_until = NULL
    FROM outcome o
    WHERE d.id = ANY (CAST(:ids AS uuid[])) AND d.id = o.id
        AND d.claim_id IS NOT DISTINCT FROM o.claim_id AND o.fate = 'retry'
    RETURNING d.id, d.subscription_id, d.attempts
), result AS (
    INSERT INTO delivery_results (id, client, event_id, subscription_id, state, attempts, created_at)
    SELECT id, client, event_id, subscription_id, CASE fate WHEN 'delivered' THEN fate ELSE 'dead' END,
        attempts - CAST(unsent AS int), created_at
    FROM done WHERE fate <> 'dropped'
), settled AS MATERIALIZED (
    SELECT id, subscription_id, attempts FROM done UNION ALL SELECT id, subscription_id, attempts FROM waiting
), attempt AS (
    INSERT INTO delivery_attempts
        (id, delivery_id, number, started_at, duration_ms, status, error_class, error, answer)
    SELECT (SELECT gateway_uuid7(now())), o.id, settled.attempts, o.started_at, o.duration_ms, o.status, o.error_class,
        o.error, o.answer
    FROM settled JOIN outcome o USING (id) WHERE o.duration_ms IS NOT NULL
)"""

# One success says that the subscriber lives. Without any, the failures count up to the breaker's limit; beyond it only
# a failure after the rest counts, for others were sent before it began. An error of ours says nothing about it.
_PACE = """, lane AS MATERIALIZED (
    SELECT settled.subscription_id AS id, bool_or(o.fate = 'delivered') AS delivered,
        count(*) FILTER (WHERE o.fate <> 'delivered') AS failures, max(o.rest_s) AS asked_s
    FROM settled JOIN outcome o ON o.id = settled.id
    WHERE o.duration_ms IS NOT NULL AND o.error_class IS DISTINCT FROM 'internal'
    GROUP BY settled.subscription_id
), held AS MATERIALIZED (
    SELECT s.id FROM subscriptions s, lane
    WHERE s.id = ANY (ARRAY(SELECT id FROM lane)) AND s.id = lane.id AND (
        NOT lane.delivered OR lane.asked_s > 0 OR s.failures_in_row > 0 OR s.failing_since IS NOT NULL
    )
    ORDER BY s.id FOR NO KEY UPDATE OF s
), paced AS (
    UPDATE subscriptions s SET (failures_in_row, failing_since, rests_until) = (
        SELECT n.failures,
            CASE WHEN n.failures > 0 THEN coalesce(s.failing_since, now()) END,
            greatest(
                CASE WHEN n.failures > 0 OR s.failures_in_row < :breaker_max_failures THEN s.rests_until END,
                CASE WHEN lane.asked_s > 0 THEN now() + make_interval(secs => least(lane.asked_s, :breaker_max_s)) END,
                CASE WHEN n.failures > s.failures_in_row AND n.failures >= :breaker_max_failures THEN
                    now() + make_interval(secs => least(
                        :breaker_max_s, :breaker_first_s * 2.0 ^ least(n.failures - :breaker_max_failures, 30)
                    ))
                END
            )
        FROM (SELECT CASE
            WHEN lane.delivered THEN 0
            WHEN s.failures_in_row < :breaker_max_failures
                THEN least(s.failures_in_row + lane.failures, :breaker_max_failures)
            WHEN s.rests_until > now() THEN s.failures_in_row
            ELSE s.failures_in_row + 1
        END AS failures) n
    )
    FROM lane, held WHERE s.id = ANY (ARRAY(SELECT id FROM held)) AND s.id = held.id AND lane.id = held.id
    RETURNING s.id, s.failing_since <= now() - make_interval(secs => :disable_after_s) AS failed_for_long
)"""

STORE = text(f"""{_ROWS}{_PACE}
SELECT o.id, settled.subscription_id
FROM outcome o LEFT JOIN settled ON settled.id = o.id LEFT JOIN paced ON paced.id = settled.subscription_id
WHERE settled.id IS NULL OR paced.failed_for_long
""")
"""Tells only what asks for something: what was not ours any more, without a subscription, and whose fails for days."""
