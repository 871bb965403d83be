"""Run benchmarks by name, or all of them: `python -m bench [NAME …]`; status 1 when a stated limit is missed."""

import argparse
import importlib
import sys
from collections.abc import Mapping
from inspect import getdoc

BENCHMARKS: Mapping[str, str] = {
    "uploads": "memory that 50 concurrent uploads add, against its limit",
    "callbacks": "callbacks a second, against pgbench doing the same statements",
    "generate": "CPU of a generate request at 16 and at 200 connections",
    "dropin": "p50 and p99 that the gateway adds to price, create and poll, against a bare stand-in",
    "startup": "time to the first answer and idle memory, against a bare FastAPI application",
    "waiters": "memory and waking of 2,000 callers that wait, against their limits",
    "table_size": "submit, read and list at 1,000,000 tasks, against 1,000",
    "deliveries": "notifications a second of one worker, against a bare loop, httpx and pgbench",
    "deliveries_hanging": "what 20 of 100 hanging subscribers cost the others, against none hanging",
    "deliveries_latency": "commit to receipt at 200 events a second, without and with a snapshot held open",
    "rotation": "10,000 notifications while their secret is rotated, and how many cannot be verified",
    "recover": "a recovery of 100,000 deliveries whose worker is killed, and what is missing or doubled",
    "client_pool": "CPU of a call to the image API at 8 and at 128 in flight",
}


def main() -> int:
    """Run what was asked for; how many of them missed a limit does not matter, one is enough."""
    parser = argparse.ArgumentParser("python -m bench", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.epilog = "\n".join(f"  {name:18} {measures}" for name, measures in BENCHMARKS.items())
    parser.add_argument("names", nargs="*", metavar="NAME", help="one or more of the words below; none runs all")
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark is named {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return max(_run(name) for name in names)


def _run(name: str) -> int:
    module = importlib.import_module(f"bench.{name}")
    sentence, *_ = (getdoc(module) or "").splitlines()
    print(f"\n== {name}: {sentence}", flush=True)
    return int(module.main())


if __name__ == "__main__":
    sys.exit(main())
