"""What a route may reach: the running parts of this process, typed."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from service.catalog.kept import Kept
from service.catalog.models import Catalog
from service.catalog.price import Prices
from service.clients.keys import Keyring
from service.pictures.fetch import Pictures
from service.resources import Resources
from service.subscribers.guard import Guard
from service.subscribers.ping import Pinger
from service.subscribers.url_check import UrlCheck
from service.tasks.attach import UnansweredRequests
from service.tasks.durations import Durations
from service.tasks.feed_watch import FeedWatch
from service.tasks.in_flight import InFlight
from service.tasks.watch import Watch


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything that a request may need, opened once when the process starts."""

    resources: Resources
    catalog: Catalog
    prices: Prices
    balance: Kept[Decimal]  # credits of the account at the image API
    providers: Kept[dict[str, str]]  # what the image API says of each provider behind it
    keyring: Keyring
    watch: Watch
    feed: FeedWatch
    durations: Durations
    in_flight: InFlight
    guard: Guard
    url_check: UrlCheck
    pinger: Pinger
    unanswered: UnansweredRequests
    pictures: Pictures


async def gateway_of(request: Request) -> Gateway:
    """The parts of the process that serves this request; they are `app.state.gateway`."""
    gateway: Gateway = request.app.state.gateway
    return gateway


GatewayParts = Annotated[Gateway, Depends(gateway_of)]
