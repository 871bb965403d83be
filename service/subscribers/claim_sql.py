"""The statements that take due deliveries: which subscriptions get how many, all of it decided and written at once.

`CLAIM` takes whatever is due, `GLANCE` what just came for who is well. A lane is the queue of one subscription. The
steps, each a CTE:

- `seen`: the oldest due rows show the lanes that may be served; `hidden`: when they are many, a walk over the lanes
  finds those that a backlog hides. Without a backlog the walk costs nothing.
- `locked`: whoever else claims from the same lane at this moment leaves it to us, so that caps and rates hold exactly
  over all processes. Paused and resting lanes wait, and that uses up no attempt.
- `allowed`: how many each lane may take: cap, rate, breaker, and the room that this process has for it.
- `due`, `ranked`, `picked`: the first of every lane comes before the second of any.
- `claimed`, `spent`: the writes. `looked`: what the next look can skip, in a row of its own.

A plan that Postgres made while the tables were small stays in use when they have grown. So rows are found by their
ctid or by pairs that only the index of lanes is ordered by, nothing is joined that could be read whole instead, and
where the ctid is known `num_nulls` says `IS NULL` in words that no partial index answers to.
"""

from sqlalchemy import text

from service.upstream.task_form import upstream_task_json

_TAKEN = f"""
    claimed.id, claimed.event_id, claimed.subscription_id, claimed.attempts, claimed.state, claimed.url, claimed.secret,
    claimed.previous_secret, claimed.timeout_s,
    convert_to(CASE WHEN claimed.format <> 'upstream' THEN e.body ELSE coalesce(e.upstream_body, (
        SELECT {upstream_task_json("t")}::text FROM tasks t WHERE t.id = e.task_id
    ), e.body) END, 'UTF8') AS body
FROM looked FULL JOIN claimed ON false
LEFT JOIN LATERAL (SELECT * FROM events e WHERE e.id = claimed.event_id OFFSET 0) e ON true
"""

_LANES = """
WITH RECURSIVE known AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:lanes AS uuid[]), CAST(:rooms AS int[]), CAST(:standings AS int[]))
        AS k (lane, room, standing)
), seen AS MATERIALIZED (
    SELECT d.id, d.subscription_id AS lane, d.due_at FROM deliveries d
    WHERE d.claim_id IS NULL AND d.due_at <= now() AND d.due_at >= :since
    ORDER BY d.due_at LIMIT :window
), hidden (lane, number) AS (
    (
        SELECT d.subscription_id, 1 FROM deliveries d
        WHERE d.claim_id IS NULL AND d.subscription_id > :after_lane AND (SELECT count(*) FROM seen) >= :window
        ORDER BY d.subscription_id LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT d.subscription_id FROM deliveries d WHERE d.claim_id IS NULL AND d.subscription_id > hidden.lane
        ORDER BY d.subscription_id LIMIT 1
    ), number + 1
    FROM hidden WHERE lane IS NOT NULL AND number < :hidden_max
), candidates AS MATERIALIZED (
    SELECT lane FROM seen UNION SELECT lane FROM hidden WHERE lane IS NOT NULL
), resting AS MATERIALIZED (
    SELECT s.id AS lane FROM subscriptions s
    WHERE s.id = ANY (ARRAY(SELECT lane FROM candidates)) AND (s.state = 'paused' OR s.rests_until > now())
), locked AS MATERIALIZED (
    SELECT s.*,
        CASE WHEN s.failures_in_row >= :breaker_max_failures THEN 1 ELSE coalesce(s.max_in_flight, :in_flight_max) END
            AS cap,
        CASE WHEN s.rate_per_s IS NOT NULL THEN least(greatest(1, s.rate_per_s),
            CASE WHEN s.tokens_at IS NULL THEN greatest(1, s.rate_per_s)
            ELSE s.tokens + s.rate_per_s * greatest(0, extract(epoch FROM now() - s.tokens_at)) END
        ) END AS tokens_now
    FROM subscriptions s
    WHERE s.id = ANY (ARRAY(SELECT lane FROM candidates)) AND s.state <> 'paused'
        AND (s.rests_until IS NULL OR s.rests_until <= now())
    FOR NO KEY UPDATE SKIP LOCKED
), counted AS MATERIALIZED (
    SELECT * FROM gateway_under_way_by_lane(ARRAY(SELECT id FROM locked), ARRAY(SELECT cap FROM locked))
), share AS MATERIALIZED (
    SELECT greatest(4, 2 * :free / greatest(1, (SELECT count(*) FROM candidates))) AS most
), allowed AS MATERIALIZED (
    SELECT locked.id AS lane, url, secret, state, format, timeout_s, rate_per_s, tokens_now,
        CASE WHEN previous_secret_until > now() THEN previous_secret END AS previous_secret,
        CASE WHEN failures_in_row > 0 THEN 2 ELSE coalesce(known.standing, 1) END AS standing,
        CASE
            WHEN state = 'disabled' THEN :free
            WHEN coalesce(known.room, :room_of_others) <= 0 OR tokens_now < 1 THEN 0
            ELSE greatest(0, least(
                coalesce(known.room, :room_of_others), share.most, floor(tokens_now),
                cap - counted.under_way
            ))
        END AS most
    FROM locked CROSS JOIN share JOIN counted ON counted.lane = locked.id LEFT JOIN known ON known.lane = locked.id
    UNION ALL
    SELECT lane, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, :free FROM candidates
    WHERE lane NOT IN (SELECT s.id FROM subscriptions s WHERE s.id = ANY (ARRAY(SELECT lane FROM candidates)))
)"""

