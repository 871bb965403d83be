"""Signing secrets at rest: unreadable without a key, bound to their subscription, readable with every key."""

import base64
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from service.db.ids import new_id
from service.settings import Settings
from service.subscribers.encryption import Encryption
from service.subscribers.errors import SecretUnreadable
from service.subscribers.signature import new_signing_secret

OLD, NEW = "old-key-0123456789abcdef0123456789", "new-key-0123456789abcdef0123456789"


def encryption(*keys: str) -> Encryption:
    return Encryption(tuple(SecretStr(key) for key in keys))


@given(subscription_id=st.uuids(), secret=st.text().map("whsec_".__add__), key=st.text(min_size=32))
def test_what_was_encrypted_reads_as_it_was_and_shows_nothing_of_it(
    subscription_id: UUID, secret: str, key: str
) -> None:
    stored = encryption(key).encrypt(subscription_id, secret)

    assert encryption(key).decrypt(subscription_id, stored) == secret
    assert stored.startswith("enc1.")
    assert "whsec_" not in stored


def test_the_same_secret_never_looks_the_same_twice() -> None:
    subscription_id, secret = new_id(), new_signing_secret()

    stored = {encryption(OLD).encrypt(subscription_id, secret) for _ in range(100)}

    assert len(stored) == 100


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    subscription_id, secret = new_id(), new_signing_secret()
    by_old, rotated = encryption(OLD), encryption(NEW, OLD)

    stored_before, stored_after = by_old.encrypt(subscription_id, secret), rotated.encrypt(subscription_id, secret)

    assert rotated.decrypt(subscription_id, stored_before) == secret
    assert encryption(NEW).decrypt(subscription_id, stored_after) == secret
    assert stored_after.startswith(rotated.current_prefix)
    assert not stored_before.startswith(rotated.current_prefix)


def test_a_secret_from_before_there_was_encryption_reads_as_it_is() -> None:
    secret = new_signing_secret()

    assert encryption(OLD).decrypt(new_id(), secret) == secret


def test_a_secret_in_another_subscriptions_row_cannot_be_read() -> None:
    stored = encryption(OLD).encrypt(new_id(), new_signing_secret())

    with pytest.raises(SecretUnreadable):
        encryption(OLD).decrypt(new_id(), stored)


def test_without_its_key_a_secret_cannot_be_read() -> None:
    subscription_id = new_id()
    stored = encryption(OLD).encrypt(subscription_id, new_signing_secret())

    with pytest.raises(SecretUnreadable):
        encryption(NEW).decrypt(subscription_id, stored)
    with pytest.raises(SecretUnreadable):
        encryption().encrypt(subscription_id, "whsec_")


@given(place=st.integers(min_value=0, max_value=88), bit=st.integers(min_value=0, max_value=7))
def test_a_single_changed_bit_is_noticed(place: int, bit: int) -> None:
    subscription_id, either = new_id(), encryption(OLD)
    version, key_id, text = either.encrypt(subscription_id, new_signing_secret()).split(".")
    sealed = bytearray(base64.b64decode(text))
    sealed[place % len(sealed)] ^= 1 << bit

    with pytest.raises(SecretUnreadable):
        either.decrypt(subscription_id, f"{version}.{key_id}.{base64.b64encode(sealed).decode()}")


@given(stored=st.text().filter(lambda text: not text.startswith("whsec_")))
def test_whatever_else_stands_in_the_column_is_an_exact_error(stored: str) -> None:
    for text in (stored, f"{encryption(OLD).current_prefix}{stored}", f"enc2.{stored}"):
        with pytest.raises(SecretUnreadable):
            encryption(OLD).decrypt(new_id(), text)


def test_the_keys_of_the_settings_are_derived_once() -> None:
    settings = Settings(encryption_keys=(SecretStr(OLD),))

    assert Encryption.of(settings) is Encryption.of(Settings(encryption_keys=(SecretStr(OLD),)))
    assert Encryption.of(settings) is not Encryption.of(Settings(encryption_keys=(SecretStr(NEW),)))
