"""Examples in the OpenAPI document; each is sent to the running gateway, or held against its schema, by the tests."""

from typing import Any

TASK_ID = "01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f"
PROMPT = "A lighthouse at dusk, oil on canvas"
MODEL_ID = "bytedance-seedream-4.5"
PARAMETERS: dict[str, Any] = {"aspect_ratio": "16:9", "resolution": "2K"}

MODELS: dict[str, Any] = {
    "success": True,
    "models": [
        {
            "model_id": MODEL_ID,
            "max_generations": 4,
            "aspect_ratios": ["16:9", "1:1", "9:16"],
            "default_aspect_ratio": "1:1",
            "resolutions": ["2K", "4K"],
            "default_resolution": "2K",
            "supports_images": True,
            "requires_reference_images": False,
            "supports_enhance_prompt": False,
            "supports_negative_prompt": False,
            "max_assets": 10,
        }
    ],
}
PRICE_REQUESTS: dict[str, Any] = {
    "two references at 2K": {
        "value": {"model_id": MODEL_ID, "generations_count": 1, "model_parameters": PARAMETERS, "assets": 2}
    },
    "parameters at top level": {"value": {"model_id": MODEL_ID, "aspect_ratio": "16:9", "resolution": "2K"}},
}
PRICE: dict[str, Any] = {"success": True, "credits": 1188}

# Each entry of `assets` stands for the bytes of one image file.
MULTIPART_REQUESTS: dict[str, Any] = {
    "two references": {
        "value": {
            "prompt": "Merge @img2 into @img1 while keeping the original outfit",
            "model_id": MODEL_ID,
            "generations_count": "1",
            "model_parameters": PARAMETERS,
            "assets": ["<the bytes of image1.png>", "<the bytes of image2.png>"],
        }
    }
}
FORM_REQUESTS: dict[str, Any] = {
    "a picture from words": {
        "value": {"prompt": PROMPT, "model_id": MODEL_ID, "generations_count": "1", "resolution": "2K"}
    }
}
JSON_REQUESTS: dict[str, Any] = {
    "parameters at top level": {
        "value": {"prompt": PROMPT, "model_id": MODEL_ID, "generations_count": 1, **PARAMETERS}
    },
    "be told when it is done": {
        "value": {
            "prompt": PROMPT,
            "model_id": MODEL_ID,
            "model_parameters": PARAMETERS,
            "receive_url": "https://10.0.0.7/hooks/images",
        }
    },
}
CREATED: dict[str, Any] = {
    "success": True,
    "task_id": TASK_ID,
    "estimated_credits": 1188,
    "ec_remain_credits": "998812",
}

TASK: dict[str, Any] = {
    "id": TASK_ID,
    "created_at": "2026-11-22T09:30:01.002Z",
    "updated_at": "2026-11-22T09:30:31.700Z",
    "type": "imagen2",
    "status": "done",
    "progress": 100,
    "credit_cost": 1188,
    "error_message": None,
    "metadata": {
        "prompt": PROMPT,
        "modelId": MODEL_ID,
        "generationsCount": 1,
        "modelParameters": PARAMETERS,
        "providerCreditCost": 1188,
        "result_images": [
            {
                "id": "img_001",
                "imageUrl": "https://cdn.example/abc123/img_001.png?dl=1",
                "previewUrl": "https://cdn.example/abc123/img_001_preview.png",
                "mimeType": "image/png",
                "width": 2560,
                "height": 1440,
            }
        ],
        "audio_url": "https://cdn.example/abc123/img_001.png?dl=1",
    },
}
FULL_TASK: dict[str, Any] = {**TASK, "text": PROMPT, "text_length": len(PROMPT), "text_truncated": False}
WRAPPED_TASK: dict[str, Any] = {"success": True, "data": TASK}
TASK_PAGE: dict[str, Any] = {"success": True, "data": [TASK], "page": 1, "limit": 20, "total": 1}

DELETE_REQUESTS: dict[str, Any] = {"one task": {"value": {"task_ids": [TASK_ID]}}}
DELETED: dict[str, Any] = {"success": True, "refunded_credits": 0}
CREDITS: dict[str, Any] = {"success": True, "credits": 998812}
HEALTH: dict[str, Any] = {"success": True, "data": {"bytedance": "good", "google": "good"}}
