"""`make run`: starts everything on this machine, sends one image through it, then serves until Ctrl-C."""

import argparse
import io
import os
import sys
import time
from contextlib import ExitStack

from service.demo.client import Client
from service.demo.ending import DemoFailed, Stopped, stop_on_signals
from service.demo.journey import Journey, subscribed
from service.demo.ledger import Ledger
from service.demo.parts import Parts, start
from service.demo.plan import Plan, plan_from
from service.demo.postgres_home import PostgresUnavailable
from service.demo.receiver import Notification, Receiver, receiving
from service.demo.screen import heading, print_line, shown

PATIENCE_WITH_THE_SANDBOX_S = 60.0
PATIENCE_WITH_AN_IMAGE_API_S = 900.0
LOOK_S = 0.5
EXAMPLE = r"""
  curl {url}/api/v1/tasks -H 'Authorization: Bearer {key}' \
    -H 'Content-Type: application/json' -H 'Prefer: wait=30' \
    -d '{{"prompt": "A lighthouse at dusk", "model_id": "bytedance-seedream-4.5"}}'
"""


def main() -> int:
    """Run as the arguments and the environment say. 0 when all went well, 1 when something failed, 128 + a signal."""
    stop_on_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a path may hold what the terminal cannot show
    try:
        _run(plan_from(os.environ, once=_arguments().once))
    except (DemoFailed, PostgresUnavailable) as exc:
        return _complain(str(exc))
    except OSError as exc:
        advice = "; DEMO_DATA_DIR names another place for what a run keeps" if exc.filename else ""
        return _complain(f"{exc}{advice}.")
    except Stopped as exc:
        print("\nStopped.", file=sys.stderr)
        return exc.exit_status
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m service.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the journey (or set DEMO_ONCE=1)")
    given = sys.argv[1:]
    return parser.parse_args(given[1:] if given[:1] == ["demo"] else given)  # `python -m service demo` leaves its word


def _run(plan: Plan) -> None:
    with ExitStack() as stack:
        parts = start(plan, stack)
        receiver = _travel(plan, parts, stack) if plan.has_journey else None
        if receiver is None:
            heading("No image is sent through: it would cost credits at this image API. DEMO_SPEND=1 allows it.")
        if not plan.once:
            _serve(plan, parts, receiver)


def _travel(plan: Plan, parts: Parts, stack: ExitStack) -> Receiver:
    receiver = stack.enter_context(receiving())
    stack.enter_context(subscribed(parts.client, receiver))
    print_line("receiver", f"{receiver.url}, subscribed to the ends of tasks")
    ledger = Ledger(stack.enter_context(Client(plan.sandbox.url))) if plan.sandbox else None
    patience_s = PATIENCE_WITH_THE_SANDBOX_S if plan.sandbox else PATIENCE_WITH_AN_IMAGE_API_S
    try:
        Journey(parts.client, receiver, ledger, plan.image_dir, patience_s).run()
    except DemoFailed as exc:
        raise DemoFailed(f"{exc}\nThe logs of all parts are in {shown(plan.log_dir)}.") from exc
    return receiver


def _show_addresses(plan: Plan, parts: Parts) -> None:
    heading("Serving; Ctrl-C stops")
    print_line("API", f"{plan.gateway.url}/api/v1")
    print_line("its pages", f"{plan.gateway.url}/docs")
    if plan.sandbox:
        print_line("sandbox", f"{plan.sandbox.url}/ (turn its moods there)")
    if not plan.own_database_url:
        print_line("database", parts.database_url)
    print_line("logs", shown(plan.log_dir))
    print(EXAMPLE.format(url=plan.gateway.url, key=parts.keys.api_key), flush=True)


def _serve(plan: Plan, parts: Parts, receiver: Receiver | None) -> None:
    """Until a signal comes, tell what is notified. Raises DemoFailed when a part ends by itself."""
    try:
        _show_addresses(plan, parts)
        while all(program.require_alive() for program in parts.programs):
            if receiver is None:
                time.sleep(LOOK_S)
            else:
                _tell_next(receiver)
    except Stopped:
        print("\nStopping.", flush=True)


def _tell_next(receiver: Receiver) -> None:
    arrived = receiver.next(LOOK_S)
    if isinstance(arrived, Notification):
        print_line("notification", f"{arrived.type} {arrived.task['id']}, signature verified")
    elif arrived is not None:
        print_line("notification", f"refused: {arrived.reason}")


def _complain(sentence: str) -> int:
    print(f"\nThe run failed: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
