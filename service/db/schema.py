"""Which migration this code needs, and whether the database has it; asks without importing alembic (a second)."""

from sqlalchemy import text

from service.db.engine import Database
from service.errors import GatewayError

# Revisions are numbers, so that code can tell an older schema (refuse) from a newer one (a rollout under way: serve).
NEEDED_REVISION = "0004"

_EXISTS = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_VERSION = text("SELECT version_num FROM alembic_version")


class MigrationsPending(GatewayError):
    """The database is not migrated to what this version needs; run `python -m service migrate` first."""


async def present_revision(database: Database) -> str | None:
    """The newest migration that the database has, or None on an empty database."""
    exists = (await database.statement(_EXISTS))[0][0]
    rows = await database.statement(_VERSION) if exists else ()
    return str(rows[0][0]) if rows else None


async def require_migrated(database: Database) -> None:
    """Raise MigrationsPending unless the database has at least the revision that this code needs."""
    present = await present_revision(database)
    if present is None or present < NEEDED_REVISION:
        raise MigrationsPending(
            f"The database is at migration {present or 'none'}, this version needs {NEEDED_REVISION}; "
            "run `python -m service migrate` first."
        )