_ROWS = """, due AS MATERIALIZED (
    SELECT allowed.standing, d.row, d.due_at, row_number() OVER (PARTITION BY allowed.lane ORDER BY d.due_at) AS place
    FROM allowed CROSS JOIN LATERAL (
        SELECT d.ctid AS row, d.due_at FROM deliveries d
        WHERE d.claim_id IS NULL AND (d.subscription_id, d.due_at) >= (allowed.lane, :since)
            AND (d.subscription_id, d.due_at) <= (allowed.lane, now())
        ORDER BY d.subscription_id, d.due_at LIMIT allowed.most
    ) d
    WHERE allowed.most > 0
), ranked AS (
    SELECT row, place, due_at, standing = 0 OR (
        row_number() OVER (PARTITION BY standing = 0 ORDER BY place, due_at) <= :room_of_untrusted AND (
            standing = 1 OR row_number() OVER (PARTITION BY standing ORDER BY place, due_at) <= :room_of_troubled
        )
    ) AS has_room
    FROM due
), picked AS MATERIALIZED (
    SELECT d.ctid AS row, d.id FROM deliveries d
    WHERE num_nulls(d.claim_id) = 1 AND d.ctid = ANY (ARRAY(
        SELECT row FROM ranked WHERE has_room ORDER BY place, due_at LIMIT :free
    ))
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE deliveries d
    SET claim_id = :claim_id, attempts = d.attempts + 1,
        lease_until = now() + make_interval(secs => :lease_margin_s + coalesce(allowed.timeout_s, :timeout_s))
    FROM allowed
    WHERE d.ctid = ANY (ARRAY(SELECT row FROM picked)) AND allowed.lane = d.subscription_id
    RETURNING d.id, d.event_id, d.subscription_id, d.attempts, allowed.url, allowed.secret, allowed.previous_secret,
        allowed.state, allowed.format, allowed.timeout_s
), taken AS MATERIALIZED (
    SELECT lane, rate_per_s, tokens_now - (SELECT count(*) FROM claimed WHERE subscription_id = lane) AS tokens
    FROM allowed WHERE rate_per_s IS NOT NULL
), spent AS (
    UPDATE subscriptions s SET tokens = taken.tokens, tokens_at = greatest(s.tokens_at, now())
    FROM taken WHERE s.id = taken.lane
)"""

