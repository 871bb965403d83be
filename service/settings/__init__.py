"""Every knob of the gateway, its unit in its name, checked once at start; the README's table is generated from here."""

import base64
import os
import secrets
from ipaddress import ip_network
from typing import Self
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from service.settings.kinds import Network, networks_of, parts_of, suffixes_of
from service.settings.surfaces import SurfaceSettings

MIN_KEY_LENGTH = 16
MIN_ENCRYPTION_KEY_LENGTH = 32


class Settings(SurfaceSettings):
    """One immutable reading of the environment (`GATEWAY_…`), of mounted secret files, and of nothing else."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True, extra="ignore", hide_input_in_errors=True)

    @field_validator("callback_secrets", "api_keys", "encryption_keys", "outbound_allow", "image_allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return parts_of(value)

    @field_validator("upstream_url", "public_url")
    @classmethod
    def _is_base_url(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
            raise ValueError("must be an http or https URL such as https://gateway.example")
        return value.rstrip("/")

    @field_validator("api_keys")
    @classmethod
    def _keys_are_named_and_long(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for entry in value:
            name, _, key = entry.get_secret_value().partition(":")
            if not name or len(key) < MIN_KEY_LENGTH:
                raise ValueError(f"each entry must read name:key with a key of {MIN_KEY_LENGTH} characters or more")
        return value

    @field_validator("callback_secrets")
    @classmethod
    def _secrets_are_long(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(entry.get_secret_value()) < MIN_KEY_LENGTH for entry in value):
            raise ValueError(f"each secret must have {MIN_KEY_LENGTH} characters or more")
        return value

    @field_validator("encryption_keys")
    @classmethod
    def _encryption_keys_are_long(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(entry.get_secret_value()) < MIN_ENCRYPTION_KEY_LENGTH for entry in value):
            raise ValueError(f"each key must have {MIN_ENCRYPTION_KEY_LENGTH} characters or more")
        return value

    @field_validator("outbound_allow", "image_allow")
    @classmethod
    def _allow_list_is_readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            if "/" in entry:
                ip_network(entry)
        return value

    @model_validator(mode="after")
    def _callbacks_need_a_secret(self) -> Self:
        if self.public_url and not self.callback_secrets:
            raise ValueError("GATEWAY_PUBLIC_URL needs GATEWAY_CALLBACK_SECRETS: callbacks are verified with them")
        return self

    @model_validator(mode="after")
    def _image_urls_need_an_address(self) -> Self:
        if self.image_urls == "gateway" and not self.public_url:
            raise ValueError("GATEWAY_IMAGE_URLS=gateway needs GATEWAY_PUBLIC_URL: image URLs begin with it")
        return self

    @property
    def lease_s(self) -> float:
        """How long a process may hold a submitting task: the call's longest time and a margin."""
        return self.submit_total_s + self.submit_lease_margin_s

    @property
    def first_look_s(self) -> float:
        """How long a task is left alone before the image API is asked about it; soon when it cannot call back."""
        return self.reconcile_quiet_s if self.public_url else self.reconcile_first_s

    @property
    def look_lease_s(self) -> float:
        """How long asking about a task may take before somebody else asks: the process that asked must have died."""
        call_s = self.upstream_connect_timeout_s + self.upstream_read_timeout_s
        return self.upstream_retry_budget_s + call_s + 2.0

    @property
    def key_clients(self) -> dict[str, str]:
        """API key to client name; many keys may name one client, so that keys can be rotated."""
        pairs = (entry.get_secret_value().partition(":") for entry in self.api_keys)
        return {key: name for name, _, key in pairs}

    @property
    def outbound_networks(self) -> tuple[Network, ...]:
        """The networks of the allow-list."""
        return networks_of(self.outbound_allow)

    @property
    def outbound_suffixes(self) -> tuple[str, ...]:
        """The host names of the allow-list; one that starts with a dot matches every name below it."""
        return suffixes_of(self.outbound_allow)

    @property
    def image_networks(self) -> tuple[Network, ...]:
        """The networks that pictures may be fetched from."""
        return networks_of(self.image_allow)

    @property
    def image_suffixes(self) -> tuple[str, ...]:
        """The host names that pictures may be fetched from, as `outbound_suffixes` writes them."""
        return suffixes_of(self.image_allow)

    def masked(self) -> dict[str, str]:
        """Every setting as one line of text for the start-up log; secrets show as stars."""
        return {name: str(getattr(self, name)) for name in type(self).model_fields}


def read_settings() -> Settings:
    """The settings of the environment, and of the files in the folder that GATEWAY_SECRETS_DIR names, if it does.

    A mounted secret is a file named like the variable, such as `gateway_upstream_api_key`; the environment goes first.
    """
    folder = os.environ.get("GATEWAY_SECRETS_DIR")
    return Settings(_secrets_dir=folder) if folder else Settings()


def settings_table() -> str:
    """The Markdown table of all settings that README holds between its markers."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `GATEWAY_{name.upper()}` | {_shown_default(field.default)} | {field.description} |")
    return "\n".join(rows)


def _shown_default(default: object) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, tuple):
        default = ",".join(str(part) for part in default)
    text = f"{default:g}" if isinstance(default, float) else str(default)
    return "" if default is None or text == "" else f"`{text}`"


def new_secret() -> str:
    """A fresh random secret of 32 bytes as URL-safe text."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
