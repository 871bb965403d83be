"""Migrations meet a database that is in use."""

import pytest

from tests.house.sources import Source, sources

MIGRATIONS = [each for each in sources("migrations") if each.path.startswith("migrations/versions/")]


def test_there_is_a_schema_to_migrate_to() -> None:
    assert MIGRATIONS != []


@pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda each: each.path.split("/")[-1])
def test_a_migration_gives_up_rather_than_queue_everybody_behind_its_lock(migration: Source) -> None:
    assert "lock_timeout" in migration.text
