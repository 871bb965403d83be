"""The schema of notifications: who is told, what happened, what is still to be sent, and what became of the rest.

Ids are uuid7, so the tables that only grow are partitioned by id, with a partition for every day.
"""

import sqlalchemy as sa
from sqlalchemy import Column, Index, Table, text
from sqlalchemy.dialects import postgresql as pg

from service.db.columns import id_column, metadata, moment, one_of, words

BY_DAY = "RANGE (id)"
# An index entry for each row, also where keys are equal: one that stands for many rows is passed over only when all of
# them are gone, so in a backlog that came in one commit every claim would read again what earlier ones had taken.
ONE_BY_ONE = {"deduplicate_items": "off"}

subscriptions = Table(
    "subscriptions",
    metadata,
    id_column(),
    words("client"),
    words("url"),
    Column("event_types", pg.ARRAY(sa.Text), nullable=False),
    # {"model_id": [...], "client_reference": [...], "metadata": {...}}; null: every task
    Column("filter", pg.JSONB(none_as_null=True)),
    words("secret"),  # encrypted, see subscribers/encryption; `whsec_` and base64 inside
    Column("previous_secret", sa.Text),  # signs beside the new one for a while
    moment("previous_secret_until"),
    Column("inline", sa.Boolean, nullable=False, server_default=text("false")),  # made by a request's callback_url
    Column("format", sa.Text, nullable=False, server_default="standard"),
    Column("state", sa.Text, nullable=False, server_default="active"),
    Column("disabled_reason", sa.Text),  # gone: it answered 410; failing: for days
    words("description"),
    Column("timeout_s", sa.Float),  # null in these three: as the settings say
    Column("max_in_flight", sa.Integer),
    Column("rate_per_s", sa.Float),
    moment("created_at", optional=False),
    moment("updated_at", optional=False),
    # The pace of deliveries, kept by the claim and the store: the breaker and a token bucket.
    Column("failures_in_row", sa.Integer, nullable=False, server_default=text("0")),
    moment("failing_since"),
    moment("rests_until"),
    Column("tokens", sa.Float, nullable=False, server_default=text("0")),
    moment("tokens_at"),
    one_of("state", ("active", "paused", "disabled")),
    one_of("format", ("standard", "upstream")),
    one_of("disabled_reason", ("gone", "failing")),
    Index("subscriptions_client_idx", "client", "id"),
    # For the fan-out, which must not wade through the many that requests made.
    Index("subscriptions_own_idx", "client", postgresql_where=text("NOT inline")),
    # One inline subscription per client, address and format: a million tasks with one callback_url share one row.
    Index("subscriptions_inline_key", "client", "url", "format", unique=True, postgresql_where=text("inline")),
)

events = Table(
    "events",
    metadata,
    id_column(),
    words("client"),
    words("type"),
    Column("task_id", pg.UUID(as_uuid=True)),
    words("body"),  # the exact text that is signed and sent, whenever and however often
    Column("upstream_body", sa.Text),  # the same in the image API's own form, where a subscription wants that
    moment("created_at", optional=False),
    # Which transaction wrote it: the feed shows events once no older transaction can still add one before them.
    Column("written_by", sa.BigInteger, nullable=False, server_default=text("((pg_current_xact_id())::text)::bigint")),
    Index("events_task_idx", "task_id"),
    Index("events_feed_idx", "client", "written_by", "id"),
    postgresql_partition_by=BY_DAY,
)

# Undone work only: a row leaves in the commit that finishes it, so the claim never wades through history.
# A row is either waiting (no claim_id, and due_at counts) or claimed (claim_id, and lease_until counts).
deliveries = Table(
    "deliveries",
    metadata,
    id_column(),
    words("client"),
    Column("event_id", pg.UUID(as_uuid=True), nullable=False),
    Column("subscription_id", pg.UUID(as_uuid=True), nullable=False),
    Column("attempts", sa.Integer, nullable=False, server_default=text("0")),
    moment("due_at", optional=False),
    Column("claim_id", pg.UUID(as_uuid=True)),
    moment("lease_until"),
    moment("created_at", optional=False),
    Index("deliveries_due_idx", "due_at", postgresql_where=text("claim_id IS NULL"), postgresql_with=ONE_BY_ONE),
    Index(
        "deliveries_lane_idx",
        "subscription_id",
        "due_at",
        postgresql_where=text("claim_id IS NULL"),
        postgresql_with=ONE_BY_ONE,
    ),
    Index(
        "deliveries_lease_idx",
        "subscription_id",
        "lease_until",
        postgresql_where=text("claim_id IS NOT NULL"),
        postgresql_with=ONE_BY_ONE,
    ),
)

delivery_results = Table(
    "delivery_results",
    metadata,
    id_column(),  # the delivery's id
    words("client"),
    Column("event_id", pg.UUID(as_uuid=True), nullable=False),
    Column("subscription_id", pg.UUID(as_uuid=True), nullable=False),
    words("state"),
    Column("attempts", sa.Integer, nullable=False),
    moment("created_at", optional=False),
    moment("ended_at", optional=False),
    one_of("state", ("delivered", "dead")),
    Index("delivery_results_client_idx", "client", "id"),
    Index("delivery_results_subscription_idx", "subscription_id", "id"),
    Index("delivery_results_event_idx", "event_id"),
    postgresql_partition_by=BY_DAY,
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("id", pg.UUID(as_uuid=True), nullable=False),  # says the day; no key, for nobody looks one up by it
    Column("delivery_id", pg.UUID(as_uuid=True), nullable=False),
    Column("number", sa.Integer, nullable=False),
    moment("started_at", optional=False),
    Column("duration_ms", sa.Integer, nullable=False),
    Column("status", sa.Integer),
    Column("error_class", sa.Text),  # guard, dns, connect, tls, timeout, http; null when delivered
    Column("error", sa.Text),
    Column("answer", sa.LargeBinary),  # the first 4 KiB of what the subscriber answered
    Index("delivery_attempts_delivery_idx", "delivery_id"),
    postgresql_partition_by=BY_DAY,
)

# Sending a subscription's events since a time again: a job that a crash only pauses. `reached_by` and `reached` are the
# place of the last event that was looked at, in the order of events_feed_idx; they move in the commit that makes the
# deliveries.
recoveries = Table(
    "recoveries",
    metadata,
    id_column(),
    words("client"),
    Column("subscription_id", pg.UUID(as_uuid=True), nullable=False),
    moment("since", optional=False),
    moment("until", optional=False),
    Column("state", sa.Text, nullable=False, server_default="running"),
    Column("only_failed", sa.Boolean, nullable=False),  # leave out what was delivered
    Column("reached_by", sa.BigInteger, nullable=False),
    Column("reached", pg.UUID(as_uuid=True), nullable=False),
    Column("events_total", sa.Integer, nullable=False),
    Column("events_looked_at", sa.Integer, nullable=False, server_default=text("0")),
    Column("deliveries_made", sa.Integer, nullable=False, server_default=text("0")),
    moment("next_at", optional=False),  # its next portion, so that many processes keep one rate
    moment("created_at", optional=False),
    moment("ended_at"),
    one_of("state", ("running", "done", "canceled")),
    Index("recoveries_subscription_idx", "subscription_id", "id"),
    Index("recoveries_running_idx", "next_at", postgresql_where=text("state = 'running'")),
    # One at a time: a second one would only send the same again.
    Index("recoveries_running_key", "subscription_id", unique=True, postgresql_where=text("state = 'running'")),
)
