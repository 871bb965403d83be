"""Examples of the OpenAI surface; each is sent to the running gateway, or held against its schema, by the tests."""

from typing import Any

import orjson

TASK_ID = "01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f"

MODEL: dict[str, Any] = {
    "id": "bytedance-seedream-4.5",
    "object": "model",
    "created": 0,
    "owned_by": "image-api",
    "max_generations": 4,
    "max_prompt_length": 4000,
    "aspect_ratios": ["16:9", "4:3", "1:1", "3:4", "9:16"],
    "resolutions": ["2K", "4K"],
    "qualities": None,
    "supports_images": True,
    "max_assets": 10,
}
MODELS: dict[str, Any] = {"object": "list", "data": [MODEL]}

GENERATIONS: dict[str, Any] = {
    "a picture from words": {
        "value": {
            "model": "bytedance-seedream-4.5",
            "prompt": "A lighthouse at dusk, oil on canvas",
            "size": "1792x1024",
            "response_format": "url",
        }
    },
    "two pictures in the model's own shape": {
        "value": {"model": "bytedance-seedream-4.5", "prompt": "A lighthouse at dusk", "n": 2, "size": "auto"}
    },
}
# Each entry of `image[]` stands for the bytes of one picture.
EDITS: dict[str, Any] = {
    "two pictures": {
        "value": {
            "model": "bytedance-seedream-4.5",
            "prompt": "Put the hat of the second picture on the cat of the first",
            "size": "1024x1024",
            "response_format": "url",
            "image[]": ["<the bytes of cat.png>", "<the bytes of hat.png>"],
        }
    }
}

PICTURES: dict[str, Any] = {
    "created": 1795340031,
    "size": "2048x1152",
    "quality": None,
    "output_format": "png",
    "model": "bytedance-seedream-4.5",
    "model_parameters": {"aspect_ratio": "16:9", "resolution": "2K"},
    "credits": 1188,
    "task_id": TASK_ID,
    "data": [{"url": "https://cdn.example/abc123/img_001.png?dl=1", "b64_json": "iVBORw0KGgo="}],
}


def event_stream(kind: str) -> str:
    """What a stream of that kind looks like, from the first comment to the picture."""
    facts = {name: value for name, value in PICTURES.items() if name != "data"}
    completed = {**facts, "type": f"{kind}.completed", "created_at": PICTURES["created"], **PICTURES["data"][0]}
    return f": processing\n\n: processing 40 %\n\nevent: {kind}.completed\ndata: {orjson.dumps(completed).decode()}\n\n"
