"""Starts the parts of a run in the order in which they need each other; they end in the opposite one."""

from contextlib import ExitStack
from dataclasses import dataclass

from service.demo import postgres
from service.demo.client import Client, is_answered
from service.demo.ending import DemoFailed
from service.demo.keys import Keys, kept_keys
from service.demo.plan import DRAIN_TIMEOUT_S, Plan
from service.demo.programs import Program, running
from service.demo.screen import heading, print_line, shown, step

READY_TIMEOUT_S = 60.0
MIGRATE_TIMEOUT_S = 120.0
FOREIGN_DATA = "If the data come from a newer version of the gateway: `make clean` removes them."
# The gateway's own longest drain, and a little more.
STOP_BESIDE_A_REAL_UPSTREAM_S = 150.0


@dataclass(frozen=True)
class Parts:
    """What runs now."""

    keys: Keys
    database_url: str
    programs: tuple[Program, ...]
    client: Client


def start(plan: Plan, stack: ExitStack) -> Parts:
    """Start everything and return once the gateway is ready; the stack ends it. Raises DemoFailed, PostgresUnavailable.

    Call it from the main thread: the parts end with the thread that started them.
    """
    heading("Starting")
    plan.log_dir.mkdir(parents=True, exist_ok=True)
    plan.image_dir.mkdir(exist_ok=True)
    keys = kept_keys(plan.data_dir / "demo.json")
    sandbox = _begin_sandbox(plan, stack)
    database_url = _start_database(plan, stack)
    environment = plan.gateway_environment(database_url, keys)
    _migrate(plan, environment)
    if sandbox and plan.sandbox:
        _await(sandbox, f"{plan.sandbox.url}/_sandbox/moods", f"{plan.sandbox.url}, stands in for the image API")
    else:
        print_line("image API", f"{plan.environment['GATEWAY_UPSTREAM_URL']}, as GATEWAY_UPSTREAM_URL says")
    gateway = _start_gateway(plan, environment, stack)
    print_line("API key", f"{keys.api_key} (kept in {shown(plan.data_dir / 'demo.json')})")
    client = stack.enter_context(Client(plan.gateway.url, keys.api_key))
    return Parts(keys, database_url, (gateway, sandbox) if sandbox else (gateway,), client)


def _begin_sandbox(plan: Plan, stack: ExitStack) -> Program | None:
    """It needs nobody, so it starts while the database does."""
    if plan.sandbox is None:
        return None
    if plan.environment.get("GATEWAY_UPSTREAM_API_KEY"):
        print_line("note", "GATEWAY_UPSTREAM_API_KEY is not used: there is no GATEWAY_UPSTREAM_URL beside it")
    return stack.enter_context(running("sandbox", plan.sandbox_environment(), plan.log_dir / "sandbox.log"))


def _start_database(plan: Plan, stack: ExitStack) -> str:
    if plan.own_database_url:
        print_line("database", "the one that GATEWAY_DATABASE_URL names")
        return plan.own_database_url
    with step("database") as line:
        directory = plan.data_dir / "postgres"
        server = stack.enter_context(postgres.running(directory))
        line.text = f"a private PostgreSQL, its data kept in {shown(directory)}"
    return server.url


def _migrate(plan: Plan, environment: dict[str, str]) -> None:
    with step("migrations") as line, running("migrate", environment, plan.log_dir / "migrate.log") as migrate:
        try:
            migrate.wait_until_done(MIGRATE_TIMEOUT_S)
        except DemoFailed as exc:
            advice = "" if plan.own_database_url else f"\n{FOREIGN_DATA}"
            raise DemoFailed(f"{exc}{advice}") from exc
        line.text = "the schema is up to date"


def _start_gateway(plan: Plan, environment: dict[str, str], stack: ExitStack) -> Program:
    stop_within_s = DRAIN_TIMEOUT_S + 5 if plan.sandbox else STOP_BESIDE_A_REAL_UPSTREAM_S
    log_file = plan.log_dir / "gateway.log"
    gateway = stack.enter_context(running("all", environment, log_file, stop_within_s=stop_within_s))
    _await(gateway, f"{plan.gateway.url}/readyz", plan.gateway.url)
    return gateway


def _await(program: Program, url: str, text: str) -> None:
    with step(program.name) as line:
        program.wait_until(lambda: is_answered(url), READY_TIMEOUT_S)
        line.text = text
