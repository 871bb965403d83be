"""Keys of secrets at rest can be changed: everything is written anew with the first one, while others serve."""

from uuid import UUID

import pytest
from pydantic import SecretStr

from service.db.ids import new_id
from service.subscribers import reencrypt as module
from service.subscribers.encryption import Encryption
from service.subscribers.reencrypt import reencrypt
from service.subscribers.signature import new_signing_secret
from tests.subscribers.notifications import Notifications
from tests.support.database import Database
from tests.support.gateway import ENCRYPTION_KEY
from tests.support.processes import Programs

URL = "http://10.0.0.7/hook"
OLD, NEW, LOST = "old-key-0123456789abcdef0123456789", "new-key-0123456789abcdef0123456789", "lost-key-" + "0" * 32


def encryption(*keys: str) -> Encryption:
    return Encryption(tuple(SecretStr(key) for key in keys))


STORED = """
INSERT INTO subscriptions (id, client, url, event_types, secret, description, previous_secret, previous_secret_until)
VALUES (:id, 'shop', :url, '{}', :text, '', :previous, now() + CAST(CAST(:until AS text) AS interval))
"""


async def stored(
    notifications: Notifications, key: str | None, *, previous_until: str | None = None
) -> tuple[UUID, str]:
    """A subscription whose secrets are stored with that key, or as they were before there was any."""
    subscription_id, secret = new_id(), new_signing_secret()
    text = encryption(key).encrypt(subscription_id, secret) if key else secret
    values = {"id": subscription_id, "url": f"{URL}/{subscription_id}", "text": text, "until": previous_until}
    await notifications.rows(STORED, **values, previous=previous_until and text)
    return subscription_id, secret


async def secrets_read_by(notifications: Notifications, key: str) -> dict[UUID, tuple[str, str | None]]:
    rows = await notifications.rows("SELECT id, secret, previous_secret FROM subscriptions")
    read = encryption(key).decrypt
    return {
        row["id"]: (read(row["id"], row["secret"]), row["previous_secret"] and read(row["id"], row["previous_secret"]))
        for row in rows
    }


async def test_afterwards_the_first_key_alone_reads_everything(notifications: Notifications) -> None:
    made = dict([await stored(notifications, key) for key in (OLD, None, NEW, OLD)])

    done = await reencrypt(notifications.database, encryption(NEW, OLD))

    assert (done.written, done.unreadable) == (3, ())
    assert await secrets_read_by(notifications, NEW) == {each: (secret, None) for each, secret in made.items()}
    assert await notifications.rows("SELECT id FROM subscriptions WHERE secret LIKE '%whsec%'") == []


async def test_a_second_run_has_nothing_to_do(notifications: Notifications) -> None:
    await stored(notifications, OLD)
    await reencrypt(notifications.database, encryption(NEW, OLD))
    before = await notifications.rows("SELECT * FROM subscriptions")

    done = await reencrypt(notifications.database, encryption(NEW, OLD))

    assert done.written == 0
    assert await notifications.rows("SELECT * FROM subscriptions") == before


async def test_a_previous_secret_that_still_signs_goes_along_and_one_that_does_not_is_forgotten(
    notifications: Notifications,
) -> None:
    rotating, secret = await stored(notifications, OLD, previous_until="1 hour")
    over, of_over = await stored(notifications, OLD, previous_until="-1 second")

    await reencrypt(notifications.database, encryption(NEW, OLD))

    assert await secrets_read_by(notifications, NEW) == {rotating: (secret, secret), over: (of_over, None)}


async def test_what_no_key_reads_is_named_and_left_as_it_is(notifications: Notifications) -> None:
    lost, _ = await stored(notifications, LOST)
    await stored(notifications, OLD)

    done = await reencrypt(notifications.database, encryption(NEW, OLD))

    assert (done.written, done.unreadable) == (1, (lost,))
    (row,) = await notifications.rows("SELECT secret FROM subscriptions WHERE id = :id", id=lost)
    assert row["secret"].startswith(encryption(LOST).current_prefix)


async def test_more_than_a_batch_is_done(notifications: Notifications) -> None:
    await notifications.rows(
        """INSERT INTO subscriptions (id, client, url, event_types, secret, description)
        SELECT gateway_uuid7(now()), 'shop', :url || n, '{}', 'whsec_' || n, '' FROM generate_series(1, :count) AS n""",
        url=URL,
        count=2 * module.BATCH + 1,
    )

    done = await reencrypt(notifications.database, encryption(NEW))

    assert done.written == 2 * module.BATCH + 1
    read = await secrets_read_by(notifications, NEW)
    assert {secret for secret, _ in read.values()} == {f"whsec_{n}" for n in range(1, done.written + 1)}


@pytest.mark.parametrize("key", [None, LOST], ids=["plain text", "a lost key"])
async def test_the_command_tells_what_it_did(
    notifications: Notifications, quiet_database: Database, programs: Programs, key: str | None
) -> None:
    subscription_id, _ = await stored(notifications, key)
    environment = {"GATEWAY_DATABASE_URL": quiet_database.url, "GATEWAY_ENCRYPTION_KEYS": f"{NEW},{OLD}"}

    command = programs.start("reencrypt", ["service", "reencrypt"], environment)

    assert command.wait() == (1 if key else 0), command.log()
    assert f"wrote the secrets of {0 if key else 1} subscriptions anew" in command.log()
    assert (str(subscription_id) in command.log()) == bool(key)
    assert "Traceback" not in command.log()


@pytest.mark.parametrize("role", ["all", "api", "worker", "reencrypt"])
def test_without_a_key_nothing_starts_that_needs_one(quiet_database: Database, programs: Programs, role: str) -> None:
    command = programs.start(role, ["service", role], {"GATEWAY_DATABASE_URL": quiet_database.url})

    assert command.wait() == 2
    assert command.log().startswith("GATEWAY_ENCRYPTION_KEYS: is not set; make one with `openssl rand -hex 32`")


@pytest.mark.parametrize("keys", ["short", f"{ENCRYPTION_KEY},short"])
def test_a_short_key_is_refused_and_not_shown(quiet_database: Database, programs: Programs, keys: str) -> None:
    environment = {"GATEWAY_DATABASE_URL": quiet_database.url, "GATEWAY_ENCRYPTION_KEYS": keys}

    command = programs.start("worker", ["service", "worker"], environment)

    assert command.wait() == 2
    assert "32 characters" in command.log()
    assert keys not in command.log()
