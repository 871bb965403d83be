"""The whole schema on one page; migrations create it, `alembic check` holds the two together."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Column, Index, MetaData, Table, text
from sqlalchemy.dialects import postgresql as pg

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

TASK_STATES = ("queued", "submitting", "processing", "unknown", "succeeded", "failed", "canceled")
OPEN_STATES = TASK_STATES[:4]


def _moment(name: str, *, optional: bool = True) -> Column[datetime]:
    default = None if optional else sa.func.now()
    return Column(name, sa.TIMESTAMP(timezone=True), nullable=optional, server_default=default)


def _words(name: str) -> Column[str]:
    return Column(name, sa.Text, nullable=False)


def _one_of(column: str, values: tuple[str, ...]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def _id() -> Column[UUID]:
    return Column("id", pg.UUID(as_uuid=True), primary_key=True)


def _credits(name: str) -> Column[Decimal]:
    return Column(name, sa.Numeric)


subscriptions = Table(
    "subscriptions",
    metadata,
    _id(),
    _words("client"),
    _words("url"),
    Column("event_types", pg.ARRAY(sa.Text), nullable=False),
    _words("secret"),  # `whsec_` and base64, as Standard Webhooks writes it
    Column("inline", sa.Boolean, nullable=False, server_default=text("false")),  # made by a request's callback_url
    Column("state", sa.Text, nullable=False, server_default="active"),
    _words("description"),
    _moment("created_at", optional=False),
    _one_of("state", ("active", "disabled")),
    Index("subscriptions_client_idx", "client", "id"),
    # One inline subscription per client and address: a million tasks with one callback_url share one row.
    Index("subscriptions_inline_key", "client", "url", unique=True, postgresql_where=text("inline")),
)

tasks = Table(
    "tasks",
    metadata,
    _id(),  # uuid7, so that new rows land at the right edge of every index
    _words("client"),
    _words("account"),
    _words("state"),
    Column("version", sa.Integer, nullable=False, server_default=text("1")),
    Column("attempt", sa.Integer, nullable=False, server_default=text("0")),
    _words("model_id"),
    _words("prompt"),
    Column("generations_count", sa.Integer, nullable=False),
    Column("model_parameters", pg.JSONB, nullable=False),
    Column("assets", pg.JSONB, nullable=False),  # [{filename, content_type, size_bytes, sha256}]
    Column("client_reference", sa.Text),
    Column("metadata", pg.JSONB, nullable=False),
    # No foreign key: deleting a subscription would have to look through every task that ever named it.
    Column("callback_subscription_id", pg.UUID(as_uuid=True)),
    Column("traceparent", sa.Text),
    Column("upstream_task_id", sa.Text),
    Column("progress", sa.SmallInteger),
    Column("images", pg.JSONB, nullable=False, server_default=text("'[]'")),
    _credits("estimated_credits"),
    _credits("credits"),  # what the upstream says it cost, once it says so
    Column("error_code", sa.Text),
    Column("error_message", sa.Text),
    _moment("created_at", optional=False),
    _moment("updated_at", optional=False),
    _moment("submitted_at"),
    _moment("ended_at"),
    _moment("reported_at"),  # when the upstream itself told the end; null on an end that the gateway declared
    Column("claim_id", pg.UUID(as_uuid=True)),
    _moment("lease_until"),
    _moment("slot_until"),
    _moment("missing_since"),  # since when the upstream answers 404 for it; null while it knows the task
    _moment("poll_at"),  # when the reconciler looks at the task next; null once it has an end
    Column("polls", sa.Integer, nullable=False, server_default=text("0")),
    _one_of("state", TASK_STATES),
    Index("tasks_client_idx", "client", "id"),
    Index(
        "tasks_client_reference_idx",
        "client",
        "client_reference",
        "id",
        postgresql_where=text("client_reference IS NOT NULL"),
    ),
    Index("tasks_upstream_key", "account", "upstream_task_id", unique=True),
    Index("tasks_poll_idx", "poll_at", postgresql_where=text("poll_at IS NOT NULL")),
)

# Evidence: every report as it came, whether it moved a task or not; no foreign key, for a report may outlive its task.
reports = Table(
    "reports",
    metadata,
    _id(),
    Column("task_id", pg.UUID(as_uuid=True), nullable=False),
    Column("attempt", sa.Integer, nullable=False),
    _words("source"),
    Column("body", sa.LargeBinary, nullable=False),
    Column("outcome", sa.Text, nullable=False),
    _moment("received_at", optional=False),
    _one_of("source", ("callback", "poll")),
    Index("reports_task_idx", "task_id"),
)

events = Table(
    "events",
    metadata,
    _id(),
    _words("client"),
    _words("type"),
    Column("task_id", pg.UUID(as_uuid=True)),
    _words("body"),  # the exact text that is signed and sent, whenever and however often
    _moment("created_at", optional=False),
    Index("events_task_idx", "task_id"),
)

# Undone work only: a row leaves in the commit that finishes it, so the claim never wades through history.
deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    Column("event_id", pg.UUID(as_uuid=True), nullable=False),
    Column("subscription_id", pg.UUID(as_uuid=True), nullable=False),
    Column("attempts", sa.Integer, nullable=False, server_default=text("0")),
    _moment("due_at", optional=False),
    Column("claim_id", pg.UUID(as_uuid=True)),
    _moment("created_at", optional=False),
    Index("deliveries_due_idx", "due_at"),
    Index("deliveries_subscription_idx", "subscription_id"),
)

delivery_results = Table(
    "delivery_results",
    metadata,
    _id(),  # the delivery's id
    Column("event_id", pg.UUID(as_uuid=True), nullable=False),
    Column("subscription_id", pg.UUID(as_uuid=True), nullable=False),
    _words("state"),
    Column("attempts", sa.Integer, nullable=False),
    _moment("created_at", optional=False),
    _moment("ended_at", optional=False),
    _one_of("state", ("delivered", "dead")),
    Index("delivery_results_event_idx", "event_id"),
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    _id(),
    Column("delivery_id", pg.UUID(as_uuid=True), nullable=False),
    Column("number", sa.Integer, nullable=False),
    _moment("started_at", optional=False),
    Column("duration_ms", sa.Integer, nullable=False),
    Column("status", sa.Integer),
    Column("error_class", sa.Text),  # guard, dns, connect, tls, timeout, http; null when delivered
    Column("error", sa.Text),
    Column("answer", sa.LargeBinary),  # the first 4 KiB of what the subscriber answered
    Index("delivery_attempts_delivery_idx", "delivery_id"),
)
