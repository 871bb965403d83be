"""What came out: real PNGs of the asked ratio and resolution, whose size the task tells truly."""

import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from service.sandbox.catalogue import load_catalogue
from service.sandbox.pictures import Sketch, png, preview_of, size_px
from tests.sandbox.orders import created, ended, picture
from tests.support.sandbox import Sandbox

COMBINATIONS = sorted(
    {
        (ratio, resolution)
        for model in load_catalogue({}).models.values()
        for ratio in model.choices("aspect_ratio")
        for resolution in model.choices("resolution") or (None,)
    },
    key=str,
)


def fetched(url: str) -> Image.Image:
    answer = httpx.get(url, trust_env=False).raise_for_status()
    assert answer.headers["content-type"] == "image/png"
    return Image.open(io.BytesIO(answer.content))


def result_images(sandbox: Sandbox, fields: dict[str, Any], *assets: bytes) -> list[dict[str, Any]]:
    sandbox.moods({"duration_s": 0})
    return list(ended(sandbox, created(sandbox, fields, assets))["metadata"]["result_images"])


def test_every_ratio_and_resolution_on_offer_has_its_true_size() -> None:
    for ratio, resolution in COMBINATIONS:
        width, height = size_px(ratio, resolution)

        across, _, down = ratio.replace("auto", "1:1").partition(":")
        wanted = float(across) / float(down)
        assert abs(width - height * wanted) <= max(1, wanted), (ratio, resolution, width, height)
        if resolution in ("720p", "1080p"):
            assert min(width, height) == int(resolution[:-1])
        else:
            assert max(width, height) == {"512": 512, "2K": 2048, "3K": 3072, "4K": 4096}.get(resolution or "", 1024)


@pytest.mark.parametrize(("ratio", "resolution"), COMBINATIONS, ids=str)
def test_a_picture_of_every_ratio_and_resolution_can_be_drawn(ratio: str, resolution: str | None) -> None:
    width, height = size_px(ratio, resolution)
    # The drawing is the same at a quarter of the size, and quick.
    sketch = Sketch(width // 4, height // 4, "a lighthouse " * 300, "caption", ("@img1 png 1 KB",) * 16)

    for each in (sketch, preview_of(sketch)):
        drawn = Image.open(io.BytesIO(png(each)))
        drawn.load()
        assert (drawn.format, drawn.size) == ("PNG", (each.width, each.height))


@pytest.mark.parametrize(
    ("ratio", "resolution", "model_id"),
    [
        ("16:9", "2K", "bytedance-seedream-4.5"),
        ("9:16", "4K", "bytedance-seedream-4.5"),
        ("1:8", "512", "gemini-3.1-flash-image-preview"),
        ("auto", "1K", "gpt-image-2"),
        ("2.35:1", None, "krea-2-large"),
        ("9:16", "720p", "runway-gen4-image"),
    ],
    ids=["wide", "tall and large", "a thin strip", "auto", "a broken ratio", "named by its short side"],
)
def test_the_served_file_is_what_the_task_says(
    sandbox: Sandbox, ratio: str, resolution: str | None, model_id: str
) -> None:
    chosen = {"aspect_ratio": ratio} | ({"resolution": resolution} if resolution else {})

    (image,) = result_images(sandbox, {"model_id": model_id, "model_parameters": json.dumps(chosen)})

    file = fetched(image["imageUrl"])
    assert (file.width, file.height, Image.MIME["PNG"]) == (image["width"], image["height"], image["mimeType"])
    preview = fetched(image["previewUrl"])
    assert max(preview.size) == 384


def test_each_image_of_a_task_is_another_picture(sandbox: Sandbox) -> None:
    images = result_images(sandbox, {"generations_count": "4"})

    assert len({fetched(image["imageUrl"]).tobytes() for image in images}) == 4
    assert len({image["id"] for image in images}) == 4


def test_prompt_and_references_change_what_is_seen() -> None:
    plain = Sketch(400, 300, "a lighthouse", "caption", ())

    drawn = {
        png(plain),
        png(Sketch(400, 300, "a cat", "caption", ())),
        png(Sketch(400, 300, "a lighthouse", "c", ("x",))),
    }

    assert len(drawn) == 3


def test_the_first_image_url_is_mirrored_as_audio_url(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0})

    metadata = ended(sandbox, created(sandbox, assets=[picture()]))["metadata"]

    assert metadata["audio_url"] == metadata["result_images"][0]["imageUrl"]


@pytest.mark.parametrize("path", ["0.png", "2.png", "1_preview_preview.png", "x.png"])
def test_pictures_that_were_not_made_are_404(sandbox: Sandbox, path: str) -> None:
    (image,) = result_images(sandbox, {})

    folder = image["imageUrl"].rpartition("/")[0]

    assert httpx.get(f"{folder}/{path}", trust_env=False).status_code == 404


def test_a_picture_is_404_while_its_task_is_not_done(sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 600})

    task_id = created(sandbox)

    assert httpx.get(f"{sandbox.url}/images/{task_id}/1.png", trust_env=False).status_code == 404


def test_the_picture_host_may_turn_some_agents_away(sandbox: Sandbox) -> None:
    (image,) = result_images(sandbox, {})
    sandbox.moods({"image_forbidden_agent": "python-httpx"})

    default = httpx.get(image["imageUrl"], trust_env=False)
    named = httpx.get(image["imageUrl"], trust_env=False, headers={"User-Agent": "gateway"})

    assert (default.status_code, named.status_code) == (403, 200)


def test_picture_urls_may_expire(sandbox: Sandbox) -> None:
    (image,) = result_images(sandbox, {})

    sandbox.moods({"image_ttl_s": 0.000_001})

    assert httpx.get(image["imageUrl"], trust_env=False).status_code == 403
