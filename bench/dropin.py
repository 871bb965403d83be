"""What the gateway adds to the latency of price, create and poll, against a bare stand-in called directly.

The stand-in answers at once and keeps nothing, so its own latency is that of HTTP alone, and what the gateway adds is
shown as it is: two durable commits and a call of its own for a create, a call for a price that it has not asked for
lately, one indexed read for a poll, which then costs the image API nothing.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice, repeat
from statistics import median

import httpx
import orjson

from bench.http_load import Answers, get, post, send_all
from bench.report import Figure, alternate, median_ratio, show
from bench.stack import Stack, running_stack
from bench.stand_in import MODEL_ID
from service.demo.children import free_port
from tests.support.gateway import ALPHA_KEY, auth
from tests.support.waiting import eventually

CONNECTIONS = 4
ROUNDS = 5
REQUESTS = 400
OK, ACCEPTED = 200, 202
NATIVE = "native create"
CREATE, PRICE = "/v1i/task/generate-image", "/v1i/task/price"
SHARES = {"p50": 0.5, "p99": 0.99}
CALLS = ("price", "price that is kept", "create", "poll")
HEADERS = {**auth(ALPHA_KEY), "Content-Type": "application/json"}

_numbers = itertools.count()


def main() -> int:
    """Alternate the calls, directly and through the gateway."""
    with ExitStack() as resources:
        stack = resources.enter_context(running_stack())
        direct_url = resources.enter_context(_stand_in(stack))
        gateway = resources.enter_context(stack.gateway("api", {"GATEWAY_UPSTREAM_URL": direct_url}))
        measures = {
            f"{call} {side}": partial(_round, url, call)
            for call in CALLS
            for side, url in (("direct", direct_url), ("through", gateway.url))
        }
        measures[NATIVE] = partial(_native_round, gateway.url)
        for measure in measures.values():
            measure()
        return show(*_figures(alternate(ROUNDS, measures)))


def _figures(found: dict[str, list[Answers]]) -> Iterator[Figure]:
    for call, (name, share) in itertools.product(CALLS, SHARES.items()):
        direct = [answers.latency_s(share) for answers in found[f"{call} direct"]]
        through = [answers.latency_s(share) for answers in found[f"{call} through"]]
        added = median(above - below for above, below in zip(through, direct, strict=True))
        yield Figure(f"{call}: {name} through the gateway ÷ direct", median_ratio(through, direct), "x")
        yield Figure(f"{call}: {name} added", added * 1000, " ms", note=f"(direct {median(direct) * 1000:.2f} ms)")
    for name, share in SHARES.items():
        dropin, native = ([answers.latency_s(share) for answers in found[each]] for each in ("create through", NATIVE))
        yield Figure(f"create: {name} of the drop-in ÷ of the native surface", median_ratio(dropin, native), "x")


def _round(url: str, call: str) -> Answers:
    requests: dict[str, Callable[[], Iterator[bytes]]] = {
        "price": partial(_prices, url),
        "price that is kept": partial(repeat, _price(url, 0)),
        "create": partial(_creates, url),
        "poll": partial(_polls, url),
    }
    return send_all(url, islice(requests[call](), REQUESTS), CONNECTIONS).require(OK)


def _native_round(url: str) -> Answers:
    requests = (post(f"{url}/api/v1/tasks", _wish(number), HEADERS) for number in _numbers)
    return send_all(url, islice(requests, REQUESTS), CONNECTIONS).require(ACCEPTED)


def _prices(url: str) -> Iterator[bytes]:
    """Each of another request, so that none is answered from memory."""
    return (_price(url, number) for number in _numbers)


def _price(url: str, seed: int) -> bytes:
    return post(f"{url}{PRICE}", orjson.dumps({"model_id": MODEL_ID, "seed": seed, "assets": 0}), HEADERS)


def _creates(url: str) -> Iterator[bytes]:
    return (post(f"{url}{CREATE}", _wish(number), HEADERS) for number in _numbers)


def _wish(number: int) -> bytes:
    return orjson.dumps({"prompt": f"a lighthouse, number {number}", "model_id": MODEL_ID})


def _polls(url: str) -> Iterator[bytes]:
    answer = httpx.post(f"{url}{CREATE}", content=_wish(next(_numbers)), headers=HEADERS, trust_env=False)
    return repeat(get(f"{url}/v1/task/{answer.json()['task_id']}", HEADERS))


@contextmanager
def _stand_in(stack: Stack) -> Iterator[str]:
    port = free_port()
    program = stack.programs.start("stand-in", ["bench.stand_in", str(port)], {})
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: _answers(url), timeout_s=20, what="the stand-in answers")
    try:
        yield url
    finally:
        program.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v1/credits", trust_env=False).status_code == OK
    except httpx.TransportError:
        return False
