"""Signing secrets at rest: encrypted with a key of GATEWAY_ENCRYPTION_KEYS, so the database alone can sign nothing."""

import base64
import os
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from service.settings import Settings
from service.subscribers.errors import SecretUnreadable
from service.subscribers.signature import PREFIX

VERSION = "enc1"
NONCE_BYTES = 12
KEY_BYTES = 32
KEY_ID_BYTES = 8
CACHED_SECRETS = 4096

_PURPOSE = b"image-gateway subscription secrets"


class Encryption:
    """Encrypts with the first key and decrypts with all: AES-256-GCM, bound to the subscription that it belongs to.

    Stored as `enc1.<key id>.<base64 of nonce and ciphertext>`. A secret in the row of another subscription cannot be
    read. What starts with `whsec_` was stored before there was encryption, and is read as it is.
    """

    def __init__(self, keys: tuple[SecretStr, ...]) -> None:
        self._ciphers = dict(_derive(key.get_secret_value()) for key in keys)
        self._first = next(iter(self._ciphers), "")
        self._decrypt = lru_cache(maxsize=CACHED_SECRETS)(self._decrypt_anew)

    @staticmethod
    def of(settings: Settings) -> "Encryption":
        """The one of these settings: the same object each time, so that all share one memory of decrypted secrets."""
        return _encryption_of(settings.encryption_keys)

    def encrypt(self, subscription_id: UUID, secret: str) -> str:
        """The secret as it is stored in the row of this subscription. Raises SecretUnreadable without any key."""
        if not self._ciphers:
            raise SecretUnreadable
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._ciphers[self._first].encrypt(nonce, secret.encode(), subscription_id.bytes)
        return self.current_prefix + base64.b64encode(sealed).decode()

    def decrypt(self, subscription_id: UUID, stored: str) -> str:
        """The secret as its subscriber knows it, `whsec_…`; cheap when repeated. Raises SecretUnreadable."""
        return stored if stored.startswith(PREFIX) else self._decrypt(subscription_id, stored)

    @property
    def current_prefix(self) -> str:
        """How every text begins that is encrypted with the first key."""
        return f"{VERSION}.{self._first}."

    def _decrypt_anew(self, subscription_id: UUID, stored: str) -> str:
        version, _, rest = stored.partition(".")
        key_id, _, text = rest.partition(".")
        cipher = self._ciphers.get(key_id)
        if version != VERSION or cipher is None:
            raise SecretUnreadable
        try:
            sealed = base64.b64decode(text, validate=True)
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], subscription_id.bytes).decode()
        except (InvalidTag, ValueError) as exc:
            raise SecretUnreadable from exc


@lru_cache(maxsize=8)
def _encryption_of(keys: tuple[SecretStr, ...]) -> Encryption:
    return Encryption(keys)


def _derive(key: str) -> tuple[str, AESGCM]:
    """Its public name and its cipher, both from the configured text, which may be of any length and alphabet."""
    derived = HKDF(SHA256(), KEY_BYTES + KEY_ID_BYTES, salt=None, info=_PURPOSE).derive(key.encode())
    return derived[KEY_BYTES:].hex(), AESGCM(derived[:KEY_BYTES])
