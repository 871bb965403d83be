"""Which client is calling: an API key in `Authorization` (`Bearer` or bare), `X-Api-Key` or `xi-api-key` names it."""

from collections.abc import Mapping
from typing import Annotated

import structlog
from fastapi import Depends, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import Request

from service.errors import NotAuthenticated
from service.web.context import Gateway, gateway_of

_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="`Authorization: Bearer <key>`")
_api_key = APIKeyHeader(name="X-Api-Key", auto_error=False, scheme_name="apiKey", description="The key as it is.")

KEY_HEADERS = ("x-api-key", "xi-api-key")


def presented_key(headers: Mapping[str, str]) -> str | None:
    """The key that the request shows, None when it shows none; `Authorization` goes before the other headers."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme and not key:
        return scheme  # the key as it is, which some clients of the image API send
    if scheme:
        return key.strip() if scheme.lower() == "bearer" else None
    return next((headers[name] for name in KEY_HEADERS if name in headers), None)


async def client_name(request: Request, gateway: Annotated[Gateway, Depends(gateway_of)]) -> str:
    """The name of the calling client, for every query to be scoped by; raises NotAuthenticated."""
    key = presented_key(request.headers)
    client = gateway.keyring.client_of(key) if key else None
    if client is None:
        raise NotAuthenticated
    structlog.contextvars.bind_contextvars(client=client)
    return client


# The two schemes are read above and stand here for the OpenAPI document alone: either of them is enough.
Client = Annotated[str, Depends(client_name)]
SECURITY = (Security(_bearer), Security(_api_key))
