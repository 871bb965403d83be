"""The database's schema: migrations make what the code expects, however many pods run them at once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.support.database import Database, migrate
from tests.support.gateway import ENCRYPTION_KEY
from tests.support.postgres import ROOT
from tests.support.processes import Programs


def test_migrations_make_exactly_the_tables_of_the_code(own_database: Database) -> None:
    environment = {**os.environ, "GATEWAY_DATABASE_URL": own_database.url}
    command = [sys.executable, "-m", "alembic", "check"]
    checked = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_index_entry_of_undone_deliveries_stands_for_many_rows(own_database: Database) -> None:
    options = "SELECT count(*) FROM pg_class WHERE relname LIKE 'deliveries\\___%_idx' AND reloptions = $1::text[]"

    assert own_database.value(options, ["deduplicate_items=off"]) == 3


def test_pods_that_migrate_at_once_do_not_disturb_each_other(bare_database: Database) -> None:
    with ThreadPoolExecutor(3) as pods:
        list(pods.map(migrate, [bare_database.url] * 3))

    assert bare_database.value("SELECT count(*) FROM alembic_version") == 1


def test_the_gateway_refuses_to_serve_before_the_migrations(bare_database: Database, programs: Programs) -> None:
    environment = {
        "GATEWAY_DATABASE_URL": bare_database.url,
        "GATEWAY_ENCRYPTION_KEYS": ENCRYPTION_KEY,
        "GATEWAY_PORT": "0",
        "GATEWAY_DATABASE_WAIT_S": "1",
    }
    api = programs.start("api", ["service", "api"], environment)

    assert api.wait() != 0
    assert "service migrate" in api.log()
    assert "Traceback" not in api.log()
