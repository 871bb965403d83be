"""Notifications: partitions by day, fair claims, formats, filters, rotation, recover jobs."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PARTITIONED = ("events", "delivery_results", "delivery_attempts")
DAYS_AHEAD = 7

# 48 bits of Unix milliseconds over a random uuid of version 4, whose version becomes 7.
UUID7 = """
CREATE FUNCTION gateway_uuid7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1),
        'hex')::uuid
$$
"""

# Volatile, so that it counts what was committed until this moment, also within a statement that began earlier: the
# claim asks after it has locked the subscription. No sequential scans: a plan made on an empty table lives on.
UNDER_WAY = """
CREATE FUNCTION gateway_under_way(subscription uuid, most integer) RETURNS integer LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off AS $$
BEGIN
    RETURN (SELECT count(*) FROM (
        SELECT FROM deliveries d
        WHERE d.subscription_id = subscription AND d.claim_id IS NOT NULL AND d.lease_until > now() LIMIT most
    ) AS claimed);
END $$
"""

# What was sent before had random ids: new ones by time, so that every row finds the partition of its day.
COPY = """
CREATE TEMP TABLE new_ids ON COMMIT DROP AS
    SELECT id AS old, gateway_uuid7(created_at) AS new FROM deliveries
    UNION ALL SELECT id, gateway_uuid7(created_at) FROM delivery_results_0002;
INSERT INTO events (id, client, type, task_id, body, created_at)
    SELECT id, client, type, task_id, body, created_at FROM events_0002 ORDER BY id;
INSERT INTO delivery_results (id, client, event_id, subscription_id, state, attempts, created_at, ended_at)
    SELECT n.new, e.client, r.event_id, r.subscription_id, r.state, r.attempts, r.created_at, r.ended_at
    FROM delivery_results_0002 r JOIN new_ids n ON n.old = r.id JOIN events_0002 e ON e.id = r.event_id;
INSERT INTO delivery_attempts (id, delivery_id, number, started_at, duration_ms, status, error_class, error, answer)
    SELECT gateway_uuid7(a.started_at), n.new, a.number, a.started_at, a.duration_ms, a.status, a.error_class, a.error,
        a.answer
    FROM delivery_attempts_0002 a JOIN new_ids n ON n.old = a.delivery_id;
UPDATE deliveries d SET id = n.new, claim_id = NULL, client = e.client
    FROM new_ids n, events_0002 e WHERE n.old = d.id AND e.id = d.event_id;
DELETE FROM deliveries WHERE client IS NULL
"""


def upgrade() -> None:
    """Apply; gives up after 5 s rather than queue every query behind a lock that it waits for."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(UUID7)
    _change_subscriptions()
    for table in PARTITIONED:
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_0002")
        op.execute(f"ALTER INDEX {table}_pkey RENAME TO {table}_0002_pkey")
    for index in ("events_task_idx", "delivery_results_event_idx", "delivery_attempts_delivery_idx"):
        op.drop_index(index)
    op.execute("ALTER TABLE delivery_results_0002 DROP CONSTRAINT delivery_results_state_check")
    _create_partitioned()
    _change_deliveries()
    op.execute(UNDER_WAY)
    _create_recoveries()