CLAIM = text(f"""{_LANES}{_ROWS}, remaining AS MATERIALIZED (
    SELECT due_at, lane FROM seen
    WHERE id NOT IN (SELECT id FROM picked) AND lane NOT IN (SELECT lane FROM resting)
), looked AS (
    SELECT now() AS at,
        (SELECT min(due_at) FROM remaining) AS left_from,
        (SELECT max(due_at) FROM seen HAVING count(*) >= :window) AS window_until,
        (SELECT lane FROM hidden WHERE number = :hidden_max) AS last_hidden,
        (SELECT min((1 - tokens) / rate_per_s) FROM taken) AS token_in_s,
        ARRAY(SELECT DISTINCT lane FROM remaining) AS left_lanes
)
SELECT looked.*, {_TAKEN}""")
"""One row of what `looked` says, with null for a claim, and one for each claim, with null for that."""

GLANCE = text(f"""
WITH seen AS MATERIALIZED (
    SELECT d.ctid AS row, d.id, d.subscription_id AS lane, d.due_at FROM deliveries d
    WHERE d.claim_id IS NULL AND d.due_at <= now() AND d.due_at >= :since
    ORDER BY d.due_at DESC LIMIT :window
), locked AS MATERIALIZED (
    SELECT s.id, s.url, s.secret, s.state, s.format, s.timeout_s, coalesce(s.max_in_flight, :in_flight_max) AS cap,
        CASE WHEN s.previous_secret_until > now() THEN s.previous_secret END AS previous_secret
    FROM subscriptions s
    WHERE s.id = ANY (ARRAY(SELECT lane FROM seen)) AND s.id <> ALL (CAST(:full_lanes AS uuid[]))
        AND s.state = 'active' AND s.rate_per_s IS NULL AND s.failures_in_row = 0
        AND (s.rests_until IS NULL OR s.rests_until <= now())
    FOR NO KEY UPDATE SKIP LOCKED
), allowed AS MATERIALIZED (
    SELECT locked.*, least(
        coalesce((CAST(:rooms AS int[]))[array_position(CAST(:lanes AS uuid[]), id)], :room_of_others),
        cap - gateway_under_way(id, cap)
    ) AS most
    FROM locked
), due AS (
    SELECT seen.row, seen.due_at, allowed.most,
        row_number() OVER (PARTITION BY allowed.id ORDER BY seen.due_at) AS place
    FROM seen JOIN allowed ON allowed.id = seen.lane
), claimed AS (
    UPDATE deliveries d
    SET claim_id = :claim_id, attempts = d.attempts + 1,
        lease_until = now() + make_interval(secs => :lease_margin_s + coalesce(allowed.timeout_s, :timeout_s))
    FROM allowed
    WHERE num_nulls(d.claim_id) = 1 AND allowed.id = d.subscription_id AND d.ctid = ANY (ARRAY(
        SELECT row FROM due WHERE place <= most ORDER BY place, due_at LIMIT :free
    ))
    RETURNING d.id, d.event_id, d.subscription_id, d.attempts, allowed.url, allowed.secret, allowed.previous_secret,
        allowed.state, allowed.format, allowed.timeout_s
), looked AS (
    SELECT now() AS at, (SELECT count(*) FROM seen) >= :window AS is_cut,
        min(due_at) AS left_from, array_agg(lane) AS left_lanes
    FROM seen WHERE id NOT IN (SELECT id FROM claimed)
)
SELECT looked.*, {_TAKEN}""")
"""Takes what just came for lanes of which nothing needs to be weighed: as little as even the least trusted may have.

Without rates, failures, rests, standings and backlogs there is half as much for Postgres to set up, which is most of
what a claim of one delivery costs. The rest is left to `CLAIM`, which is told by `left_lanes`.
"""

RELEASE = text("""
UPDATE deliveries SET claim_id = NULL, lease_until = NULL, due_at = now()
WHERE id IN (
    SELECT id FROM deliveries WHERE claim_id IS NOT NULL AND lease_until <= now() LIMIT :most FOR UPDATE SKIP LOCKED
)
RETURNING id
""")
"""Claims whose process died or froze: due again, under the same webhook-id."""
