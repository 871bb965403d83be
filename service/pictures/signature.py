"""Signed image URLs: who holds one sees one picture until it expires, and nothing else; pure."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

_LABEL = b"image-gateway image url 1"
_DIGEST_BYTES = 24


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """Which picture: of which task, the how manieth (from 1), and whether its small preview is meant."""

    task_id: UUID
    number: int
    is_preview: bool = False

    @property
    def path(self) -> str:
        """Where the native API has it."""
        return f"/api/v1/tasks/{self.task_id}/images/{self.number}{'/preview' if self.is_preview else ''}"


def signed_url(public_url: str, place: ImagePlace, expires_at_s: int, secrets: Sequence[bytes]) -> str:
    """The URL of the picture below the gateway's public one, good until that second of Unix time."""
    signature = _signature(secrets[0], place, expires_at_s)
    return f"{public_url}{place.path}?expires={expires_at_s}&signature={signature}"


def is_signed(place: ImagePlace, expires_at_s: int, signature: str, secrets: Sequence[bytes]) -> bool:
    """Whether one of the secrets made the signature for this picture and this end; any text may come in."""
    presented = signature.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(_signature(secret, place, expires_at_s).encode(), presented) for secret in secrets]
    return any(matches)


def _signature(secret: bytes, place: ImagePlace, expires_at_s: int) -> str:
    """HMAC-SHA256, cut to 192 bits, with a key of its own: these secrets also sign the image API's callbacks."""
    key = hmac.digest(secret, _LABEL, hashlib.sha256)
    digest = hmac.digest(key, f"{place.path}\n{expires_at_s}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:_DIGEST_BYTES]).decode()
