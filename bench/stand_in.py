"""The peer of the drop-in benchmark: an image API that only answers, `-m bench.stand_in PORT`; it keeps nothing."""

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import uvicorn

MODEL_ID = "stand-in"
CREDITS = 1188
MODEL = {
    "model_id": MODEL_ID,
    "max_generations": 4,
    "supports_images": False,
    "requires_reference_images": False,
    "supports_enhance_prompt": False,
    "supports_negative_prompt": False,
    "max_assets": 0,
}
TASK = {
    "id": "1",
    "created_at": "2026-11-22T09:30:01.002Z",
    "updated_at": "2026-11-22T09:30:01.480Z",
    "type": "imagen2",
    "status": "doing",
    "progress": None,
    "credit_cost": CREDITS,
    "error_message": None,
    "metadata": {"prompt": "a lighthouse", "modelId": MODEL_ID, "generationsCount": 1, "modelParameters": {}},
}
ANSWERS = {
    "/v1i/models": orjson.dumps({"success": True, "models": [MODEL]}),
    "/v1i/task/price": orjson.dumps({"success": True, "credits": CREDITS}),
    "/v1/credits": orjson.dumps({"success": True, "credits": 10**9}),
}
POLL = orjson.dumps(TASK)
HEADERS = [(b"content-type", b"application/json")]

_numbers: Iterator[int] = itertools.count(1)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the request to its end and answer what the path asks for."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    body = _created() if scope["path"] == "/v1i/task/generate-image" else ANSWERS.get(scope["path"], POLL)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]})
    await send({"type": "http.response.body", "body": body})


def _created() -> bytes:
    created = {"success": True, "task_id": f"t{next(_numbers)}", "estimated_credits": CREDITS}
    return orjson.dumps({**created, "ec_remain_credits": "1000000000"})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False, lifespan="off")
