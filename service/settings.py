"""Every knob of the gateway, its unit in its name, checked once at start; the README's table is generated from here."""

import base64
import os
import secrets
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Network = IPv4Network | IPv6Network
Texts = Annotated[tuple[str, ...], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]
Seconds = Annotated[float, Field(gt=0)]

MIN_KEY_LENGTH = 16


def _parts(text: object) -> object:
    """Split `a,b, c` as it stands in an environment variable; anything else is left to pydantic."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


def _is_network(entry: str) -> bool:
    """Whether it is a network or a single address; anything else is a host name."""
    try:
        ip_network(entry)
    except ValueError:
        return False
    return True


class Settings(BaseSettings):
    """One immutable reading of the environment (`GATEWAY_…`), of mounted secret files, and of nothing else."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True, extra="ignore", hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="Address that the HTTP server listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port that the HTTP server listens on; 0 takes a free one.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    database_url: SecretStr = Field(
        SecretStr(""), description="PostgreSQL 15 or newer, `postgresql://user:password@host/name`."
    )
    database_pool_size: int = Field(10, ge=2, le=200, description="Connections to Postgres held by one process.")
    database_pool_timeout_s: Seconds = Field(10.0, description="Longest wait for a free database connection.")
    database_wait_s: Seconds = Field(30.0, description="At start, longest wait for Postgres and its migrations.")
    database_statement_timeout_s: Seconds = Field(15.0, description="A statement that runs longer is ended.")
    listen: bool = Field(True, description="Wake by LISTEN/NOTIFY; off behind PgBouncer, polling then does all.")
    poll_floor_s: Seconds = Field(1.0, description="Loops and waiters look at least this often, notified or not.")

    upstream_url: str = Field("https://api.cheapaiapi.com", description="Base URL of the image API.")
    upstream_api_key: SecretStr = Field(SecretStr(""), description="The account's key at the image API.")
    upstream_auth: Literal["bearer", "xi-api-key"] = Field("bearer", description="Header that carries the key.")
    upstream_account: str = Field("default", min_length=1, description="Name of that account in tasks and metrics.")
    upstream_max_connections: int = Field(100, ge=1, description="Most connections to the image API at once.")
    upstream_connect_timeout_s: Seconds = Field(5.0, description="Longest wait for a connection to the image API.")
    upstream_read_timeout_s: Seconds = Field(30.0, description="Longest silence within one answer of it.")
    upstream_retry_budget_s: Seconds = Field(12.0, description="Busy and throttled reads are retried this long.")
    upstream_max_active_tasks: int = Field(
        20, ge=0, description="Most tasks open at the image API at once, over all processes; 0 = no cap."
    )
    upstream_slot_max_s: Seconds = Field(14_400.0, description="A slot that nothing frees is free after this.")
    dispatch: bool = Field(True, description="Send queued tasks; off after a restore, until an operator reconciled.")
    queue_max_tasks: int = Field(10_000, ge=0, description="Most tasks that wait for a slot; then 429.")
    queue_max_tasks_per_client: int = Field(5_000, ge=0, description="The same for one client.")
    queue_max_bytes: int = Field(8 * 1024**3, ge=0, description="Most bytes of assets of waiting tasks; then 429.")
    asset_keep_s: Seconds = Field(86_400.0, description="Stored assets stay this long after the end, for a resubmit.")
    require_idempotency_key: bool = Field(False, description="Refuse to generate without an Idempotency-Key.")
    submit_total_s: Seconds = Field(120.0, description="A paid call that takes longer has an unknown outcome.")
    submit_lease_margin_s: Seconds = Field(30.0, description="Added to it for the lease on a submitting task.")
    upstream_cancel: bool = Field(False, description="Ask the image API to delete tasks that their client cancels.")

    public_url: str = Field("", description="Where the image API reaches this gateway; empty: tasks are polled.")
    callback_secrets: Secrets = Field(
        (), description="Secrets of receive_url, 16 characters or more, comma-separated; the first signs, all verify."
    )
    callback_max_body_bytes: int = Field(256 * 1024, ge=1024, description="A larger report is answered with 413.")
    callback_confirm: bool = Field(
        False, description="Believe no report: it is kept, and makes the gateway ask the image API at once."
    )
    api_keys: Secrets = Field((), description="Clients and their keys: `name:key,other:key`.")

    models_fresh_s: Seconds = Field(300.0, description="The model list is fetched anew when older than this.")
    models_stale_s: Seconds = Field(86_400.0, description="While the image API is down a list this old still serves.")
    price_fresh_s: Seconds = Field(10.0, description="A price that was asked for serves equal requests this long.")

    asset_max_bytes: int = Field(5 * 1024 * 1024, ge=1, description="Largest reference image.")
    request_max_assets: int = Field(16, ge=0, description="Most reference images in one request, whatever the model.")
    request_max_json_bytes: int = Field(256 * 1024, ge=1024, description="Largest JSON body and largest sum of fields.")
    spool_dir: Path | None = Field(None, description="Folder on a disk for uploads in flight; default: TMPDIR.")
    spool_max_bytes: int = Field(
        4 * 1024**3, ge=1024 * 1024, description="Uploads in flight take at most this much disk; then 503."
    )

    wait_max_s: Seconds = Field(60.0, description="Longest `?wait=`.")
    stream_quiet_s: Seconds = Field(15.0, description="An event stream without news gets a comment this often.")
    wait_max_waiters: int = Field(5000, ge=1, description="Most callers waiting on one process; then 429.")
    task_max_age_s: Seconds = Field(86_400.0, description="A task without an end by then is failed.")
    unknown_give_up_s: Seconds = Field(3600.0, description="A submission of unknown outcome is failed after this.")
    reconcile_quiet_s: Seconds = Field(30.0, description="A task is first asked about when quiet for this long.")
    reconcile_first_s: Seconds = Field(3.0, description="The same without GATEWAY_PUBLIC_URL, when nothing reports.")
    reconcile_interval_max_s: Seconds = Field(600.0, description="Longest time between two questions about a task.")
    reconcile_missing_s: Seconds = Field(300.0, description="A task that the image API denies this long is failed.")
    reconcile_polls_per_s: Seconds = Field(5.0, description="Most polls a second, over all processes of the account.")
    task_expected_s: Seconds = Field(30.0, description="What a task is expected to take while its model is unmeasured.")
    upstream_lists_tasks: bool = Field(
        True, description="Search the image API's list of tasks for submissions of unknown outcome."
    )
    unknown_search_first_s: Seconds = Field(
        5.0, description="First search after this, then after 4 and 12 times as long, then ever more seldom."
    )

    delivery_timeout_s: Seconds = Field(15.0, description="Longest wait for a subscriber's answer.")
    delivery_connect_timeout_s: Seconds = Field(5.0, description="Longest wait for a connection to a subscriber.")
    delivery_max_in_flight: int = Field(64, ge=1, description="Notifications that one process sends at once.")
    outbound_allow: Texts = Field(
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", ".svc.cluster.local"),
        description="Networks and host suffixes that notifications may go to; `*` allows every public address.",
    )
    drain_timeout_s: Seconds = Field(135.0, description="After SIGTERM, calls in flight get this long to end.")

    @field_validator("callback_secrets", "api_keys", "outbound_allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _parts(value)

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

    @field_validator("outbound_allow")
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
        return tuple(ip_network(entry) for entry in self.outbound_allow if _is_network(entry))

    @property
    def outbound_suffixes(self) -> tuple[str, ...]:
        """The host names of the allow-list; one that starts with a dot matches every name below it."""
        return tuple(entry.lower() for entry in self.outbound_allow if entry != "*" and not _is_network(entry))

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
