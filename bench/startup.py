"""Time until /livez answers and idle memory of each role, against FastAPI and uvicorn serving one bare route.

Good is at most 3 times the bare application's time and 2.5 times its memory: what the gateway adds is its database
layer, two HTTP clients and the look at its schema. The packages that take longest to import are listed as soon as the
time passes 2.5 times, since start-up is imports before all else. Everything is compiled to bytecode beforehand, as in
the image, whatever the environment says about writing it.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from statistics import median

from bench.proc import cpu_s, resident_bytes
from bench.report import Figure, alternate, median_ratio, show
from bench.stack import Stack, running_stack
from service.demo.children import free_port
from tests.support.postgres import ROOT
from tests.support.processes import Program
from tests.support.waiting import eventually

ROLES = ("all", "api", "worker")
ROUNDS = 5
SETTLE_S = 1.0
TIME_LIMIT = 3.0
MEMORY_LIMIT = 2.5
LISTED_ABOVE = 2.5
MIB = 1024 * 1024
SHOWN_PACKAGES = 10
OK = 200


@dataclass(frozen=True, slots=True)
class Start:
    """One start: seconds and CPU seconds until the first answer, memory once it has settled."""

    seconds: float
    cpu_s: float
    resident_bytes: int


def main() -> int:
    """Alternate the bare application and every role; the first start of each only writes the bytecode."""
    with running_stack() as stack, tempfile.TemporaryDirectory() as bytecode_dir:
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode_dir}
        measures: dict[str, Callable[[], Start]] = {"bare": partial(_bare, stack, compiled)}
        measures |= {role: partial(_role, stack, compiled, role) for role in ROLES}
        for measure in measures.values():
            measure()
        found = alternate(ROUNDS, measures)
        missed = max(_report(role, found[role], found["bare"]) for role in ROLES)
        if max(_time_ratio(found[role], found["bare"]) for role in ROLES) > LISTED_ABOVE:
            _show_slowest_imports(compiled)
        return missed


def _report(role: str, starts: list[Start], bare: list[Start]) -> int:
    cpu = median_ratio([each.cpu_s for each in starts], [each.cpu_s for each in bare])
    memory = median_ratio([each.resident_bytes for each in starts], [each.resident_bytes for each in bare])
    took_s, held_mib = median(each.seconds for each in starts), median(each.resident_bytes for each in starts) / MIB
    return show(
        Figure(
            f"{role}: time to the first answer ÷ bare",
            _time_ratio(starts, bare),
            "x",
            at_most=TIME_LIMIT,
            note=f"({took_s:.2f} s)",
        ),
        Figure(f"{role}: CPU to the first answer ÷ bare", cpu, "x"),
        Figure(f"{role}: idle memory ÷ bare", memory, "x", at_most=MEMORY_LIMIT, note=f"({held_mib:.0f} MiB)"),
    )


def _time_ratio(starts: list[Start], bare: list[Start]) -> float:
    return median_ratio([each.seconds for each in starts], [each.seconds for each in bare])


def _bare(stack: Stack, compiled: Mapping[str, str]) -> Start:
    port = free_port()
    return _started(partial(stack.programs.start, "bare", ["bench.bare_app", str(port)], compiled), port)


def _role(stack: Stack, compiled: Mapping[str, str], role: str) -> Start:
    environment = stack.environment(compiled)
    start = partial(stack.programs.start, f"gateway-{role}", ["service", role], environment)
    return _started(start, int(environment["GATEWAY_PORT"]))


def _started(start: Callable[[], Program], port: int) -> Start:
    began_s = time.perf_counter()
    program = start()
    try:
        eventually(partial(_is_alive, program, port), timeout_s=60, what=f"{program.name} answers")
        seconds, cpu = time.perf_counter() - began_s, cpu_s(program.pid)
        # Idle begins when what the start has left behind is done: pools opened, loops on their first rest.
        time.sleep(SETTLE_S)
        return Start(seconds, cpu, resident_bytes(program.pid))
    finally:
        program.kill()


def _is_alive(program: Program, port: int) -> bool:
    assert program.exit_code is None, f"{program.name} ended with {program.exit_code}"
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == OK
    except OSError:
        return False
    finally:
        connection.close()


def _show_slowest_imports(compiled: Mapping[str, str]) -> None:
    """Own time of all modules, summed up by package."""
    command = [sys.executable, "-X", "importtime", "-c", "import service.commands.serve"]
    environment = {**os.environ, **compiled}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stderr
    own_us: Counter[str] = Counter()
    for line in told.splitlines()[1:]:
        own, _, module = line.removeprefix("import time:").split("|")
        own_us[module.strip().partition(".")[0]] += int(own)
    print(f"   slowest imports of {own_us.total() / 1000:.0f} ms in all:")
    for package, spent_us in own_us.most_common(SHOWN_PACKAGES):
        print(f"      {package:<24} {spent_us / 1000:6.1f} ms {spent_us / own_us.total():5.0%}")
