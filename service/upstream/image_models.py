"""The image API's model list in our words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from service.upstream.reading import decimal, first, flag, identifier, integer, mapping, sequence, text, texts


@dataclass(frozen=True, slots=True)
class ImageModel:
    """One image model; a list that is None means that the model takes no such parameter and rejects it when sent."""

    model_id: str
    max_generations: int | None = None
    max_prompt_length: int | None = None
    aspect_ratios: tuple[str, ...] | None = None
    default_aspect_ratio: str | None = None
    resolutions: tuple[str, ...] | None = None
    default_resolution: str | None = None
    qualities: tuple[str, ...] | None = None
    default_quality: str | None = None
    eta_seconds: float | None = None
    presented_credits: Decimal | None = None
    supports_images: bool = False
    requires_reference_images: bool = False
    supports_enhance_prompt: bool = False
    supports_negative_prompt: bool = False
    max_assets: int | None = None
    raw: dict[str, object] = field(default_factory=dict)


def read_models(body: object) -> tuple[ImageModel, ...]:
    """Every model that has an id, in the API's order, the first of equal ids; `presented_credits` is not the charge."""
    source = mapping(body)
    listed = sequence(body) or sequence(first(source, "models", "data"))
    listed = listed or sequence(first(mapping(source.get("data")), "models"))
    found: dict[str, ImageModel] = {}
    for entry in (mapping(item) for item in listed):
        model_id = identifier(first(entry, "model_id", "modelId", "id"))
        if model_id is not None:
            found.setdefault(model_id, _image_model(model_id, entry))
    return tuple(found.values())


def _image_model(model_id: str, entry: Mapping[str, object]) -> ImageModel:
    eta_seconds = decimal(entry.get("eta_seconds"))
    return ImageModel(
        model_id=model_id,
        max_generations=integer(entry.get("max_generations")),
        max_prompt_length=integer(entry.get("max_prompt_length")),
        aspect_ratios=texts(entry.get("aspect_ratios")),
        default_aspect_ratio=text(entry.get("default_aspect_ratio")),
        resolutions=texts(entry.get("resolutions")),
        default_resolution=text(entry.get("default_resolution")),
        qualities=texts(entry.get("qualities")),
        default_quality=text(entry.get("default_quality")),
        eta_seconds=None if eta_seconds is None else float(eta_seconds),
        presented_credits=decimal(entry.get("presented_credits")),
        supports_images=flag(entry.get("supports_images")),
        requires_reference_images=flag(entry.get("requires_reference_images")),
        supports_enhance_prompt=flag(entry.get("supports_enhance_prompt")),
        supports_negative_prompt=flag(entry.get("supports_negative_prompt")),
        max_assets=integer(entry.get("max_assets")),
        raw=dict(entry),
    )
