"""What every API call passes before its endpoint: moods of the whole server, the key, throttling, buckets, errors."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from service.sandbox.connection import NoAnswer
from service.sandbox.knobs import AnswerError
from service.sandbox.refusals import HangUp, Refused, refusal_of
from service.sandbox.upstream import Upstream

Answer = Callable[[Upstream, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Rule:
    """How an endpoint is counted (name), limited (bucket and cost), throttled and made to fail (a mood)."""

    name: str
    bucket: str
    cost: int = 1
    error_mood: str = ""
    throttled: bool = False


def api_route(upstream: Upstream, method_and_path: str, rule: Rule, answer: Answer) -> Route:
    """The route of an API call behind its gate, e.g. "GET /v1/credits"."""
    method, path = method_and_path.split(" ")

    async def endpoint(request: Request) -> Response:
        counts = upstream.counts
        counts.requests_by_endpoint[rule.name] += 1
        try:
            limits = _admit(upstream, rule, request)
            response = await answer(upstream, request)
        except (Refused, HangUp) as refusal:
            counts.refused[refusal.reason] += 1
            return refusal.response() if isinstance(refusal, Refused) else NoAnswer(refusal.how)
        except ClientDisconnect:
            counts.refused["client_disconnected"] += 1
            return Response(status_code=400)
        response.headers.update(limits)
        return response

    return Route(path, endpoint, methods=[method])


def json_response(body: dict[str, Any]) -> Response:
    """200 with JSON."""
    return Response(orjson.dumps(body), media_type="application/json")


def _admit(upstream: Upstream, rule: Rule, request: Request) -> dict[str, str]:
    """Rate limit headers for the answer; Refused or HangUp when the call goes no further."""
    _check_up(upstream)
    if _key(request) not in upstream.settings.api_keys:
        raise Refused(401, "bad_key", "Invalid API key")
    moods = upstream.moods
    if rule.throttled and upstream.dice.falls(moods.throttle_401):
        raise Refused(401, "throttled_401", moods.throttle_401.message)
    limits = upstream.charge_bucket(rule.bucket, rule.cost)
    if rule.error_mood:
        error: AnswerError = getattr(moods, rule.error_mood)
        if upstream.dice.falls(error):
            raise refusal_of(error)
    return limits


def _check_up(upstream: Upstream) -> None:
    match upstream.moods.down:
        case "no":
            return
        case "503":
            raise Refused(503, "down", "Service unavailable")
        case "html":
            raise Refused(503, "down", "Service Temporarily Unavailable", "html")
        case "close" | "reset" as how:
            raise HangUp(how, "down")


def _key(request: Request) -> str:
    """The key, whether it came as Bearer, as a bare Authorization or as xi-api-key."""
    authorization = request.headers.get("authorization", "")
    kind, _, token = authorization.partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    return authorization or request.headers.get("xi-api-key", "")
