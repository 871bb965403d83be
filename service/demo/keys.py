"""The keys and secrets of `make run`: made once, kept in a file that only its owner may read."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from service.demo.ending import DemoFailed


@dataclass(frozen=True)
class Keys:
    """What a second run has to have again.

    Clients keep their key, images under way their way back, and what is encrypted in the database can be read.
    """

    api_key: str
    callback_secret: str
    encryption_key: str


def kept_keys(path: Path) -> Keys:
    """The keys of the last run, or new ones, kept at `path` from now on. Raises DemoFailed when it cannot be read."""
    try:
        kept = json.loads(path.read_text())
        api_key, callback_secret = str(kept["api_key"]), str(kept["callback_secret"])
        if "encryption_key" not in kept:  # from before signing secrets were encrypted
            return _kept_at(path, Keys(api_key, callback_secret, secrets.token_urlsafe(32)))
        return Keys(api_key, callback_secret, str(kept["encryption_key"]))
    except FileNotFoundError:
        return _kept_at(path, _new_keys())
    except (ValueError, KeyError, TypeError) as exc:
        raise DemoFailed(f"{path} does not hold the keys of a run; delete it, and new ones are made.") from exc


def _new_keys() -> Keys:
    return Keys(f"demo-{secrets.token_urlsafe(24)}", secrets.token_urlsafe(32), secrets.token_urlsafe(32))


def _kept_at(path: Path, keys: Keys) -> Keys:
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(keys), file)
    unfinished.rename(path)
    return keys
