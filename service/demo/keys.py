"""The API key and the callback secret of `make run`: made once, kept in a file that only its owner may read."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from service.demo.ending import DemoFailed


@dataclass(frozen=True)
class Keys:
    """What a second run has to have again: clients keep their key, and images under way keep their way back."""

    api_key: str
    callback_secret: str


def kept_keys(path: Path) -> Keys:
    """The keys of the last run, or new ones, kept at `path` from now on. Raises DemoFailed when it cannot be read."""
    try:
        kept = json.loads(path.read_text())
        return Keys(api_key=str(kept["api_key"]), callback_secret=str(kept["callback_secret"]))
    except FileNotFoundError:
        return _new_keys(path)
    except (ValueError, KeyError, TypeError) as exc:
        raise DemoFailed(f"{path} does not hold the keys of a run; delete it, and new ones are made.") from exc


def _new_keys(path: Path) -> Keys:
    keys = Keys(api_key=f"demo-{secrets.token_urlsafe(24)}", callback_secret=secrets.token_urlsafe(32))
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(keys), file)
    unfinished.rename(path)
    return keys
