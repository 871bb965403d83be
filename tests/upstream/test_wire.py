"""The API's JSON in every variant on record, read into our words."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.upstream.wire import (
    ResultImage,
    TaskReport,
    read_created,
    read_credits,
    read_health,
    read_models,
    read_price,
    read_refund,
    read_task,
    read_task_page,
)

IMAGE = {
    "id": "i", "imageUrl": "https://cdn/x.png", "previewUrl": "https://cdn/p.png", "mimeType": "image/png",
    "width": 20, "height": 10,
}  # fmt: skip
DONE = {
    "id": "t", "type": "imagen2", "status": "done", "progress": 100, "credit_cost": 1188,
    "metadata": {"result_images": [IMAGE]},
}  # fmt: skip
READERS = (read_task, read_models, read_task_page, read_created, read_price, read_credits, read_refund, read_health)
READ = ResultImage("i", "https://cdn/x.png", "https://cdn/p.png", "image/png", 20, 10)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text("aé1.%", max_size=8)
)
NAMES = st.sampled_from([
    "id", "task_id", "status", "data", "task", "metadata", "result_images", "progress", "credit_cost", "models",
    "error", "model_id", "aspect_ratios", "success", "message", "errors", "credits", "imageUrl", "width", "detail",
])  # fmt: skip
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=30
)


@pytest.mark.parametrize(
    "body",
    [DONE, {"success": True, "data": DONE}, {"task": DONE}, {**DONE, "text": "a", "text_truncated": False}],
    ids=["bare", "v3", "under task", "full"],
)
def test_a_finished_task_is_read_from_every_wrapping(body: dict[str, object]) -> None:
    assert read_task(body) == TaskReport("t", "done", 100, Decimal(1188), (READ,))


@pytest.mark.parametrize(
    ("word", "phase"),
    [
        ("doing", "running"), ("queued", "running"), ("something new", "running"),
        ("done", "done"), ("SUCCESS", "done"), ("completed", "done"), ("finished", "done"),
        ("error", "failed"), ("Failed", "failed"), ("cancelled", "failed"), ("rejected", "failed"),
    ],
)  # fmt: skip
def test_every_word_for_an_end_is_understood(word: str, phase: str) -> None:
    report = read_task({"id": "t", "status": word})

    assert report is not None
    assert report.phase == phase


def test_an_error_on_a_running_task_is_noise() -> None:
    assert read_task({"id": "t", "status": "doing", "error_message": "retrying"}) == TaskReport(
        "t", "running", None, None
    )


def test_a_failed_task_says_why() -> None:
    report = read_task({"id": "t", "status": "error", "error_message": "temporary_model_error", "credit_cost": "12"})

    assert report == TaskReport("t", "failed", None, Decimal(12), (), "temporary_model_error", "temporary_model_error")


def test_a_finished_task_without_images_stays_finished() -> None:
    assert read_task({"id": "t", "status": "done", "metadata": {}}) == TaskReport("t", "done", None, None)


@pytest.mark.parametrize(
    "metadata",
    [{"audio_url": "https://cdn/x.png"}, {"result_images": ["https://cdn/x.png"]}, {"images": [{"url": "https://cdn/x.png"}]},
     '{"result_images": [{"image_url": "https://cdn/x.png"}]}'],
    ids=["mirror only", "plain addresses", "another name", "as text"],
)  # fmt: skip
def test_images_are_found_wherever_they_stand(metadata: object) -> None:
    report = read_task({"id": "t", "status": "done", "metadata": metadata})

    assert report is not None
    assert [image.url for image in report.images] == ["https://cdn/x.png"]


def test_an_address_that_is_not_http_is_no_image() -> None:
    report = read_task(
        {"id": "t", "status": "done", "metadata": {"result_images": [{"imageUrl": "file:///etc/passwd"}]}}
    )

    assert report is not None
    assert report.images == ()


@pytest.mark.parametrize("progress", [45, "45", "45%", 45.9], ids=str)
def test_progress_is_a_whole_percentage(progress: object) -> None:
    report = read_task({"id": "t", "status": "doing", "progress": progress})

    assert report is not None
    assert report.progress == 45


@pytest.mark.parametrize(
    "body",
    [
        {}, [], None, "x", {"success": False, "code": "server_busy", "message": "busy"},
        {"success": False, "status": "error"}, {"id": "t"},
    ],
    ids=["empty", "list", "null", "text", "busy", "an error envelope", "an id alone"],
)  # fmt: skip
def test_what_is_no_task_is_none(body: object) -> None:
    assert read_task(body) is None


def test_models_keep_what_they_take_and_what_they_do_not() -> None:
    full = {
        "model_id": "m", "max_generations": "4", "aspect_ratios": ["1:1"], "resolutions": ["512", 1024],
        "eta_seconds": 9, "supports_images": True, "max_assets": 10, "presented_credits": 300,
    }  # fmt: skip

    model, bare = read_models({"success": True, "models": [full, {"model_id": "bare"}, {"model_id": "m"}, {}, "x"]})

    assert (model.max_generations, model.aspect_ratios, model.resolutions) == (4, ("1:1",), ("512", "1024"))
    assert (model.eta_seconds, model.supports_images, model.max_assets, model.raw) == (9.0, True, 10, full)
    assert (bare.aspect_ratios, bare.qualities, bare.max_assets, bare.supports_images) == (None, None, None, False)


def test_a_listing_shows_what_a_lost_submission_is_known_by() -> None:
    metadata = {"prompt": "a fox", "modelId": "m", "generationsCount": 2, "modelParameters": {"quality": "low"}}
    page = read_task_page({"data": [{**DONE, "created_at": "2026-11-01", "metadata": metadata}, {}], "total": "40"})

    assert page is not None
    task = page.tasks[0]
    assert (task.prompt, task.model_id, task.generations_count, task.model_parameters) == (
        "a fox",
        "m",
        2,
        {"quality": "low"},
    )
    assert (task.created_at, page.entry_count, page.total) == ("2026-11-01", 2, 40)


def test_an_answer_without_a_list_is_not_an_empty_page() -> None:
    assert read_task_page({"success": True}) is None
    assert read_task_page({"data": []}) is not None


def test_amounts_are_read_as_numbers_or_text_here_or_wrapped() -> None:
    assert read_price({"credits": 1188}) == read_price({"data": {"credits": "1188"}}) == Decimal(1188)
    assert read_credits({"credits": 0.1}) == Decimal("0.1")
    assert read_refund({"refunded_credits": 0}) == 0
    assert read_created({"data": {"id": "t", "estimated_credits": "5"}}) == ("t", Decimal(5), None)
    assert [read_price({"credits": odd}) for odd in (True, -1, "NaN", "1e99", None, [])] == [None] * 6


def test_health_is_a_word_per_provider() -> None:
    assert read_health({"success": True, "data": {"a": "good", "b": "overloaded", "c": 1}}) == {
        "a": "good",
        "b": "overloaded",
    }


@given(JSON)
def test_no_json_breaks_any_reader(body: object) -> None:
    for read in READERS:
        read(body)
