"""Calls the gateway as a client team would, and turns every answer that is not the expected one into a sentence."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from service.demo.ending import DemoFailed

CALL_TIMEOUT_S = 30.0


class Client:
    """One gateway, one key. Each call returns the JSON of the answer, or raises DemoFailed with the problem's words."""

    def __init__(self, url: str, api_key: str = "") -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=CALL_TIMEOUT_S, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, parameters: Mapping[str, str | int] | None = None) -> Any:
        """GET, expecting 200."""
        return self._answered(self._http.build_request("GET", path, params=parameters), 200)

    def post(self, path: str, body: Mapping[str, Any], expected: int) -> Any:
        """POST a JSON object."""
        return self._answered(self._http.build_request("POST", path, json=body), expected)

    def post_form(self, path: str, fields: Mapping[str, str], asset: bytes, timeout_s: float) -> Any:
        """POST a form with one reference image, expecting 202."""
        files = [("assets", ("reference.png", asset, "image/png"))]
        return self._answered(self._http.build_request("POST", path, data=fields, files=files, timeout=timeout_s), 202)

    def delete(self, path: str) -> None:
        """DELETE, expecting 204."""
        self._answered(self._http.build_request("DELETE", path), 204)

    def _answered(self, request: httpx.Request, expected: int) -> Any:
        what = f"{request.method} {request.url.path}"
        try:
            response = self._http.send(request)
        except httpx.HTTPError as exc:
            raise DemoFailed(f"{what} got no answer: {str(exc) or type(exc).__name__}") from exc
        if response.status_code != expected:
            raise DemoFailed(
                f"{what} was answered with {response.status_code} instead of {expected}: {_words(response)}"
            )
        return response.json() if response.content else None


def is_answered(url: str) -> bool:
    """Whether a GET is answered with 200 at the moment."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def download(url: str, *, trust_env: bool) -> bytes:
    """The bytes at a URL, by way of the environment's proxies if asked for. Raises DemoFailed."""
    try:
        response = httpx.get(url, timeout=CALL_TIMEOUT_S, follow_redirects=True, trust_env=trust_env)
        return response.raise_for_status().content
    except httpx.HTTPError as exc:
        raise DemoFailed(f"the picture at {url} cannot be fetched: {str(exc) or type(exc).__name__}") from exc


def _words(response: httpx.Response) -> str:
    """The problem's detail and what it says of each field, or the beginning of whatever came."""
    try:
        problem = response.json()
        fields = [f"{each['field']}: {each['message']}" for each in problem.get("errors", [])]
        return " ".join([problem["detail"], *fields])
    except (ValueError, KeyError, TypeError, AttributeError):
        return response.text[:200]
