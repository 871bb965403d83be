"""Pure: is this request one that the image model takes? Every wrong field comes back at once, with the remedy."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from service.errors import FieldError
from service.upstream.wire import ImageModel

DEFAULT_MAX_PROMPT_LENGTH = 4000
DEFAULT_MAX_GENERATIONS = 4
# Numbers beyond this are rounded by JSON readers that keep every number as a double.
MAX_SEED = 2**53 - 1
MAX_SHOWN_VALUES = 30
MAX_SHOWN_LENGTH = 60

_REFERENCE = re.compile(r"@img([0-9]+)")
_PARAMETERS = ("aspect_ratio", "resolution", "quality", "seed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks of an image model; the prompt is None where only a price is asked."""

    model_id: str
    generations_count: int
    model_parameters: Mapping[str, object]
    asset_count: int
    prompt: str | None


def find_model(models: Sequence[ImageModel], model_id: str) -> ImageModel | None:
    """The model of that id, None when the catalogue has none."""
    return next((model for model in models if model.model_id == model_id), None)


def problems(models: Sequence[ImageModel], wanted: Wanted) -> tuple[FieldError, ...]:
    """All that the upstream would refuse about the request, or take money for and ignore; empty when all is well.

    An unknown key in `model_parameters` is refused and not passed on: the charge falls at submission, so a key that the
    upstream ignores (a typing error, another vendor's name) costs an image that is not the one asked for.
    """
    model = find_model(models, wanted.model_id)
    if model is None:
        return (_unknown_model(models, wanted.model_id), *_prompt_shape(wanted.prompt, DEFAULT_MAX_PROMPT_LENGTH))
    return (
        *_prompt_shape(wanted.prompt, model.max_prompt_length or DEFAULT_MAX_PROMPT_LENGTH),
        *_count(model, wanted.generations_count),
        *_parameters(model, wanted.model_parameters),
        *_assets(model, wanted.asset_count),
        *_references(wanted.prompt, wanted.asset_count),
    )


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """` Did you mean …?` with the nearest of the known words, or nothing when none is near."""
    near = get_close_matches(word[:MAX_SHOWN_LENGTH], known, n=1)
    return f" Did you mean {near[0]}?" if near else ""


def shown(value: object) -> str:
    """A client's value as it may stand in a message: short, in backticks."""
    words = str(value)
    return f"`{words[:MAX_SHOWN_LENGTH]}…`" if len(words) > MAX_SHOWN_LENGTH else f"`{words}`"


def _unknown_model(models: Sequence[ImageModel], model_id: str) -> FieldError:
    known = [model.model_id for model in models]
    remedy = did_you_mean(model_id, known) or f" The models are {_listed(known)}."
    return FieldError("model_id", f"there is no model {shown(model_id)}.{remedy}")


def _prompt_shape(prompt: str | None, max_length: int) -> Iterator[FieldError]:
    if prompt is None:
        return
    if not prompt.strip():
        yield FieldError("prompt", "must not be empty")
    elif len(prompt) > max_length:
        yield FieldError("prompt", f"has {len(prompt)} characters; this model takes at most {max_length}")


def _count(model: ImageModel, count: int) -> Iterator[FieldError]:
    most = model.max_generations or DEFAULT_MAX_GENERATIONS
    if not 1 <= count <= most:
        wanted = "exactly 1" if most == 1 else f"1 to {most}"
        yield FieldError("generations_count", f"must be {wanted} for this model, not {count}")


def _parameters(model: ImageModel, parameters: Mapping[str, object]) -> Iterator[FieldError]:
    allowed: Mapping[str, tuple[str, ...] | None] = {
        "aspect_ratio": model.aspect_ratios,
        "resolution": model.resolutions,
        "quality": model.qualities,
    }
    for name, value in parameters.items():
        field = f"model_parameters.{name[:MAX_SHOWN_LENGTH]}"
        if name in allowed:
            message = _choice(value, allowed[name])
        elif name == "seed":
            message = _seed(value)
        else:
            message = f"is not a known parameter; known are {', '.join(_PARAMETERS)}.{did_you_mean(name, _PARAMETERS)}"
        if message:
            yield FieldError(field, message)


def _choice(value: object, allowed: Sequence[str] | None) -> str:
    if not allowed:
        return "this model takes no such parameter; leave it out"
    if isinstance(value, str) and value in allowed:
        return ""
    return f"must be one of {_listed(allowed)}, not {shown(value)}"


def _seed(value: object) -> str:
    is_whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_SEED
    return "" if is_whole else f"must be a whole number of at most {MAX_SEED}"


def _assets(model: ImageModel, count: int) -> Iterator[FieldError]:
    takes_images = model.supports_images or model.requires_reference_images
    if count and (not takes_images or model.max_assets == 0):
        yield FieldError("assets", "this model takes no reference images; leave them out")
    elif model.max_assets is not None and count > model.max_assets:
        yield FieldError("assets", f"has {count} files; this model takes at most {model.max_assets}")
    elif model.requires_reference_images and not count:
        yield FieldError("assets", "this model needs at least one reference image")


def _references(prompt: str | None, count: int) -> Iterator[FieldError]:
    """The upstream wants as many references as files: each file named, and no name without its file."""
    if prompt is None:
        return
    named = dict.fromkeys(_REFERENCE.findall(prompt))
    files = [str(number) for number in range(1, count + 1)]
    without_file = [number for number in named if number not in files]
    without_name = [number for number in files if number not in named]
    if without_file:
        yield FieldError("prompt", f"names {_images(without_file)}, but {_sent(count)}")
    if without_name:
        yield FieldError("prompt", f"does not name {_images(without_name)}, but {_sent(count)}; name each of them")


def _images(numbers: Sequence[str]) -> str:
    return _listed([f"@img{number[:MAX_SHOWN_LENGTH]}" for number in numbers])


def _sent(count: int) -> str:
    if count == 0:
        return "no file was sent as `assets`"
    return "one file was sent, @img1" if count == 1 else f"{count} files were sent, @img1 to @img{count}"


def _listed(values: Sequence[str]) -> str:
    more = ", …" if len(values) > MAX_SHOWN_VALUES else ""
    return ", ".join(values[:MAX_SHOWN_VALUES]) + more
