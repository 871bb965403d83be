"""OpenAI's sizes and qualities become what each image model has to offer, or are refused with the remedy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.surfaces.openai.sizes import MAX_STRETCH, choose_parameters
from service.upstream.wire import ImageModel

SEEDREAM = ImageModel("seedream", aspect_ratios=("16:9", "4:3", "1:1", "3:4", "9:16"), resolutions=("2K", "4K"))
GPT = ImageModel(
    "gpt",
    aspect_ratios=("auto", "3:1", "21:9", "16:9", "3:2", "1:1", "2:3", "9:16"),
    resolutions=("1K", "2K", "4K"),
    qualities=("low", "medium", "high"),
    default_quality="medium",
)
FLUX = ImageModel("flux", aspect_ratios=("16:9", "1:1", "9:16"), resolutions=("720p", "1080p", "2K"))
BARE = ImageModel("bare")
WIDE_ONLY = ImageModel("wide", aspect_ratios=("16:9",), resolutions=("1K",))
CINEMA = ImageModel("cinema", aspect_ratios=("2.35:1", "1:1"), resolutions=("512", "ultra"))
ODD = ImageModel("odd", aspect_ratios=("square", "0:0"), qualities=("turbo",))


@pytest.mark.parametrize(
    ("model", "size", "parameters"),
    [
        pytest.param(GPT, None, {"aspect_ratio": "auto"}, id="left out, and the model can choose"),
        pytest.param(GPT, "auto", {"aspect_ratio": "auto"}, id="auto, and the model can choose"),
        pytest.param(SEEDREAM, "auto", {}, id="auto, and the model has its own default"),
        pytest.param(BARE, "auto", {}, id="auto, and there is no choice"),
        pytest.param(GPT, "1024x1024", {"aspect_ratio": "1:1", "resolution": "1K"}, id="square"),
        pytest.param(GPT, "1536x1024", {"aspect_ratio": "3:2", "resolution": "1K"}, id="landscape of the 1K class"),
        pytest.param(GPT, "1024x1536", {"aspect_ratio": "2:3", "resolution": "1K"}, id="portrait of the 1K class"),
        pytest.param(GPT, "1792x1024", {"aspect_ratio": "16:9", "resolution": "1K"}, id="the older wide size"),
        pytest.param(GPT, "1024x1792", {"aspect_ratio": "9:16", "resolution": "1K"}, id="the older tall size"),
        pytest.param(GPT, "2560x1440", {"aspect_ratio": "16:9", "resolution": "2K"}, id="QHD is 2K"),
        pytest.param(GPT, "2048x2048", {"aspect_ratio": "1:1", "resolution": "2K"}, id="the square of 2K"),
        pytest.param(GPT, "3840x2160", {"aspect_ratio": "16:9", "resolution": "4K"}, id="UHD is 4K"),
        pytest.param(GPT, "9999x9999", {"aspect_ratio": "1:1", "resolution": "4K"}, id="beyond the largest"),
        pytest.param(SEEDREAM, "256x256", {"aspect_ratio": "1:1", "resolution": "2K"}, id="below the smallest"),
        pytest.param(SEEDREAM, "1536x1024", {"aspect_ratio": "4:3", "resolution": "2K"}, id="the nearest ratio"),
        pytest.param(FLUX, "1024x576", {"aspect_ratio": "16:9", "resolution": "720p"}, id="fits into 720p"),
        pytest.param(FLUX, "1024x1024", {"aspect_ratio": "1:1", "resolution": "1080p"}, id="too much for 720p"),
        pytest.param(CINEMA, "2350x1000", {"aspect_ratio": "2.35:1", "resolution": "512"}, id="a word is no size"),
    ],
)
def test_a_size_becomes_the_nearest_ratio_and_the_smallest_resolution_that_holds_it(
    model: ImageModel, size: str | None, parameters: dict[str, str]
) -> None:
    chosen = choose_parameters(model, size, None)

    assert (chosen.parameters, chosen.wrong) == (parameters, ())


@pytest.mark.parametrize(
    ("model", "size", "remedy"),
    [
        pytest.param(WIDE_ONLY, "1024x1024", "its ratios are 16:9", id="a square of a wide model"),
        pytest.param(SEEDREAM, "3000x1000", "its ratios are 16:9, 4:3", id="a banner"),
        pytest.param(BARE, "1024x1024", "leave `size` out", id="no choice of shapes"),
        pytest.param(ODD, "1024x1024", "its ratios are square", id="no ratio that is one"),
        pytest.param(GPT, "large", "WIDTHxHEIGHT", id="a word"),
        pytest.param(GPT, "1024 x 1024", "WIDTHxHEIGHT", id="blanks"),
        pytest.param(GPT, "0x1024", "WIDTHxHEIGHT", id="nothing wide"),
        pytest.param(GPT, "99999x99999", "at most 16384 pixels", id="larger than anything"),
    ],
)
def test_a_size_that_the_model_cannot_make_is_refused_with_the_remedy(
    model: ImageModel, size: str, remedy: str
) -> None:
    chosen = choose_parameters(model, size, None)

    assert [each.field for each in chosen.wrong] == ["size"]
    assert remedy in chosen.wrong[0].message


@pytest.mark.parametrize(
    ("model", "quality", "parameters"),
    [
        (GPT, None, {}),
        (GPT, "auto", {}),
        (GPT, "low", {"quality": "low"}),
        (GPT, "standard", {"quality": "medium"}),
        (GPT, "hd", {"quality": "high"}),
        (GPT, "xhigh", {"quality": "high"}),
        (GPT, "max", {"quality": "high"}),
        (ODD, "turbo", {"quality": "turbo"}),
        (ImageModel("two", qualities=("low", "high")), "medium", {"quality": "low"}),
        (BARE, "auto", {}),
        (BARE, "standard", {}),
    ],
)
def test_a_quality_becomes_the_nearest_one_and_of_two_the_cheaper(
    model: ImageModel, quality: str | None, parameters: dict[str, str]
) -> None:
    chosen = choose_parameters(model, "auto", quality)

    assert {name: value for name, value in chosen.parameters.items() if name == "quality"} == parameters
    assert chosen.wrong == ()


@pytest.mark.parametrize(
    ("model", "quality", "remedy"),
    [(BARE, "high", "leave it out"), (GPT, "excellent", "low, medium, high or auto"), (ODD, "high", "turbo or auto")],
)
def test_a_quality_that_the_model_has_not_is_refused_with_the_remedy(
    model: ImageModel, quality: str, remedy: str
) -> None:
    chosen = choose_parameters(model, None, quality)

    assert [(each.field, remedy in each.message) for each in chosen.wrong] == [("quality", True)]


@given(st.integers(16, 16_384), st.integers(16, 16_384), st.sampled_from([SEEDREAM, GPT, FLUX]))
def test_every_size_is_given_nearly_as_asked_or_refused(width: int, height: int, model: ImageModel) -> None:
    chosen = choose_parameters(model, f"{width}x{height}", None)

    if not chosen.wrong:
        across, _, down = chosen.parameters["aspect_ratio"].partition(":")
        stretch = (float(across) / float(down)) / (width / height)
        assert 1 / MAX_STRETCH - 1e-9 <= stretch <= MAX_STRETCH + 1e-9
        assert chosen.parameters["resolution"] in (model.resolutions or ())


@given(st.text(), st.text(), st.sampled_from([SEEDREAM, GPT, BARE, ODD]))
def test_whatever_words_come_the_parameters_are_the_models_own(size: str, quality: str, model: ImageModel) -> None:
    chosen = choose_parameters(model, size, quality)

    assert chosen.parameters.get("aspect_ratio", "auto") in (*(model.aspect_ratios or ()), "auto")
    assert chosen.parameters.get("quality") in (*(model.qualities or ()), None)
