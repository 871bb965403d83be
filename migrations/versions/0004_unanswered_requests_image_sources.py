"""unanswered requests, image sources."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; gives up after 5 s rather than queue every query behind a lock that it waits for."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "unanswered_requests",
        sa.Column("task_id", sa.UUID(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("waiter", sa.UUID(), nullable=False),
        sa.Column("waiter_until", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name=op.f("unanswered_requests_pkey")),
    )
    op.create_index(
        "unanswered_requests_identity_idx", "unanswered_requests", ["client", "route", "fingerprint"], unique=False
    )
    op.create_index("unanswered_requests_waiter_key", "unanswered_requests", ["waiter"], unique=True)
    op.create_index("unanswered_requests_created_idx", "unanswered_requests", ["created_at"], unique=False)
    op.add_column("tasks", sa.Column("image_sources", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("tasks", "image_sources")
    op.drop_table("unanswered_requests")
