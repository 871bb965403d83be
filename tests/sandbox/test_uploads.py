"""Many large uploads at once: counted, hashed and let go, so that the sandbox stays small."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil

from tests.sandbox.orders import created, entry, picture
from tests.support.sandbox import Sandbox, StartSandbox

MIB = 1024 * 1024
UPLOADS, ASSETS = 8, 10


def test_large_uploads_leave_no_trace_in_memory(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox()
    asset = picture("PNG", 5 * MIB - len(picture()))
    created(sandbox, assets=[asset])
    process_of_sandbox = psutil.Process(sandbox.program.pid)
    before_bytes = process_of_sandbox.memory_info().rss

    with ThreadPoolExecutor(UPLOADS) as threads:
        statuses = list(threads.map(lambda _: _upload(sandbox.url, asset), range(UPLOADS)))

    assert statuses == [200] * UPLOADS
    assert process_of_sandbox.memory_info().rss - before_bytes < 32 * MIB


def test_every_byte_of_an_upload_is_counted_and_hashed(sandbox: Sandbox) -> None:
    assets = [picture("PNG", size) for size in (0, 1, 65_535, 65_536, 1_000_000)]

    task_id = created(sandbox, assets=assets)

    expected = [(len(asset), hashlib.sha256(asset).hexdigest()) for asset in assets]
    assert [(each["bytes"], each["sha256"]) for each in entry(sandbox, task_id)["assets"]] == expected


def _upload(url: str, asset: bytes) -> int:
    prompt = " ".join(f"@img{place}" for place in range(1, ASSETS + 1))
    return httpx.post(
        f"{url}/v1i/task/generate-image",
        headers={"xi-api-key": "sk_sandbox"},
        data={"prompt": prompt, "model_id": "bytedance-seedream-4.5"},
        files=[("assets", (f"{place}.png", asset)) for place in range(ASSETS)],
        timeout=60,
        trust_env=False,
    ).status_code
