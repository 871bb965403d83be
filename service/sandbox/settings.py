"""What the sandbox reads from its environment, once, before it opens a port."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SandboxSettings:
    """Where to listen, whose keys count, what the account holds and how the moods start."""

    host: str = "127.0.0.1"
    port: int = 8900
    """0 takes a free port; the line on stdout names it."""
    api_keys: frozenset[str] = frozenset({"sk_sandbox"})
    credits: int = 1_000_000
    public_url: str = ""
    """Prefix of image URLs. Empty: the host that the create request was addressed to."""
    moods: dict[str, Any] = field(default_factory=dict)


def settings_from(environ: Mapping[str, str]) -> SandboxSettings:
    """The settings that SANDBOX_* variables spell; ValueError names the variable that cannot be read."""
    return SandboxSettings(
        host=environ.get("SANDBOX_HOST", SandboxSettings.host),
        port=_whole_number(environ, "SANDBOX_PORT", SandboxSettings.port),
        api_keys=_keys(environ.get("SANDBOX_API_KEYS", "sk_sandbox")),
        credits=_whole_number(environ, "SANDBOX_CREDITS", SandboxSettings.credits),
        public_url=environ.get("SANDBOX_PUBLIC_URL", "").rstrip("/"),
        moods=_moods(environ.get("SANDBOX_MOODS", "")),
    )


def _whole_number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal():
        raise ValueError(f"{name} must be a whole number, not {text!r}")
    return int(text)


def _keys(text: str) -> frozenset[str]:
    keys = frozenset(key.strip() for key in text.split(",") if key.strip())
    if not keys:
        raise ValueError("SANDBOX_API_KEYS must name at least one key, separated by commas")
    return keys


def _moods(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        moods = json.loads(text)
    except json.JSONDecodeError as exc:
        raise ValueError(f"SANDBOX_MOODS is not JSON: {exc}") from exc
    if not isinstance(moods, dict):
        raise ValueError("SANDBOX_MOODS must be a JSON object of knobs")
    return moods
