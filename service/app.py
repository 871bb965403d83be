"""Puts the process together: what a role serves, which loops it runs, what is opened first and closed last."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from enum import StrEnum
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from service import callbacks
from service.catalog.kept import Kept
from service.catalog.models import Catalog
from service.catalog.price import Prices, asked_of
from service.clients.keys import Keyring
from service.db.partitions import PartitionLoop
from service.pictures.fetch import Pictures, open_pictures
from service.resources import Resources, open_resources
from service.settings import Settings
from service.subscribers.deliver import open_delivery_loop
from service.subscribers.encryption import Encryption
from service.subscribers.guard import Guard
from service.subscribers.ping import Pinger
from service.subscribers.recover_loop import RecoverLoop
from service.subscribers.sender import Sender, open_sender
from service.subscribers.url_check import UrlCheck
from service.surfaces import dropin, native, openai
from service.tasks.attach import UnansweredRequests
from service.tasks.dispatch import DispatchLoop
from service.tasks.durations import Durations
from service.tasks.feed_watch import FeedWatch
from service.tasks.in_flight import InFlight
from service.tasks.janitor import JanitorLoop
from service.tasks.reconcile import ReconcileLoop
from service.tasks.watch import Watch
from service.telemetry import watch_gauges
from service.web import health, problems
from service.web.context import Gateway
from service.web.docs_page import install_docs_page
from service.web.middleware import RequestScope
from service.web.openapi import Api
from service.worker import Loop, Loops

# A paid call without its request (the client hung up) is waited for this long beyond the requests.
PAID_CALLS_END_WITHIN_S = 5.0


class Role(StrEnum):
    """What one process does; every role serves /livez, /readyz and /metrics."""

    ALL = "all"
    API = "api"
    WORKER = "worker"


def create_app(settings: Settings, role: Role) -> FastAPI:
    """The application of one process. Nothing is opened before its lifespan begins."""
    app = Api(
        title="Image gateway",
        version=_version(),
        summary="Price, generate and follow images; be told when they are done.",
        description=native.DESCRIPTION,
        lifespan=_lifespan_of(settings, role),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if role is not Role.WORKER else None,
    )
    problems.install_problems(app, {**dropin.ERRORS, **openai.ERRORS})
    if role is not Role.WORKER:
        install_docs_page(app)
        app.include_router(native.router)
        app.include_router(dropin.router)
        app.include_router(openai.router)
        # First, since routes are matched in order and this is the path that every finished task takes.
        app.router.routes.insert(0, callbacks.route)
    app.include_router(health.router)
    app.add_middleware(RequestScope)
    return app


def begin_shutdown(app: FastAPI) -> None:
    """Turn unready, answer every waiter and let the loops end, before the server waits for its connections."""
    app.state.health.draining = True
    app.state.gateway.watch.close()
    app.state.gateway.feed.close()
    app.state.drained = asyncio.create_task(app.state.drain())


def _lifespan_of(settings: Settings, role: Role) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            resources = await stack.enter_async_context(open_resources(settings))
            sender = await stack.enter_async_context(open_sender(settings, Guard.of(settings)))
            pictures = await stack.enter_async_context(open_pictures(settings))
            gateway = _gateway(resources, sender, pictures)
            stack.push_async_callback(gateway.catalog.close)
            stack.push_async_callback(gateway.prices.close)
            stack.push_async_callback(gateway.balance.close)
            stack.push_async_callback(gateway.providers.close)
            loops = Loops(await _loops_of(role, gateway, stack))
            app.state.gateway = gateway
            app.state.health = health.Health(
                {**health.database_checks(resources.db), **health.loops_check(loops.failing)}
            )
            watch_gauges(lambda: resources.spool.bytes_in_flight, resources.db.connections_in_use)
            app.state.drain = partial(loops.stop, settings.drain_timeout_s)
            app.state.drained = None
            loops.start()
            yield
            # Begun at SIGTERM, so that one time limit holds for requests, paid calls and loops together.
            await (app.state.drained or app.state.drain())
            await gateway.in_flight.drain(PAID_CALLS_END_WITHIN_S)

    return lifespan


def _gateway(resources: Resources, sender: Sender, pictures: Pictures) -> Gateway:
    guard, watch = Guard.of(resources.settings), Watch(resources)
    return Gateway(
        resources=resources,
        catalog=Catalog(resources.upstream.models, resources.settings),
        prices=Prices(asked_of(resources.upstream), resources.settings.price_fresh_s),
        balance=Kept(resources.upstream.credits, resources.settings.credits_fresh_s),
        providers=Kept(resources.upstream.health, resources.settings.credits_fresh_s),
        keyring=Keyring(resources.settings.key_clients),
        watch=watch,
        feed=FeedWatch(resources, watch),
        durations=Durations(resources.db, resources.settings),
        in_flight=InFlight(),
        guard=guard,
        url_check=UrlCheck(guard),
        pinger=Pinger(resources.db, Encryption.of(resources.settings), sender),
        unanswered=UnansweredRequests(resources.db),
        pictures=pictures,
    )


async def _loops_of(role: Role, gateway: Gateway, stack: AsyncExitStack) -> tuple[Loop, ...]:
    """What the role needs. They stop side by side; a ring that comes after the bell is found by polling."""
    resources, loops = gateway.resources, list[Loop]()
    if role is not Role.API:
        loops += [await stack.enter_async_context(open_delivery_loop(resources))]
        loops += [DispatchLoop(resources), ReconcileLoop(resources), JanitorLoop(resources)]
        loops += [RecoverLoop(resources), PartitionLoop(resources.db, resources.settings)]
    if role is not Role.WORKER:
        loops += [gateway.watch, gateway.feed, gateway.unanswered]
    return (*loops, resources.bell)


def _version() -> str:
    try:
        return version("image-gateway")
    except PackageNotFoundError:
        return "0.1.0"
