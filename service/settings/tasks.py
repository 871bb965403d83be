"""Settings of the server, the database, the image API and a task's life."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from service.settings.kinds import Seconds, Secrets


class TaskSettings(BaseSettings):
    """What the gateway needs to serve, to call the image API, and to bring every task to its end."""

    host: str = Field("127.0.0.1", description="Address that the HTTP server listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port that the HTTP server listens on; 0 takes a free one.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    database_url: SecretStr = Field(
        SecretStr(""), description="PostgreSQL 15 or newer, `postgresql://user:password@host/name`."
    )
    database_pool_size: int = Field(
        10, ge=2, le=200, description="Connections in one process's pool; a worker has three more."
    )
    database_pool_timeout_s: Seconds = Field(10.0, description="Longest wait for a free database connection.")
    database_wait_s: Seconds = Field(30.0, description="At start, longest wait for Postgres and its migrations.")
    database_statement_timeout_s: Seconds = Field(15.0, description="A statement that runs longer is ended.")
    database_prepared_statements: bool = Field(
        True, description="Keep prepared statements; off behind a PgBouncer before 1.21 in transaction mode."
    )
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
