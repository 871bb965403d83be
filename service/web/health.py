"""Is this process alive, may it get traffic, what does it count: /livez, /readyz, /metrics, served by every role."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import orjson
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from service.db.engine import Database
from service.db.schema import require_migrated
from service.errors import GatewayError

Check = Callable[[], Awaitable[None]]

CHECK_TIMEOUT_S = 3.0
_PING = text("SELECT 1")

router = APIRouter(tags=["ops"])


class Readiness(BaseModel):
    """Whether this process may get traffic, and what each check says: `ok` or what is wrong."""

    ready: bool
    checks: dict[str, str] = Field(description="By name: `ok`, or what is wrong.")


@dataclass(slots=True)
class Health:
    """The checks of this process by name; each raises GatewayError when it fails. `draining` is set by SIGTERM."""

    checks: Mapping[str, Check]
    draining: bool = field(default=False)

    async def readiness(self) -> Readiness:
        """Run every check side by side, each within three seconds."""
        findings = await asyncio.gather(*(_finding(check) for check in self.checks.values()))
        found = dict(zip(self.checks, findings, strict=True))
        if self.draining:
            found["draining"] = "the process is shutting down"
        return Readiness(ready=all(finding == "ok" for finding in found.values()), checks=found)


def database_checks(database: Database) -> dict[str, Check]:
    """Postgres answers, and has the migrations that this code needs."""

    async def answers() -> None:
        await database.statement(_PING)

    async def migrated() -> None:
        await require_migrated(database)

    return {"database": answers, "migrations": migrated}


def loops_check(failing: Callable[[], list[str]]) -> dict[str, Check]:
    """Every background loop of this process made it through its last turn."""

    async def alive() -> None:
        names = failing()
        if names:
            raise GatewayError(f"failing: {', '.join(names)}")

    return {"loops": alive}


@router.get("/livez", summary="Is the process alive?", operation_id="livez", response_class=PlainTextResponse)
async def livez() -> Response:
    """Answers as long as the event loop turns; it looks at nothing else, so that a database outage restarts nobody."""
    return PlainTextResponse("ok\n")


@router.get(
    "/readyz",
    summary="May the process get traffic?",
    operation_id="readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not now; `checks` says why."}},
)
async def readyz(request: Request) -> Response:
    """Database, migrations, background loops; 503 while one of them fails, and from SIGTERM on."""
    health: Health = request.app.state.health
    readiness = await health.readiness()
    return Response(
        orjson.dumps(readiness.model_dump()), 200 if readiness.ready else 503, media_type="application/json"
    )


@router.get("/metrics", summary="Counters for Prometheus", operation_id="metrics", response_class=PlainTextResponse)
async def metrics() -> Response:
    """In the Prometheus text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _finding(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_S:g} s"
    except GatewayError as exc:
        return exc.detail
    except SQLAlchemyError as exc:
        return type(exc).__name__
    return "ok"
