"""A request held against the catalogue: every wrong field is named, with what would be right."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.catalog.check import Wanted, problems
from service.upstream.wire import ImageModel

FULL = ImageModel(
    "seedream",
    max_generations=4,
    max_prompt_length=100,
    aspect_ratios=("1:1", "16:9"),
    resolutions=("2K", "4K"),
    qualities=("low", "high"),
    supports_images=True,
    max_assets=3,
)
BARE = ImageModel("krea-2-large")
EDITOR = ImageModel("flux-1-kontext", supports_images=True, requires_reference_images=True, max_assets=1)
MODELS = (FULL, BARE, EDITOR)
GOOD = Wanted("seedream", 1, {"aspect_ratio": "16:9", "resolution": "2K", "quality": "low", "seed": 7}, 0, "a prompt")


def test_a_request_that_the_model_takes_has_no_problem() -> None:
    assert problems(MODELS, GOOD) == ()


@pytest.mark.parametrize(
    ("wanted", "field", "says"),
    [
        (replace(GOOD, model_id="sedream"), "model_id", "Did you mean seedream?"),
        (replace(GOOD, model_id="dall-e"), "model_id", "The models are seedream, krea-2-large, flux-1-kontext"),
        (replace(GOOD, generations_count=0), "generations_count", "must be 1 to 4 for this model, not 0"),
        (replace(GOOD, generations_count=5), "generations_count", "not 5"),
        (replace(GOOD, model_parameters={"aspect_ratio": "4:3"}), "model_parameters.aspect_ratio", "one of 1:1, 16:9"),
        (replace(GOOD, model_parameters={"resolution": 2}), "model_parameters.resolution", "one of 2K, 4K, not `2`"),
        (replace(GOOD, model_parameters={"quality": None}), "model_parameters.quality", "one of low, high"),
        (replace(GOOD, model_parameters={"seed": 1.5}), "model_parameters.seed", "whole number"),
        (replace(GOOD, model_parameters={"seed": True}), "model_parameters.seed", "whole number"),
        (replace(GOOD, model_parameters={"seeds": 1}), "model_parameters.seeds", "Did you mean seed?"),
        (Wanted("krea-2-large", 1, {"resolution": "2K"}, 0, "a"), "model_parameters.resolution", "leave it out"),
        (Wanted("krea-2-large", 1, {}, 1, "@img1"), "assets", "takes no reference images"),
        (Wanted("flux-1-kontext", 1, {}, 0, "a"), "assets", "needs at least one reference image"),
        (Wanted("flux-1-kontext", 1, {}, 2, "@img1 @img2"), "assets", "has 2 files; this model takes at most 1"),
        (Wanted("krea-2-large", 5, {}, 0, "a"), "generations_count", "1 to 4"),
        (replace(GOOD, prompt="x" * 101), "prompt", "has 101 characters; this model takes at most 100"),
        (replace(GOOD, prompt="\n\t "), "prompt", "must not be empty"),
        (Wanted("krea-2-large", 1, {}, 0, "x" * 4001), "prompt", "at most 4000"),
        (replace(GOOD, prompt="like @img1"), "prompt", "names @img1, but no file was sent as `assets`"),
        (replace(GOOD, prompt="like @img2", asset_count=2), "prompt", "does not name @img1, but 2 files were sent"),
        (replace(GOOD, prompt="@img1 @img01", asset_count=1), "prompt", "names @img01, but one file was sent, @img1"),
    ],
    ids=lambda value: str(value)[:50] if isinstance(value, str) else "",
)
def test_what_is_wrong_is_named_with_the_remedy(wanted: Wanted, field: str, says: str) -> None:
    found = problems(MODELS, wanted)

    assert [each.field for each in found] == [field]
    assert says in found[0].message


def test_everything_that_is_wrong_comes_at_once() -> None:
    wrong = Wanted("seedream", 9, {"aspect_ratio": "7:1", "quality": 1}, 4, "")

    assert [each.field for each in problems(MODELS, wrong)] == [
        "prompt",
        "generations_count",
        "model_parameters.aspect_ratio",
        "model_parameters.quality",
        "assets",
        "prompt",
    ]


def test_a_price_is_asked_without_a_prompt() -> None:
    assert problems(MODELS, replace(GOOD, prompt=None, asset_count=3)) == ()


def test_a_file_may_be_named_as_often_as_one_likes() -> None:
    assert problems(MODELS, replace(GOOD, prompt="@img1 in front of @img2, @img1 again", asset_count=2)) == ()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    model_id=st.sampled_from([model.model_id for model in MODELS]) | st.text(),
    count=st.integers(),
    parameters=st.dictionaries(st.sampled_from(["aspect_ratio", "seed", "quality"]) | st.text(), JSON_VALUES),
    assets=st.integers(0, 50),
    prompt=st.none() | st.text() | st.lists(st.integers(0, 60)).map(lambda ns: " ".join(f"@img{n}" for n in ns)),
)
def test_no_request_of_any_kind_breaks_the_check(
    model_id: str, count: int, parameters: dict[str, object], assets: int, prompt: str | None
) -> None:
    found = problems(MODELS, Wanted(model_id, count, parameters, assets, prompt))

    assert all(each.field and each.message and len(each.message) < 3000 for each in found)


@given(st.lists(st.integers(1, 6)), st.integers(0, 3))
def test_references_pass_exactly_when_they_are_the_files(numbers: list[int], assets: int) -> None:
    prompt = "a lighthouse " + " and ".join(f"@img{number}" for number in numbers)

    passes = problems(MODELS, replace(GOOD, prompt=prompt[:100], asset_count=assets)) == ()

    named = {int(number) for number in re.findall(r"@img([0-9]+)", prompt[:100])}
    assert passes == (named == set(range(1, assets + 1)))
