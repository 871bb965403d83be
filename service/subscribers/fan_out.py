"""SQL by which tasks notify: the inline subscription of a request, and an event's deliveries to all who want it."""

from service.subscribers.event_types import ENDED_EVENT_TYPES, TERMINAL_EVENT_TYPES

_TERMINAL = ", ".join(f"'{event_type}'" for event_type in TERMINAL_EVENT_TYPES)
_ENDED = ", ".join(f"'{event_type}'" for event_type in ENDED_EVENT_TYPES)

INLINE_SUBSCRIPTION_CTES = f"""
callback_found AS (
    SELECT id FROM subscriptions
    WHERE client = :client AND url = CAST(:callback_url AS text) AND format = :callback_format AND inline
        AND state <> 'disabled'
), callback_made AS (
    INSERT INTO subscriptions (id, client, url, event_types, secret, inline, format, description)
    SELECT CAST(:subscription_id AS uuid), :client, CAST(:callback_url AS text),
        CASE WHEN CAST(:callback_format AS text) = 'upstream' THEN ARRAY[{_ENDED}] ELSE ARRAY[{_TERMINAL}] END,
        CAST(:secret AS text), true, :callback_format, ''
    WHERE CAST(:callback_url AS text) IS NOT NULL AND NOT EXISTS (SELECT FROM callback_found)
    ON CONFLICT (client, url, format) WHERE inline DO UPDATE
        SET state = CASE subscriptions.state WHEN 'paused' THEN 'paused' ELSE 'active' END, disabled_reason = NULL,
            failures_in_row = 0, failing_since = NULL, rests_until = NULL, updated_at = now()
    RETURNING id, (xmax = 0) AS created
), callback AS (
    SELECT id, false AS created FROM callback_found UNION ALL SELECT id, created FROM callback_made
)
"""
"""CTEs for the statement that inserts a task: `callback` has the id of its inline subscription and whether that is new.

Binds: client, callback_url (or NULL: `callback` is empty), callback_format, subscription_id and secret for a new one.
One that exists is only read: a lock on it would line up all creations of the client behind each other's commits.
An inline subscription that was disabled is active again, since its client has just named the address anew; one that
its client has paused stays so.
"""

WANTS_SQL = """e.type = ANY (s.event_types) AND (s.filter IS NULL OR (
    (NOT jsonb_exists(s.filter, 'model_id') OR jsonb_exists(s.filter -> 'model_id', e.model_id))
    AND (NOT jsonb_exists(s.filter, 'client_reference')
        OR jsonb_exists(s.filter -> 'client_reference', e.client_reference) IS TRUE)
    AND (NOT jsonb_exists(s.filter, 'metadata') OR e.metadata @> (s.filter -> 'metadata'))
))"""
"""Whether the subscription `s` wants the event `e`: type, model_id, client_reference and metadata decide."""

FAN_OUT_SQL = f"""
INSERT INTO deliveries (id, client, event_id, subscription_id)
SELECT gateway_uuid7(now()), e.client, e.id, s.id
FROM event e
CROSS JOIN LATERAL (
    SELECT id, event_types, filter FROM subscriptions WHERE client = e.client AND NOT inline AND state <> 'disabled'
    UNION ALL
    SELECT id, event_types, filter FROM subscriptions
    WHERE id = e.callback_subscription_id AND inline AND state <> 'disabled'
) s
WHERE {WANTS_SQL}
"""
"""A CTE's body for the statement that inserts events: one delivery per event and subscription that wants it.

Needs a CTE `event` with the columns id, client, type, callback_subscription_id, model_id, client_reference, metadata.
A paused subscription gets its deliveries too; they wait.
"""

WANTS_UPSTREAM_FORM_SQL = """EXISTS (
    SELECT FROM subscriptions s WHERE s.client = {0}.client AND NOT s.inline AND s.format = 'upstream'
    UNION ALL
    SELECT FROM subscriptions s WHERE s.id = {0}.callback_subscription_id AND s.format = 'upstream'
)"""
"""Whether some subscription wants the events of the task row `{0}` in the image API's own form."""
