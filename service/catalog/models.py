"""The image models on sale, kept fresh: one fetch for many callers, and the last list while the upstream is down."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from time import monotonic

import orjson

from service.errors import UpstreamError, UpstreamUnavailable
from service.settings import Settings
from service.telemetry import timed
from service.upstream.wire import ImageModel

Fetch = Callable[[], Awaitable[Sequence[ImageModel]]]

# Callers who could have the last list at once wait no longer than this after the fetch has begun.
PATIENCE_S = 2.0
# After a failed fetch the upstream is left alone for this long, as long as there is a list to serve.
PAUSE_S = 10.0
RETRY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class ModelList:
    """The models in the upstream's order; `etag` changes with their content only, so it is equal on every process."""

    models: tuple[ImageModel, ...]
    etag: str
    fetched_at_s: float


@dataclass(frozen=True, slots=True)
class Listing:
    """A model list as served: how old it is, and whether it is older than it should be."""

    models: tuple[ImageModel, ...]
    etag: str
    age_s: float
    is_stale: bool


class Catalog:
    """Serves the model list from memory and fetches it anew behind the callers' backs.

    Up to `models_fresh_s` old the list is served as it is. Up to twice as old it is served and fetched anew meanwhile.
    Older, callers wait a moment for the fetch, and get the last list, up to `models_stale_s` old, if that fails.
    """

    def __init__(self, fetch: Fetch, settings: Settings, clock: Callable[[], float] = monotonic) -> None:
        self._fetch = fetch
        self._fresh_s = settings.models_fresh_s
        self._stale_s = settings.models_stale_s
        self._clock = clock
        self._held: ModelList | None = None
        self._refresh: asyncio.Task[UpstreamError | None] | None = None
        self._refresh_began_s = 0.0
        self._paused_until_s = 0.0

    async def current(self) -> Listing:
        """The model list; UpstreamUnavailable with Retry-After when there is none that may be served."""
        held = self._held
        age_s = self._clock() - held.fetched_at_s if held else self._stale_s
        if held is None or age_s >= self._stale_s:
            return self._served(await self._fetched())
        if age_s >= self._fresh_s and self._clock() >= self._paused_until_s:
            refresh = self._refreshing()
            if age_s >= 2 * self._fresh_s:
                patience_left_s = self._refresh_began_s + PATIENCE_S - self._clock()
                await asyncio.wait({refresh}, timeout=max(patience_left_s, 0.0))
        return self._served(self._held or held)

    async def close(self) -> None:
        """End the fetch in flight, if any."""
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.wait({self._refresh})

    async def _fetched(self) -> ModelList:
        # Shielded: a caller who goes away must not take the fetch from the others who wait for it.
        failure = await asyncio.shield(self._refreshing())
        if failure is not None or self._held is None:
            retry_after_s = (failure and failure.retry_after_s) or RETRY_AFTER_S
            raise UpstreamUnavailable(
                "The list of image models cannot be fetched now.", retry_after_s=retry_after_s
            ) from failure
        return self._held

    def _refreshing(self) -> asyncio.Task[UpstreamError | None]:
        if self._refresh is None or self._refresh.done():
            self._refresh_began_s = self._clock()
            self._refresh = asyncio.create_task(self._refresh_once(), name="models")
        return self._refresh

    async def _refresh_once(self) -> UpstreamError | None:
        """Fetch the list and keep it. A failure is returned: nobody may be left to whom it could be raised."""
        try:
            with timed("upstream"):
                models = tuple(await self._fetch())
        except UpstreamError as exc:
            self._paused_until_s = self._clock() + PAUSE_S
            return exc
        if not models:
            # An answer without models is the upstream's mood: keeping it would refuse every request.
            self._paused_until_s = self._clock() + PAUSE_S
            return UpstreamUnavailable("The image API lists no models.")
        self._held = ModelList(models, _etag(models), self._clock())
        return None

    def _served(self, held: ModelList) -> Listing:
        age_s = max(self._clock() - held.fetched_at_s, 0.0)
        return Listing(held.models, held.etag, age_s, is_stale=age_s >= self._fresh_s)


def model_json(model: ImageModel) -> Mapping[str, object]:
    """A model as the API shows it; `presented_credits` is left out, since it is not what is charged."""
    return {
        "model_id": model.model_id,
        "max_generations": model.max_generations,
        "max_prompt_length": model.max_prompt_length,
        "aspect_ratios": model.aspect_ratios,
        "default_aspect_ratio": model.default_aspect_ratio,
        "resolutions": model.resolutions,
        "default_resolution": model.default_resolution,
        "qualities": model.qualities,
        "default_quality": model.default_quality,
        "eta_seconds": model.eta_seconds,
        "supports_images": model.supports_images,
        "requires_reference_images": model.requires_reference_images,
        "supports_enhance_prompt": model.supports_enhance_prompt,
        "supports_negative_prompt": model.supports_negative_prompt,
        "max_assets": model.max_assets,
    }


def _etag(models: Sequence[ImageModel]) -> str:
    digest = sha256(orjson.dumps([model_json(model) for model in models])).hexdigest()
    return f'"{digest[:32]}"'
