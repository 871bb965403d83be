"""`migrate`: brings the database to this version's schema; pods that run it at once wait for each other."""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from service.commands.settings import settings_or_exit

MIGRATIONS = Path(__file__).parents[2] / "migrations"


def main(_: str) -> int:
    """Run what is missing; status 1 and one line when the database is away or a lock cannot be had."""
    settings_or_exit()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    try:
        command.upgrade(config, "head")
    except (CommandError, OSError, SQLAlchemyError) as exc:
        print(f"migrate: {exc}", file=sys.stderr)
        return 1
    print("migrate: the database is up to date")
    return 0
