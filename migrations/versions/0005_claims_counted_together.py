"""claims counted together, indexes of the hot table without posting lists."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# `gateway_under_way` for many subscriptions in one call. Volatile, as that one is, so that it counts what was committed
# until this moment, also within a statement that began earlier: the claim asks after it has locked the subscriptions.
UNDER_WAY_BY_LANE = """
CREATE FUNCTION gateway_under_way_by_lane(lanes uuid[], most integer[])
RETURNS TABLE (lane uuid, under_way integer) LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY SELECT asked.lane, (SELECT count(*)::integer FROM (
        SELECT FROM deliveries d
        WHERE d.subscription_id = asked.lane AND d.claim_id IS NOT NULL AND d.lease_until > now() LIMIT asked.most
    ) AS claimed)
    FROM unnest(lanes, most) AS asked (lane, most);
END $$
"""

HOT_INDEXES = ("deliveries_due_idx", "deliveries_lane_idx", "deliveries_lease_idx")


def upgrade() -> None:
    """Apply; gives up after 5 s rather than queue every query behind a lock that it waits for.

    The indexes change for what is written from now on; the rows of this table do not stay for long.
    """
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(UNDER_WAY_BY_LANE)
    for index in HOT_INDEXES:
        op.execute(f"ALTER INDEX {index} SET (deduplicate_items = off)")


def downgrade() -> None:
    """Undo."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    for index in HOT_INDEXES:
        op.execute(f"ALTER INDEX {index} RESET (deduplicate_items)")
    op.execute("DROP FUNCTION gateway_under_way_by_lane(uuid[], integer[])")
