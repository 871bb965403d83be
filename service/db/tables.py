"""The schema of tasks; that of notifications is beside it. Migrations create it, and `alembic check` compares."""

import sqlalchemy as sa
from sqlalchemy import Column, Index, Table, text
from sqlalchemy.dialects import postgresql as pg

from service.db.columns import id_column, metadata, moment, one_of, words

TASK_STATES = ("queued", "submitting", "processing", "unknown", "succeeded", "failed", "canceled")

tasks = Table(
    "tasks",
    metadata,
    id_column(),
    words("client"),
    words("account"),
    words("state"),
    Column("version", sa.Integer, nullable=False, server_default=text("1")),
    Column("attempt", sa.Integer, nullable=False, server_default=text("0")),
    words("model_id"),
    words("prompt"),
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
    Column("image_sources", pg.JSONB),  # where they really are, when `images` shows URLs of the gateway
    Column("estimated_credits", sa.Numeric),
    Column("credits", sa.Numeric),  # what the upstream says it cost, once it says so
    Column("error_code", sa.Text),
    Column("error_message", sa.Text),
    moment("created_at", optional=False),
    moment("updated_at", optional=False),
    moment("submitted_at"),
    moment("ended_at"),
    moment("reported_at"),  # when the upstream itself told the end; null on an end that the gateway declared
    Column("claim_id", pg.UUID(as_uuid=True)),
    moment("lease_until"),
    moment("slot_until"),
    moment("missing_since"),  # since when the upstream answers 404 for it; null while it knows the task
    moment("poll_at"),  # when the reconciler looks at the task next; null once it has an end
    Column("polls", sa.Integer, nullable=False, server_default=text("0")),
    moment("deadline_at"),  # the caller's own; null: the longest age of every task
    Column("priority", sa.SmallInteger, nullable=False, server_default=text("0")),  # 0 normal, 1 low
    Column("max_credits", sa.Numeric),
    moment("send_after"),  # a queued task is not sent before; set when the upstream asked for patience
    Column("stored_bytes", sa.BigInteger, nullable=False, server_default=text("0")),  # its durable assets
    Column("resubmission_of", pg.UUID(as_uuid=True)),
    one_of("state", TASK_STATES),
    Index("tasks_client_idx", "client", "id"),
    Index(
        "tasks_client_reference_idx",
        "client",
        "client_reference",
        "id",
        postgresql_where=text("client_reference IS NOT NULL"),
    ),
    Index("tasks_upstream_key", "account", "upstream_task_id", unique=True),
    # A slot is a row whose `slot_until` lies ahead: no counter that a crash could leave wrong.
    Index("tasks_slot_idx", "account", "slot_until", postgresql_where=text("slot_until IS NOT NULL")),
    Index("tasks_queue_idx", "account", "client", "priority", "id", postgresql_where=text("state = 'queued'")),
    Index("tasks_stored_idx", "ended_at", postgresql_where=text("stored_bytes > 0")),
    Index("tasks_poll_idx", "poll_at", postgresql_where=text("poll_at IS NOT NULL")),
)

# One row per upstream account: the lock under which slots are counted, why sending is paused, and the poll budget.
accounts = Table(
    "accounts",
    metadata,
    Column("name", sa.Text, primary_key=True),
    moment("paused_until"),
    Column("pause_reason", sa.Text),
    Column("unauthorized_in_a_row", sa.Integer, nullable=False, server_default=text("0")),
    Column("poll_tokens", sa.Float, nullable=False, server_default=text("0")),
    moment("poll_tokens_at", optional=False),
)

# When a client's queue was last served: of two that wait alike, who was served longer ago comes first.
queue_turns = Table(
    "queue_turns",
    metadata,
    Column("account", sa.Text, primary_key=True),
    Column("client", sa.Text, primary_key=True),
    moment("sent_at", optional=False),
)

# What a queued task needs to be sent, in pieces, so that neither storing nor sending holds a file in memory.
asset_chunks = Table(
    "asset_chunks",
    metadata,
    Column("task_id", pg.UUID(as_uuid=True), primary_key=True),
    Column("asset_number", sa.SmallInteger, primary_key=True),
    Column("chunk_number", sa.Integer, primary_key=True),
    Column("content", sa.LargeBinary, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("client", sa.Text, primary_key=True),
    Column("route", sa.Text, primary_key=True),
    Column("key", sa.Text, primary_key=True),
    Column("fingerprint", sa.LargeBinary, nullable=False),
    Column("task_id", pg.UUID(as_uuid=True), nullable=False),
    moment("created_at", optional=False),
    Index("idempotency_keys_task_idx", "task_id"),
    Index("idempotency_keys_created_idx", "created_at"),
)

# Requests that came without a key and were not answered with a 2xx yet: the same one that comes again joins the task.
unanswered_requests = Table(
    "unanswered_requests",
    metadata,
    Column("task_id", pg.UUID(as_uuid=True), primary_key=True),
    words("client"),
    words("route"),
    Column("fingerprint", sa.LargeBinary, nullable=False),
    Column("waiter", pg.UUID(as_uuid=True), nullable=False),  # the request that waits for the answer
    moment("waiter_until", optional=False),  # its process is taken for dead after this, and the next one may join
    moment("created_at", optional=False),
    Index("unanswered_requests_identity_idx", "client", "route", "fingerprint"),
    Index("unanswered_requests_waiter_key", "waiter", unique=True),
    Index("unanswered_requests_created_idx", "created_at"),
)

# What was charged, refunded or corrected, never changed afterwards; sums of it are what tasks cost.
ledger = Table(
    "ledger",
    metadata,
    id_column(),
    Column("task_id", pg.UUID(as_uuid=True), nullable=False),
    words("client"),
    words("kind"),
    Column("credits", sa.Numeric, nullable=False),
    moment("created_at", optional=False),
    one_of("kind", ("charge", "refund", "estimate", "correction")),
    Index("ledger_client_idx", "client", "created_at"),
    Index("ledger_task_idx", "task_id"),
)

# Evidence: every report as it came, whether it moved a task or not; no foreign key, for a report may outlive its task.
reports = Table(
    "reports",
    metadata,
    id_column(),
    Column("task_id", pg.UUID(as_uuid=True), nullable=False),
    Column("attempt", sa.Integer, nullable=False),
    words("source"),
    Column("body", sa.LargeBinary, nullable=False),
    Column("outcome", sa.Text, nullable=False),
    moment("received_at", optional=False),
    one_of("source", ("callback", "poll")),
    Index("reports_task_idx", "task_id"),
)
