"""A task in the image API's own form, rendered by Postgres: what its clients already parse, shown with our task id."""

TASK_TYPE = "imagen2"
_ENDED_WITHOUT_IMAGES = "'canceled', 'failed'"


def upstream_moment_sql(expression: str) -> str:
    """The SQL expression for a moment as the image API writes it: UTC, milliseconds, Z."""
    return f"to_char({expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"


def upstream_task_json(row: str) -> str:
    """The SQL expression for the bare task object of `GET /v1/task/:id` for the task row with this alias.

    `status` is `doing` until the task has ended, whatever it waits for, then `done` or `error`. `credit_cost` is always
    a number: 0 until something is charged. `result_images`, and `audio_url` that mirrors the first of them, are there
    as soon as there is an image, also when it came after the gateway had given the task up.
    """
    return f"""json_build_object(
        'id', {row}.id::text, 'created_at', {upstream_moment_sql(f"{row}.created_at")},
        'updated_at', {upstream_moment_sql(f"{row}.updated_at")}, 'type', '{TASK_TYPE}',
        'status', {_status_sql(row)}, 'progress', {_progress_sql(row)}, 'credit_cost', {_cost_sql(row)},
        'error_message', CASE WHEN {row}.state IN ({_ENDED_WITHOUT_IMAGES})
            THEN COALESCE({row}.error_message, 'The task was ' || {row}.state || '.') END,
        'metadata', {_metadata_sql(row)})"""


def _status_sql(row: str) -> str:
    return f"""CASE WHEN {row}.state = 'succeeded' THEN 'done'
            WHEN {row}.state IN ({_ENDED_WITHOUT_IMAGES}) THEN 'error' ELSE 'doing' END"""


def _progress_sql(row: str) -> str:
    return f"""CASE WHEN {row}.state = 'succeeded' THEN 100
            WHEN {row}.state IN ({_ENDED_WITHOUT_IMAGES}) THEN NULL ELSE {row}.progress END"""


def _cost_sql(row: str) -> str:
    return f"trim_scale(COALESCE({row}.credits, {row}.estimated_credits, 0))"


def _metadata_sql(row: str) -> str:
    return f"""jsonb_build_object('prompt', {row}.prompt, 'modelId', {row}.model_id,
            'generationsCount', {row}.generations_count, 'modelParameters', {row}.model_parameters,
            'providerCreditCost', {_cost_sql(row)}
        ) || CASE WHEN {row}.images = '[]' THEN '{{}}' ELSE jsonb_build_object(
            'audio_url', {row}.images -> 0 -> 'url',
            'result_images', (
                SELECT jsonb_agg(jsonb_build_object('id', image -> 'id', 'imageUrl', image -> 'url',
                    'previewUrl', image -> 'preview_url', 'mimeType', image -> 'mime_type',
                    'width', image -> 'width', 'height', image -> 'height') ORDER BY place)
                FROM jsonb_array_elements({row}.images) WITH ORDINALITY AS listed (image, place))) END"""
