"""OpenAI's images API under /openai/v1, for its client libraries: `router` has all, `ERRORS` its form of errors."""

from fastapi import APIRouter

from service.surfaces.openai import images, models
from service.surfaces.openai.envelope import ERRORS

__all__ = ["ERRORS", "router"]

router = APIRouter()
for part in (models, images):
    router.include_router(part.router)
