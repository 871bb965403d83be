"""`reencrypt`: writes stored signing secrets anew with the first of the encryption keys; safe while others serve."""

import asyncio
import sys

from service.commands.settings import settings_with_keys_or_exit
from service.db.engine import Database
from service.db.schema import MigrationsPending, require_migrated
from service.errors import Unavailable
from service.settings import Settings
from service.subscribers.encryption import Encryption
from service.subscribers.reencrypt import Reencrypted, reencrypt


def main(_: str) -> int:
    """Print how many were written; status 1 when the database is not there, or when a secret cannot be read."""
    settings = settings_with_keys_or_exit()
    try:
        done = asyncio.run(_reencrypt(settings))
    except (Unavailable, MigrationsPending) as exc:
        print(f"reencrypt: {exc.detail}", file=sys.stderr)
        return 1
    print(f"reencrypt: wrote the secrets of {done.written} subscriptions anew")
    for subscription_id in done.unreadable:
        print(f"reencrypt: no key reads the secret of subscription {subscription_id}", file=sys.stderr)
    return int(bool(done.unreadable))


async def _reencrypt(settings: Settings) -> Reencrypted:
    database = Database(settings)
    try:
        await require_migrated(database)
        return await reencrypt(database, Encryption.of(settings))
    finally:
        await database.close()
