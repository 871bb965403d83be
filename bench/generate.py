"""CPU that one generate request costs the gateway at 16 and at 200 connections.

A request is JSON, checked, committed, sent on to the sandbox on a connection of its own, and committed again before its
202. Good is flat: the CPU for each at 200 connections is at most 1.25 times that at 16. Posting the same order directly
to the sandbox in the same run shows what the gateway adds to throughput, and what the sandbox itself costs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from statistics import median

import orjson

from bench.http_load import Answers, post, send_all
from bench.proc import cpu_s
from bench.report import Figure, alternate, median_ratio, show
from bench.stack import Stack, running_stack
from tests.support.gateway import ALPHA_KEY, Gateway, auth
from tests.support.processes import Program
from tests.support.sandbox import API_KEY

FEW, MANY = 16, 200
ROUNDS = 5
REQUESTS = 1000
FLAT_WITHIN = 1.25
GOAL_CPU_MS = 1.0
ACCEPTED, OK = 202, 200
ORDER = {"prompt": "a lighthouse in the fog", "model_id": "gpt-image-1", "generations_count": 1}


@dataclass(frozen=True, slots=True)
class Round:
    """Requests a second, and CPU seconds of the serving process for each."""

    per_s: float
    cpu_s: float


def main() -> int:
    """Alternate few and many connections, to the gateway and to the sandbox."""
    with running_stack() as stack, stack.gateway("api") as gateway:
        measures: dict[str, Callable[[], Round]] = {
            "few": partial(_through_gateway, stack, gateway, FEW),
            "many": partial(_through_gateway, stack, gateway, MANY),
            "direct few": partial(_direct, stack, FEW),
            "direct many": partial(_direct, stack, MANY),
        }
        measures["few"]()
        measures["many"]()
        return _report(alternate(ROUNDS, measures))


def _report(found: dict[str, list[Round]]) -> int:
    cpu = {name: [each.cpu_s for each in rounds] for name, rounds in found.items()}
    per_s = {name: [each.per_s for each in rounds] for name, rounds in found.items()}
    flat = median_ratio(cpu["many"], cpu["few"])
    return show(
        Figure(f"gateway's CPU for each request, {FEW} connections", median(cpu["few"]) * 1000, " ms"),
        Figure(
            f"gateway's CPU for each request, {MANY} connections",
            median(cpu["many"]) * 1000,
            " ms",
            note=f"(goal: at most {GOAL_CPU_MS:g} ms)",
        ),
        Figure(f"CPU at {MANY} ÷ at {FEW}", flat, "x", at_most=FLAT_WITHIN),
        Figure(f"requests a second, gateway ÷ direct, {FEW}", median_ratio(per_s["few"], per_s["direct few"]), "x"),
        Figure(f"requests a second, gateway ÷ direct, {MANY}", median_ratio(per_s["many"], per_s["direct many"]), "x"),
        Figure(f"CPU, gateway ÷ sandbox called directly, {FEW}", median_ratio(cpu["few"], cpu["direct few"]), "x"),
        Figure(f"CPU, gateway ÷ sandbox called directly, {MANY}", median_ratio(cpu["many"], cpu["direct many"]), "x"),
    )


def _through_gateway(stack: Stack, gateway: Gateway, connections: int) -> Round:
    headers = {**auth(ALPHA_KEY), "Content-Type": "application/json"}
    request = post(f"{gateway.url}/api/v1/tasks", orjson.dumps(ORDER), headers)
    stack.sandbox.reset()
    found = _measured(gateway.program, lambda: send_all(gateway.url, repeat(request, REQUESTS), connections), ACCEPTED)
    charged = stack.sandbox.ledger()["creates_total"]
    assert charged == REQUESTS, f"{charged} tasks were charged for {REQUESTS} requests"
    return found


def _direct(stack: Stack, connections: int) -> Round:
    url, headers = stack.sandbox.url, {**auth(API_KEY), "Content-Type": "multipart/form-data; boundary=b"}
    request = post(f"{url}/v1i/task/generate-image", _form(), headers)
    stack.sandbox.reset()
    return _measured(stack.sandbox.program, lambda: send_all(url, repeat(request, REQUESTS), connections), OK)


def _measured(program: Program, send: Callable[[], Answers], status: int) -> Round:
    before_s = cpu_s(program.pid)
    answers = send().require(status)
    return Round(answers.per_s, (cpu_s(program.pid) - before_s) / REQUESTS)


def _form() -> bytes:
    """The order as the image API takes it."""
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in ORDER.items()
    ]
    return "".join([*parts, "--b--\r\n"]).encode()
