"""Pure: OpenAI's `size` and `quality` as the ratio, resolution and quality that an image model has to offer."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

from service.catalog.check import shown
from service.errors import FieldError
from service.upstream.wire import ImageModel

AUTO = "auto"
MAX_SIDE_PX = 16_384
# A picture may be by so much wider or narrower than was asked for; beyond it somebody would pay for another shape.
MAX_STRETCH = 1.25

_SIZE = re.compile(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})")
_RATIO = re.compile(r"([0-9]+(?:\.[0-9]+)?):([0-9]+(?:\.[0-9]+)?)")
_RESOLUTION = re.compile(r"([1-9][0-9]{0,4})([kp]?)", re.IGNORECASE)
# OpenAI's largest landscape of the 1K class, 1792x1024, has so many times the pixels of the square 1024x1024.
_WIDEST_OF_CLASS = 1.75
# The same step of the ladder under OpenAI's newer and older names.
_STEPS: Mapping[str, int] = {"low": 0, "medium": 1, "standard": 1, "high": 2, "hd": 2, "xhigh": 3, "max": 4}
# What asks a model without a choice of qualities for nothing that it has not.
_PLAIN_QUALITIES = frozenset({"medium", "standard"})


@dataclass(frozen=True, slots=True)
class Chosen:
    """The model's parameters for what was asked, and what is wrong with it; parameters left out are the model's own."""

    parameters: dict[str, str]
    wrong: tuple[FieldError, ...]


def choose_parameters(model: ImageModel, size: str | None, quality: str | None) -> Chosen:
    """The parameters nearest to a `WIDTHxHEIGHT`, or `auto`, and to one of OpenAI's qualities.

    The ratio is the nearest one within a quarter, the resolution the smallest that holds the pixels, else the largest,
    the quality the nearest, of two the cheaper. Wrong is what the model can only answer with something else.
    """
    shape, wrong_size = _shape(model, size)
    grade, wrong_quality = _grade(model, quality)
    return Chosen({**shape, **grade}, (*wrong_size, *wrong_quality))


def _shape(model: ImageModel, size: str | None) -> tuple[dict[str, str], tuple[FieldError, ...]]:
    if size is None or size == AUTO:
        return ({"aspect_ratio": AUTO} if AUTO in (model.aspect_ratios or ()) else {}), ()
    sides = _SIZE.fullmatch(size)
    if sides is None:
        return {}, (_wrong("size", f"must be `auto` or WIDTHxHEIGHT in pixels such as 1536x1024, not {shown(size)}"),)
    width, height = int(sides[1]), int(sides[2])
    if max(width, height) > MAX_SIDE_PX:
        return {}, (_wrong("size", f"must have sides of at most {MAX_SIDE_PX} pixels"),)
    ratio = _nearest_ratio(model.aspect_ratios or (), width / height)
    if ratio is None:
        return {}, (_wrong("size", f"{shown(size)} is no shape that this model makes; {_shapes(model)}"),)
    resolution = _holding(model.resolutions or (), width * height)
    return {"aspect_ratio": ratio} | ({"resolution": resolution} if resolution else {}), ()


def _nearest_ratio(offered: Sequence[str], wanted: float) -> str | None:
    """The offered ratio that stretches a picture least, None when that is too much."""
    known = {ratio: found for ratio in offered if (found := _ratio(ratio)) is not None}
    nearest = min(known, key=lambda ratio: abs(log(known[ratio] / wanted)), default=None)
    if nearest is None or abs(log(known[nearest] / wanted)) > log(MAX_STRETCH):
        return None
    return nearest


def _ratio(text: str) -> float | None:
    found = _RATIO.fullmatch(text)
    if found is None or not float(found[1]) or not float(found[2]):
        return None
    return float(found[1]) / float(found[2])


def _holding(offered: Sequence[str], pixels: int) -> str | None:
    known = sorted((room, name) for name in offered if (room := _room_px(name)) is not None)
    return next((name for room, name in known if room >= pixels), known[-1][1] if known else None)


def _room_px(resolution: str) -> float | None:
    """How many pixels a picture of this resolution has at most: `720p` is a short side, `2K` and `512` are squares."""
    found = _RESOLUTION.fullmatch(resolution)
    if found is None:
        return None
    count, unit = int(found[1]), found[2].lower()
    if unit == "p":
        return count * count * 16 / 9
    side = count * 1024 if unit == "k" else count
    return _WIDEST_OF_CLASS * side * side


def _grade(model: ImageModel, quality: str | None) -> tuple[dict[str, str], tuple[FieldError, ...]]:
    offered = model.qualities or ()
    if quality is None or quality == AUTO:
        return {}, ()
    if quality in offered:
        return {"quality": quality}, ()
    if not offered:
        plain = quality in _PLAIN_QUALITIES
        return {}, () if plain else (_wrong("quality", "this model has no choice of qualities; leave it out"),)
    steps = {name: _STEPS[name] for name in offered if name in _STEPS}
    if quality not in _STEPS or not steps:
        return {}, (_wrong("quality", f"must be one of {', '.join(offered)} or auto, not {shown(quality)}"),)
    return {"quality": min(steps, key=lambda name: (abs(steps[name] - _STEPS[quality]), steps[name]))}, ()


def _shapes(model: ImageModel) -> str:
    if not model.aspect_ratios:
        return "it has no choice of shapes: leave `size` out or send `auto`"
    return f"its ratios are {', '.join(model.aspect_ratios)}"


def _wrong(field: str, message: str) -> FieldError:
    return FieldError(field, message)