def downgrade() -> None:
    """Undo; ids stay as they are."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("recoveries")
    op.execute("DROP FUNCTION gateway_under_way(uuid, integer)")
    for table in PARTITIONED:
        op.execute(f"CREATE TABLE {table}_0002 (LIKE {table} INCLUDING DEFAULTS)")
        op.execute(f"INSERT INTO {table}_0002 SELECT * FROM {table}")
        op.drop_table(table)
        op.execute(f"ALTER TABLE {table}_0002 RENAME TO {table}")
        op.create_primary_key(f"{table}_pkey", table, ["id"])
    op.drop_column("events", "upstream_body")
    op.drop_column("events", "written_by")
    op.drop_column("delivery_results", "client")
    op.create_check_constraint(
        op.f("delivery_results_state_check"), "delivery_results", "state IN ('delivered', 'dead')"
    )
    op.create_index("events_task_idx", "events", ["task_id"])
    op.create_index("delivery_results_event_idx", "delivery_results", ["event_id"])
    op.create_index("delivery_attempts_delivery_idx", "delivery_attempts", ["delivery_id"])
    for index in ("deliveries_due_idx", "deliveries_lane_idx", "deliveries_lease_idx"):
        op.drop_index(index, table_name="deliveries")
    op.drop_column("deliveries", "lease_until")
    op.drop_column("deliveries", "client")
    storage = "fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_cost_delay"
    op.execute(f"ALTER TABLE deliveries RESET ({storage})")
    op.create_index("deliveries_due_idx", "deliveries", ["due_at"])
    op.create_index("deliveries_subscription_idx", "deliveries", ["subscription_id"])
    _restore_subscriptions()
    op.execute("DROP FUNCTION gateway_uuid7(timestamptz)")


NEW_COLUMNS = (
    sa.Column("filter", postgresql.JSONB(), nullable=True),
    sa.Column("previous_secret", sa.Text(), nullable=True),
    sa.Column("previous_secret_until", sa.TIMESTAMP(timezone=True), nullable=True),
    sa.Column("format", sa.Text(), server_default="standard", nullable=False),
    sa.Column("disabled_reason", sa.Text(), nullable=True),
    sa.Column("timeout_s", sa.Float(), nullable=True),
    sa.Column("max_in_flight", sa.Integer(), nullable=True),
    sa.Column("rate_per_s", sa.Float(), nullable=True),
    sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
    sa.Column("failures_in_row", sa.Integer(), server_default=sa.text("0"), nullable=False),
    sa.Column("failing_since", sa.TIMESTAMP(timezone=True), nullable=True),
    sa.Column("rests_until", sa.TIMESTAMP(timezone=True), nullable=True),
    sa.Column("tokens", sa.Float(), server_default=sa.text("0"), nullable=False),
    sa.Column("tokens_at", sa.TIMESTAMP(timezone=True), nullable=True),
)


def _change_subscriptions() -> None:
    for column in NEW_COLUMNS:
        op.add_column("subscriptions", column)
    op.execute("UPDATE subscriptions SET disabled_reason = 'gone' WHERE state = 'disabled'")
    op.drop_constraint(op.f("subscriptions_state_check"), "subscriptions", type_="check")
    for name, words in (
        ("state", "'active', 'paused', 'disabled'"),
        ("format", "'standard', 'upstream'"),
        ("disabled_reason", "'gone', 'failing'"),
    ):
        op.create_check_constraint(op.f(f"subscriptions_{name}_check"), "subscriptions", f"{name} IN ({words})")
    op.drop_index("subscriptions_inline_key", table_name="subscriptions")
    op.create_index(
        "subscriptions_inline_key",
        "subscriptions",
        ["client", "url", "format"],
        unique=True,
        postgresql_where=sa.text("inline"),
    )
    op.create_index("subscriptions_own_idx", "subscriptions", ["client"], postgresql_where=sa.text("NOT inline"))


def _restore_subscriptions() -> None:
    op.drop_index("subscriptions_own_idx", table_name="subscriptions")
    op.drop_index("subscriptions_inline_key", table_name="subscriptions")
    op.execute("DELETE FROM subscriptions WHERE inline AND format <> 'standard'")
    op.create_index(
        "subscriptions_inline_key", "subscriptions", ["client", "url"], unique=True, postgresql_where=sa.text("inline")
    )
    op.drop_constraint(op.f("subscriptions_state_check"), "subscriptions", type_="check")
    op.execute("UPDATE subscriptions SET state = 'disabled' WHERE state = 'paused'")
    op.create_check_constraint(op.f("subscriptions_state_check"), "subscriptions", "state IN ('active', 'disabled')")
    for column in reversed(NEW_COLUMNS):
        op.drop_column("subscriptions", column.name)


def _create_partitioned() -> None:
    op.execute("""
        CREATE TABLE events (
            id uuid NOT NULL CONSTRAINT events_pkey PRIMARY KEY, client text NOT NULL, type text NOT NULL, task_id uuid,
            body text NOT NULL, upstream_body text, created_at timestamptz NOT NULL DEFAULT now(),
            written_by bigint NOT NULL DEFAULT ((pg_current_xact_id())::text)::bigint
        ) PARTITION BY RANGE (id)
    """)
    op.execute("""
        CREATE TABLE delivery_results (
            id uuid NOT NULL CONSTRAINT delivery_results_pkey PRIMARY KEY, client text NOT NULL, event_id uuid NOT NULL,
            subscription_id uuid NOT NULL, state text NOT NULL, attempts integer NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT delivery_results_state_check CHECK (state IN ('delivered', 'dead'))
        ) PARTITION BY RANGE (id)
    """)
    op.execute("""
        CREATE TABLE delivery_attempts (
            id uuid NOT NULL, delivery_id uuid NOT NULL,
            number integer NOT NULL, started_at timestamptz NOT NULL DEFAULT now(), duration_ms integer NOT NULL,
            status integer, error_class text, error text, answer bytea
        ) PARTITION BY RANGE (id)
    """)
    op.create_index("events_task_idx", "events", ["task_id"])
    op.create_index("events_feed_idx", "events", ["client", "written_by", "id"])
    op.create_index("delivery_results_client_idx", "delivery_results", ["client", "id"])
    op.create_index("delivery_results_subscription_idx", "delivery_results", ["subscription_id", "id"])
    op.create_index("delivery_results_event_idx", "delivery_results", ["event_id"])
    op.create_index("delivery_attempts_delivery_idx", "delivery_attempts", ["delivery_id"])
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1)]
    for table in PARTITIONED:
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
        for day in days:
            first, end = _first_id(day), _first_id(day + timedelta(days=1))
            op.execute(
                f"CREATE TABLE {table}_p{day:%Y%m%d} PARTITION OF {table} FOR VALUES FROM ('{first}') TO ('{end}')"
            )


def _first_id(day: datetime) -> str:
    return f"{int(day.timestamp() * 1000) << 80:032x}"


def _change_deliveries() -> None:
    op.add_column("deliveries", sa.Column("client", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("lease_until", sa.TIMESTAMP(timezone=True), nullable=True))
    for statement in COPY.split(";"):
        op.execute(statement)
    op.alter_column("deliveries", "client", nullable=False)
    for table in PARTITIONED:
        op.execute(f"DROP TABLE {table}_0002")
    op.drop_index("deliveries_due_idx", table_name="deliveries")
    op.drop_index("deliveries_subscription_idx", table_name="deliveries")
    waiting, claimed = sa.text("claim_id IS NULL"), sa.text("claim_id IS NOT NULL")
    op.create_index("deliveries_due_idx", "deliveries", ["due_at"], postgresql_where=waiting)
    op.create_index("deliveries_lane_idx", "deliveries", ["subscription_id", "due_at"], postgresql_where=waiting)
    op.create_index("deliveries_lease_idx", "deliveries", ["subscription_id", "lease_until"], postgresql_where=claimed)
    # Every row is written three times in its short life: clean up behind it all the time.
    op.execute("""
        ALTER TABLE deliveries
        SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)
    """)


def _create_recoveries() -> None:
    op.execute("""
        CREATE TABLE recoveries (
            id uuid NOT NULL CONSTRAINT recoveries_pkey PRIMARY KEY, client text NOT NULL,
            subscription_id uuid NOT NULL, since timestamptz NOT NULL DEFAULT now(),
            until timestamptz NOT NULL DEFAULT now(), state text NOT NULL DEFAULT 'running',
            only_failed boolean NOT NULL, reached_by bigint NOT NULL, reached uuid NOT NULL,
            events_total integer NOT NULL, events_looked_at integer NOT NULL DEFAULT 0,
            deliveries_made integer NOT NULL DEFAULT 0, next_at timestamptz NOT NULL DEFAULT now(),
            created_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz,
            CONSTRAINT recoveries_state_check CHECK (state IN ('running', 'done', 'canceled'))
        )
    """)
    op.create_index("recoveries_subscription_idx", "recoveries", ["subscription_id", "id"])
    running = sa.text("state = 'running'")
    op.create_index("recoveries_running_idx", "recoveries", ["next_at"], postgresql_where=running)
    op.create_index("recoveries_running_key", "recoveries", ["subscription_id"], unique=True, postgresql_where=running)
