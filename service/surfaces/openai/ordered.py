"""An OpenAI request as a task: its model's own parameters, its pictures as references, all that is wrong at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.catalog.check import Wanted, did_you_mean, find_model, problems, shown
from service.errors import FieldError, InvalidRequest
from service.surfaces.openai.errors import ModelNotFound
from service.surfaces.openai.shapes import EditFields, ImageFields
from service.surfaces.openai.sizes import choose_parameters
from service.tasks.schemas import TaskRequest
from service.uploads.spool import Asset
from service.upstream.wire import ImageModel

MAX_SHOWN_MODELS = 40
_REFERENCE = re.compile(r"@img[0-9]")
# Our names of what may be wrong, as OpenAI's callers know them.
_PARAMS: Mapping[str, str] = {
    "model_id": "model",
    "generations_count": "n",
    "model_parameters.aspect_ratio": "size",
    "model_parameters.resolution": "size",
    "model_parameters.quality": "quality",
    "assets": "image",
}


@dataclass(frozen=True, slots=True)
class Ordered:
    """The task that is asked for, and the form in which its pictures are wanted."""

    wanted: TaskRequest
    kind: str  # the first word of its events
    quality: str | None  # the one that was chosen, or the model's own; None where it has no choice
    with_urls: bool
    with_bytes: bool
    stream: bool


def ordered(models: Sequence[ImageModel], asked: ImageFields, assets: tuple[Asset, ...]) -> Ordered:
    """The order, held against the catalogue. Raises ModelNotFound, InvalidRequest with every wrong field."""
    model = _model(models, asked.model)
    chosen = choose_parameters(model, asked.size, asked.quality)
    wanted = TaskRequest(
        prompt=with_references(asked.prompt, len(assets)),
        model_id=model.model_id,
        generations_count=asked.n or 1,
        model_parameters=dict(chosen.parameters),
        metadata=_metadata(asked),
        assets=assets,
    )
    wrong = [*chosen.wrong, *_refused(models, wanted)]
    if wrong:
        raise InvalidRequest(*wrong)
    return Ordered(
        wanted,
        "image_edit" if isinstance(asked, EditFields) else "image_generation",
        chosen.parameters.get("quality", model.default_quality),
        with_urls=asked.response_format != "b64_json",
        with_bytes=asked.response_format != "url",
        stream=bool(asked.stream),
    )


def with_references(prompt: str, count: int) -> str:
    """The prompt that names every picture: a prompt that names none, as OpenAI's do not, gets the names at its end."""
    if not count or _REFERENCE.search(prompt):
        return prompt
    return " ".join([prompt, *(f"@img{number}" for number in range(1, count + 1))])


def _model(models: Sequence[ImageModel], name: str | None) -> ImageModel:
    known = [model.model_id for model in models]
    if name is None:
        raise InvalidRequest(FieldError("model", f"name one of the models: {', '.join(known[:MAX_SHOWN_MODELS])}"))
    model = find_model(models, name)
    if model is None:
        detail = f"There is no model {shown(name)}.{did_you_mean(name, known)} GET /openai/v1/models lists them."
        raise ModelNotFound(detail, fields=(FieldError("model", detail),))
    return model


def _refused(models: Sequence[ImageModel], wanted: TaskRequest) -> list[FieldError]:
    found = problems(
        models,
        Wanted(
            model_id=wanted.model_id,
            generations_count=wanted.generations_count,
            model_parameters=wanted.model_parameters,
            asset_count=len(wanted.assets),
            prompt=wanted.prompt,
        ),
    )
    return [FieldError(_PARAMS.get(each.field, each.field), each.message) for each in found]


def _metadata(asked: ImageFields) -> dict[str, object]:
    user = asked.safety_identifier or asked.user
    return {"user": user} if user else {}
