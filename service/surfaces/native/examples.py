"""Examples in the OpenAPI document; each is sent to the running gateway, or held against its schema, by the tests."""

from typing import Any

import orjson

TASK_ID = "01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f"

MODEL: dict[str, Any] = {
    "model_id": "bytedance-seedream-4.5",
    "max_generations": 4,
    "max_prompt_length": 4000,
    "aspect_ratios": ["16:9", "4:3", "1:1", "3:4", "9:16"],
    "default_aspect_ratio": "1:1",
    "resolutions": ["2K", "4K"],
    "default_resolution": "2K",
    "qualities": None,
    "default_quality": None,
    "eta_seconds": 30,
    "supports_images": True,
    "requires_reference_images": False,
    "supports_enhance_prompt": False,
    "supports_negative_prompt": False,
    "max_assets": 10,
}

QUOTE_REQUESTS: dict[str, Any] = {
    "two references at 2K": {
        "value": {
            "model_id": "bytedance-seedream-4.5",
            "generations_count": 1,
            "model_parameters": {"aspect_ratio": "16:9", "resolution": "2K"},
            "asset_count": 2,
        }
    },
    "the model's defaults": {"value": {"model_id": "bytedance-seedream-4.5"}},
}
QUOTE: dict[str, Any] = {
    **QUOTE_REQUESTS["two references at 2K"]["value"],
    "credits": 1188,
    "priced_at": "2026-11-22T09:30:00.125000Z",
}

TASK_JSON_REQUESTS: dict[str, Any] = {
    "a picture from words": {
        "value": {
            "prompt": "A lighthouse at dusk, oil on canvas",
            "model_id": "bytedance-seedream-4.5",
            "model_parameters": {"aspect_ratio": "16:9", "resolution": "2K"},
            "client_reference": "order-4711",
            "metadata": {"shelf": "A3"},
        }
    },
    "at most so dear, at most so late": {
        "value": {
            "prompt": "A lighthouse at dusk, oil on canvas",
            "model_id": "bytedance-seedream-4.5",
            "model_parameters": {"aspect_ratio": "16:9", "resolution": "2K"},
            "max_credits": 2000,
            "deadline_s": 600,
            "priority": "low",
        }
    },
    "only checked and priced": {
        "value": {
            "prompt": "A lighthouse at dusk, oil on canvas",
            "model_id": "bytedance-seedream-4.5",
            "validate_only": True,
        }
    },
}
# Each entry of `assets` stands for the bytes of one image file.
TASK_FORM_REQUESTS: dict[str, Any] = {
    "two references": {
        "value": {
            "prompt": "Merge @img2 into @img1 while keeping the original outfit",
            "model_id": "bytedance-seedream-4.5",
            "generations_count": 1,
            "model_parameters": {"aspect_ratio": "1:1", "resolution": "2K"},
            "assets": ["<the bytes of image1.png>", "<the bytes of image2.png>"],
        }
    }
}

TASK: dict[str, Any] = {
    "id": TASK_ID,
    "state": "processing",
    "version": 2,
    "model_id": "bytedance-seedream-4.5",
    "prompt": "A lighthouse at dusk, oil on canvas",
    "generations_count": 1,
    "model_parameters": {"aspect_ratio": "16:9", "resolution": "2K"},
    "assets": [],
    "client_reference": "order-4711",
    "metadata": {"shelf": "A3"},
    "progress": None,
    "images": [],
    "estimated_credits": 1188,
    "credits": None,
    "max_credits": None,
    "priority": "normal",
    "error": None,
    "attempt": 1,
    "upstream_task_id": "abc123",
    "created_at": "2026-11-22T09:30:01.002000Z",
    "updated_at": "2026-11-22T09:30:01.480000Z",
    "submitted_at": "2026-11-22T09:30:01.002000Z",
    "ended_at": None,
    "deadline_at": None,
}
QUEUED_AND_CANCELED_TASK: dict[str, Any] = {
    **TASK,
    "state": "canceled",
    "estimated_credits": None,
    "credits": 0,
    "attempt": 0,
    "upstream_task_id": None,
    "submitted_at": None,
    "ended_at": "2026-11-22T09:30:01.480000Z",
}
QUEUED_TASK: dict[str, Any] = {
    **TASK,
    "state": "queued",
    "version": 1,
    "estimated_credits": None,
    "attempt": 0,
    "upstream_task_id": None,
    "submitted_at": None,
}
FINISHED_TASK: dict[str, Any] = {
    **TASK,
    "state": "succeeded",
    "version": 3,
    "progress": 100,
    "images": [
        {
            "id": "img_001",
            "url": "https://cdn.example/abc123/img_001.png?dl=1",
            "preview_url": "https://cdn.example/abc123/img_001_preview.png",
            "mime_type": "image/png",
            "width": 2560,
            "height": 1440,
        }
    ],
    "credits": 1188,
    "updated_at": "2026-11-22T09:30:31.700000Z",
    "ended_at": "2026-11-22T09:30:31.700000Z",
}

VALID_REQUEST: dict[str, Any] = {"valid": True, **QUOTE}
EVENT_STREAM = f"""retry: 2000

id: 01a0bd29-9d4c-7f6e-8a1b-2c3d4e5f6a7b
event: task.succeeded
data: {orjson.dumps({"type": "task.succeeded", "timestamp": FINISHED_TASK["ended_at"], "data": FINISHED_TASK}).decode()}

"""
