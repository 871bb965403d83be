"""Memory that 50 concurrent uploads of 10 images each add to the gateway while it forwards them.

Good is at most 64 MiB, whatever the size of the images. The gateway is warmed up, its peak of resident memory is reset,
then 50 multipart requests are sent at once, made on the fly; the sandbox's ledger tells that every byte arrived. Each
size gets a gateway of its own, so that one does not live on memory that the other has taken already.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO

import aiohttp
from PIL import Image

from bench.proc import filesystem_of, peak_bytes, reset_peak, resident_bytes
from bench.report import Figure, show
from bench.stack import Stack, running_stack
from tests.support.gateway import ALPHA_KEY, Gateway, auth
from tests.support.postgres import ROOT

MIB = 1024 * 1024
LIMIT_MIB = 64
UPLOADS = 50
ASSETS = 10
WARM_UP_UPLOADS = 3
# The largest asset that is taken, and the size just below which common parsers keep every part in memory.
ASSET_SIZES_BYTES = (5 * MIB, 1_000_000)
MODEL_ID = "bytedance-seedream-4.5"
BLOCK = os.urandom(128 * 1024)
SPOOL_DIR = ROOT / ".data" / "bench-spool"
BOUNDARY = "bench-7d1c5f0a"
ACCEPTED = 202
UPLOAD_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Upload:
    """One multipart request: its images differ from all others in their last bytes, so that none can be mixed up."""

    number: int
    asset_bytes: int

    @property
    def prompt(self) -> str:
        """Names every image, as the image API wants it, and the upload."""
        return f"upload {self.number}: " + " ".join(f"@img{asset}" for asset in range(1, ASSETS + 1))

    def pieces(self, asset: int) -> list[bytes]:
        """The image's bytes: a real small PNG, the same block over and over, and an end of its own."""
        end = f"{self.number:08}{asset:08}".encode()
        blocks, rest = divmod(self.asset_bytes - len(PNG) - len(end), len(BLOCK))
        return [PNG, *[BLOCK] * blocks, BLOCK[:rest], end]

    def body(self) -> list[bytes]:
        """The whole form; its pieces share memory with each other."""
        parts = [_part('name="prompt"', self.prompt.encode()), _part('name="model_id"', MODEL_ID.encode())]
        names = {asset: f'name="assets"; filename="{asset}.png"' for asset in range(1, ASSETS + 1)}
        parts += [_part(name, *self.pieces(asset)) for asset, name in names.items()]
        return [*(piece for part in parts for piece in part), f"--{BOUNDARY}--\r\n".encode()]


def main() -> int:
    """Both sizes, one after the other."""
    SPOOL_DIR.mkdir(parents=True, exist_ok=True)
    kind = filesystem_of(SPOOL_DIR)
    print(f"   spool on {kind}{': MEMORY, NOT A DISK, so the figures flatter' if kind == 'tmpfs' else ''}")
    with running_stack() as stack:
        return max(_added_memory(stack, asset_bytes) for asset_bytes in ASSET_SIZES_BYTES)


def _added_memory(stack: Stack, asset_bytes: int) -> int:
    stack.sandbox.reset()
    with stack.gateway("all", {"GATEWAY_SPOOL_DIR": str(SPOOL_DIR)}) as gateway:
        pid = gateway.program.pid
        asyncio.run(_send(gateway, [Upload(UPLOADS + extra, asset_bytes) for extra in range(WARM_UP_UPLOADS)]))
        stack.sandbox.reset()
        reset_peak(pid)
        before_bytes = resident_bytes(pid)
        asyncio.run(_send(gateway, [Upload(number, asset_bytes) for number in range(UPLOADS)]))
        added_mib = (peak_bytes(pid) - before_bytes) / MIB
        kept_mib = (resident_bytes(pid) - before_bytes) / MIB
    arrived = _uploads_that_arrived_whole(stack, asset_bytes)
    what = f"{UPLOADS} uploads of {ASSETS} x {asset_bytes:,} bytes"
    return show(
        Figure(f"{what}: added at most", added_mib, " MiB", at_most=LIMIT_MIB, note=f"on {before_bytes / MIB:.0f} MiB"),
        Figure(f"{what}: kept after", kept_mib, " MiB"),
        Figure(f"{what}: charged once, bytes as sent", arrived, at_least=UPLOADS, at_most=UPLOADS),
    )


async def _send(gateway: Gateway, uploads: list[Upload]) -> None:
    """All at once, every one on a connection of its own; each must be taken."""
    timeout = aiohttp.ClientTimeout(total=UPLOAD_TIMEOUT_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        await asyncio.gather(*(_send_one(session, f"{gateway.url}/api/v1/tasks", upload) for upload in uploads))


async def _send_one(session: aiohttp.ClientSession, url: str, upload: Upload) -> None:
    body = upload.body()
    headers = {
        **auth(ALPHA_KEY),
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(sum(map(len, body))),
    }
    async with session.post(url, data=_stream(body), headers=headers) as answer:
        task = await answer.json()
        assert answer.status == ACCEPTED, f"{answer.status}: {task}"
        assert task["state"] == "processing", f"the task is {task['state']}, so the image API's answer was not heard"


async def _stream(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _uploads_that_arrived_whole(stack: Stack, asset_bytes: int) -> int:
    """How many uploads the sandbox has charged exactly once, all images in order with the hashes of what was sent."""
    creates = stack.sandbox.ledger()["creates"]
    arrived = sorted((create["prompt"], [asset["sha256"] for asset in create["assets"]]) for create in creates)
    uploads = [Upload(number, asset_bytes) for number in range(UPLOADS)]
    sent = sorted((upload.prompt, _hashes(upload)) for upload in uploads)
    return len(arrived) if arrived == sent else sum(entry in sent for entry in arrived) - abs(len(arrived) - len(sent))


def _hashes(upload: Upload) -> list[str]:
    """The hash of each image; what they have in common is hashed once."""
    *shared, _ = upload.pieces(1)
    common = hashlib.sha256(b"".join(shared))
    hashes = []
    for asset in range(1, ASSETS + 1):
        whole = common.copy()
        whole.update(upload.pieces(asset)[-1])
        hashes.append(whole.hexdigest())
    return hashes


def _part(disposition: str, *content: bytes) -> list[bytes]:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
    return [head, *content, b"\r\n"]


def _png() -> bytes:
    picture = BytesIO()
    Image.new("RGB", (64, 64), "teal").save(picture, "PNG")
    return picture.getvalue()


PNG = _png()
