"""What a request would cost, asked of the image API for exactly that request; nothing is charged for asking."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from service.catalog.check import Wanted
from service.telemetry import timed
from service.upstream.client import UpstreamClient


@dataclass(frozen=True, slots=True)
class Quote:
    """The exact charge in credits, and when the image API named it."""

    credits: Decimal
    priced_at: datetime


async def quote(upstream: UpstreamClient, wanted: Wanted) -> Quote:
    """Price a request that the catalogue has found good.

    Raises UpstreamUnavailable (with Retry-After) when the image API stays away, UpstreamRefused for its own verdict.
    """
    with timed("upstream"):
        charge = await upstream.price(
            wanted.model_id, wanted.generations_count, wanted.model_parameters, wanted.asset_count
        )
    return Quote(charge, datetime.now(UTC))
