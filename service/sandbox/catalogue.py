"""The models that the sandbox sells and what one image of each costs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.sandbox.refusals import Refused

_FILE = Path(__file__).with_name("models.json")
_NEW_MODEL_CREDITS = 1000
_NEW_MODEL: dict[str, Any] = {
    "max_generations": 1,
    "supports_images": False,
    "requires_reference_images": False,
    "supports_enhance_prompt": False,
    "supports_negative_prompt": False,
    "max_assets": 0,
}
_RESOLUTION_FACTOR = {"512": 0.5, "720p": 0.55, "1K": 0.7, "1080p": 0.75, "2K": 1.0, "3K": 1.5, "4K": 2.0}
_QUALITY_FACTOR = {"low": 0.4, "medium": 1.0, "high": 2.5}
PARAMETER_LISTS = {"aspect_ratio": "aspect_ratios", "resolution": "resolutions", "quality": "qualities"}


@dataclass(frozen=True)
class ImageModel:
    """One model: its line in the model list, and the credits that one image costs at 2K or without a resolution."""

    model_id: str
    line: Mapping[str, Any]
    credits: int

    def choices(self, parameter: str) -> tuple[str, ...]:
        """The values that a parameter with a list may take; empty when the model takes no such parameter."""
        return tuple(self.line.get(PARAMETER_LISTS[parameter]) or ())

    def chosen(self, parameter: str, parameters: Mapping[str, Any]) -> str | None:
        """The value asked for, else the model's default, else its first choice, else None."""
        choices = self.choices(parameter)
        default = self.line.get(f"default_{parameter}") or (choices[0] if choices else None)
        return parameters.get(parameter) or default

    def price(self, generations_count: int, parameters: Mapping[str, Any]) -> int:
        """Credits for the whole request; assets are free."""
        resolution = _RESOLUTION_FACTOR.get(self.chosen("resolution", parameters) or "2K", 1.0)
        quality = _QUALITY_FACTOR.get(self.chosen("quality", parameters) or "medium", 1.0)
        return round(self.credits * resolution * quality) * generations_count


class Catalogue:
    """The models on offer, in order."""

    def __init__(self, models: dict[str, ImageModel]) -> None:
        self.models = models

    def model(self, model_id: str) -> ImageModel:
        """The model of that id; an unknown one is the caller's error, which this API dresses as a 500."""
        found = self.models.get(model_id)
        if found is None:
            valid = ", ".join(self.models)
            raise Refused(500, "invalid_model", f"Invalid model_id '{model_id}'. Valid ids: {valid}")
        return found


def load_catalogue(patch: Mapping[str, Mapping[str, Any] | None]) -> Catalogue:
    """The models of models.json with the mood `models_patch` laid over them."""
    stock = json.loads(_FILE.read_text(encoding="utf-8"))["models"]
    models = {
        entry["model"]["model_id"]: ImageModel(entry["model"]["model_id"], entry["model"], entry["credits"])
        for entry in stock
    }
    for model_id, change in patch.items():
        if change is None:
            models.pop(model_id, None)
        else:
            models[model_id] = _changed(models.get(model_id), model_id, change)
    return Catalogue(models)


def _changed(model: ImageModel | None, model_id: str, change: Mapping[str, Any]) -> ImageModel:
    line = {"model_id": model_id, **(model.line if model else _NEW_MODEL), **change}
    price = line.pop("credits", model.credits if model else _NEW_MODEL_CREDITS)
    return ImageModel(model_id, line, int(price))
