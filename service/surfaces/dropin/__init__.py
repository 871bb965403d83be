"""The image API's own endpoints at the root, for code written against it: change host and key, nothing else."""

from fastapi import APIRouter

from service.surfaces.dropin import create, delete, polls, reads
from service.surfaces.dropin.errors import ERRORS

__all__ = ["ERRORS", "router"]

router = APIRouter()
for part in (reads, create, polls, delete):
    router.include_router(part.router)
