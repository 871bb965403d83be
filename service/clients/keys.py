"""Which client an API key belongs to; keys are held and looked up as hashes only."""

from collections.abc import Mapping
from hashlib import sha256


class Keyring:
    """The keys that are valid now. What it holds in memory opens nothing: hashes and client names."""

    def __init__(self, key_clients: Mapping[str, str]) -> None:
        self._client_by_digest = {_digest(key): client for key, client in key_clients.items()}

    def client_of(self, key: str) -> str | None:
        """The name of the client that owns the key, None for an unknown key.

        The time taken tells nothing about how much of a guess was right: a guess is compared as its hash.
        """
        return self._client_by_digest.get(_digest(key))


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
