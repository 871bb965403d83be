"""Log lines, counters and timings: what an operator sees. No prompt, key, token or image byte ever comes here."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from time import perf_counter
from typing import BinaryIO, cast

import orjson
import structlog
from prometheus_client import Counter, Gauge, Histogram
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

requests_seconds = Histogram(
    "gateway_http_request_seconds", "Requests served, by route template", ["method", "route", "status"], buckets=SECONDS
)
upstream_seconds = Histogram(
    "gateway_upstream_call_seconds", "Calls to the image API, by outcome", ["call", "outcome"], buckets=SECONDS
)
delivery_seconds = Histogram(
    "gateway_delivery_attempt_seconds", "Notifications sent, by outcome", ["outcome", "error_class"], buckets=SECONDS
)
moves_total = Counter("gateway_task_moves_total", "Moves of tasks, by the state they came to", ["state"])
reports_total = Counter("gateway_reports_total", "Reports about tasks, by what became of them", ["source", "outcome"])
upstream_id_mismatches_total = Counter(
    "gateway_upstream_id_mismatches_total", "Reports that name another upstream task than the one we know"
)
stale_attempt_reports_total = Counter(
    "gateway_stale_attempt_reports_total", "Reports for an attempt that we took for not accepted: it was"
)
dispatch_pauses_total = Counter(
    "gateway_dispatch_pauses_total", "Times that sending came to rest, by reason", ["reason"]
)
bell_deaf_total = Counter("gateway_bell_deaf_total", "Times that LISTEN turned out to hear nothing")
disable_failures_total = Counter(
    "gateway_subscription_disable_failures_total", "Times that a subscription could not be disabled by an error of ours"
)
partitions_dropped_total = Counter(
    "gateway_partitions_dropped_total", "Days of history that were dropped by age, by table", ["table"]
)
loop_up = Gauge("gateway_loop_up", "1 while a background loop makes progress", ["loop"])
loop_failures_total = Counter("gateway_loop_failures_total", "Turns of a background loop that raised", ["loop"])
waiters = Gauge("gateway_waiters", "Callers waiting for a task to change")
spool_bytes = Gauge("gateway_spool_bytes", "Uploads in flight on disk")
database_connections = Gauge("gateway_database_connections_in_use", "Connections checked out of the pool")


class Timings:
    """Where the time of one request went, for Server-Timing: seconds by name (`db`, `upstream`)."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        """Add `seconds` to what `name` has so far."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


timings: ContextVar[Timings | None] = ContextVar("timings", default=None)


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Count the time of this block for the request that it serves, if it serves one."""
    began = perf_counter()
    try:
        yield
    finally:
        current = timings.get()
        if current is not None:
            current.add(name, perf_counter() - began)


def observe_upstream(call: str, outcome: str, seconds: float) -> None:
    """Count one call to the image API."""
    upstream_seconds.labels(call, outcome).observe(seconds)


def observe_delivery(outcome: str, error_class: str | None, seconds: float) -> None:
    """Count one attempt to notify."""
    _delivery_series(outcome, error_class or "").observe(seconds)


@lru_cache(maxsize=64)
def _delivery_series(outcome: str, error_class: str) -> Histogram:
    """Kept, for to find it costs more than to count."""
    return delivery_seconds.labels(outcome, error_class)


def watch_gauges(spooled_bytes: Callable[[], float], connections_in_use: Callable[[], float]) -> None:
    """Read these whenever /metrics is asked for."""
    spool_bytes.set_function(spooled_bytes)
    database_connections.set_function(connections_in_use)


class FlushedOnceATurn:
    """A file for log lines that is flushed when the event loop has run what is due now, however many lines that wrote.

    Where thousands of lines are written a second, one system call for each was half of what they cost. A process that
    is killed loses those of the milliseconds before; one that ends writes them.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write
        self._file = file
        self._flushed_by: asyncio.AbstractEventLoop | None = None

    def flush(self) -> None:
        """Soon; at once outside of an event loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._file.flush()
            return
        if self._flushed_by is not loop:
            self._flushed_by = loop
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushed_by = None
        self._file.flush()


def start_logging(level: str) -> None:
    """Write one JSON object a line to stdout; the standard library's loggers join in, access logs do not.

    Our own lines go straight to the file as bytes: the standard library's way takes several times as long, which counts
    where every notification is a line. uvicorn's access log and the HTTP clients' own lines would hold callback tokens:
    they stay off at every level.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]
    # Without the local variables that it would show by default: they hold prompts and secrets.
    exceptions = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    structlog.configure(
        processors=[
            *shared,
            _add_timestamp,
            exceptions,
            structlog.processors.JSONRenderer(orjson.dumps, option=orjson.OPT_UTC_Z),
        ],
        logger_factory=structlog.BytesLoggerFactory(cast(BinaryIO, FlushedOnceATurn(sys.stdout.buffer))),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    foreign = _foreign_handler([*shared, structlog.processors.TimeStamper(fmt="iso", utc=True)], exceptions)
    logging.basicConfig(level=level.upper(), handlers=[foreign], force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
    for name in ("uvicorn.access", "httpx", "httpcore", "aiohttp.access", "aiohttp.client"):
        logging.getLogger(name).disabled = True


def _add_timestamp(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """orjson writes it as the standard library's lines have it, in a fifth of the time."""
    event["timestamp"] = datetime.now(UTC)
    return event


def _foreign_handler(shared: list[Processor], exceptions: Processor) -> logging.Handler:
    """Writes the lines of the standard library's loggers in our form."""
    handler = logging.StreamHandler(sys.stdout)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[remove_meta, exceptions, structlog.processors.JSONRenderer()]
    )
    handler.setFormatter(formatter)
    return handler
