"""Callbacks a second through the gateway's door at 64 connections, against pgbench writing the same rows.

Each callback ends another task: token checked, report kept, task moved, event written, all durable before the 200. The
peer is pgbench with 64 clients, one transaction of three statements for the same three rows, in the same run, on the
same server and tables. With one statement for each callback the ratio stays below 1; good is 3, which takes many
callbacks in one transaction. The CPU of the gateway's process for each callback is printed as well. Both are goals of
a later step and fail no run.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from shutil import which
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from uuid import UUID

import orjson

from bench.http_load import post, send_all
from bench.proc import cpu_s
from bench.report import Figure, alternate, median_ratio, show
from bench.stack import POSTGRES_DIR, Stack, running_stack
from service.demo.postgres_home import home_of
from service.upstream.receive_url import receive_url
from tests.support.database import Database
from tests.support.gateway import CALLBACK_SECRET, Gateway

CONNECTIONS = 64
ROUNDS = 3
WARM_UP_CALLBACKS = 500
CALLBACKS = 3000
PEER_TASKS = 20_000
PEER_S = 3
TASK_ID_BASE = "01900000-0000-7000-8000-"
OK = 200
GOAL_RATIO = 3.0
GOAL_CPU_US = 200

SEED = f"""
INSERT INTO tasks (id, client, account, state, version, attempt, model_id, prompt, generations_count, model_parameters,
    assets, metadata, upstream_task_id, estimated_credits, submitted_at, claim_id)
SELECT ('{TASK_ID_BASE}' || lpad(to_hex(n), 12, '0'))::uuid, 'alpha', 'default', 'processing', 2, 1, 'gpt-image-1',
    'a lighthouse in the fog', 1, '{{}}', '[]', '{{}}', 'upstream-' || n, 980, now(), gen_random_uuid()
FROM generate_series($1::int, $2::int) AS n
"""

ENDED = """
SELECT count(*) FROM tasks JOIN events ON events.task_id = tasks.id JOIN reports ON reports.task_id = tasks.id
WHERE tasks.id > $1 AND state = 'succeeded' AND type = 'task.succeeded' AND outcome = 'moved'
"""

# As the door writes them: the task's end, the report as it came, the event with the whole task in it.
PEER_SCRIPT = f"""
\\set n random(1, {PEER_TASKS})
BEGIN;
UPDATE tasks SET state = 'succeeded', version = version + 1, updated_at = now(), progress = 100, credits = 980,
    images = E'%(images)s', ended_at = now(), reported_at = now(), poll_at = NULL, slot_until = NULL
    WHERE id = ('{TASK_ID_BASE}' || lpad(to_hex(:n::int), 12, '0'))::uuid;
INSERT INTO reports (id, task_id, attempt, source, body, outcome) VALUES (gen_random_uuid(),
    ('{TASK_ID_BASE}' || lpad(to_hex(:n::int), 12, '0'))::uuid, 1, 'callback', E'%(body)s', 'moved');
INSERT INTO events (id, client, type, task_id, body) VALUES (gen_random_uuid(), 'alpha', 'task.succeeded',
    ('{TASK_ID_BASE}' || lpad(to_hex(:n::int), 12, '0'))::uuid, E'%(body)s');
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Round:
    """One round: transactions a second, and the gateway's CPU seconds for each (0 for the peer)."""

    per_s: float
    cpu_s: float = 0.0


def main() -> int:
    """Alternate the door and pgbench."""
    with running_stack() as stack, stack.gateway("api") as gateway, TemporaryDirectory() as folder:
        callbacks = _callbacks(gateway.url, first=PEER_TASKS + 1)
        _seed(stack, WARM_UP_CALLBACKS + ROUNDS * CALLBACKS)
        script = Path(folder) / "callbacks.sql"
        script.write_text(PEER_SCRIPT % {"images": _quoted(orjson.dumps(_images())), "body": _quoted(_body(1))})
        _door(gateway, callbacks, WARM_UP_CALLBACKS)
        found = alternate(
            ROUNDS,
            {"door": lambda: _door(gateway, callbacks, CALLBACKS), "peer": lambda: _peer(stack.database, script)},
        )
        ended = stack.database.value(ENDED, _task_id(PEER_TASKS))
        assert ended == WARM_UP_CALLBACKS + ROUNDS * CALLBACKS, f"{ended} tasks have ended and told of it"
    return _report(found["door"], found["peer"])


def _report(door: list[Round], peer: list[Round]) -> int:
    ratio = median_ratio([each.per_s for each in door], [each.per_s for each in peer])
    cpu_us = median(each.cpu_s for each in door) * 1e6
    return show(
        Figure("callbacks a second, door", median(each.per_s for each in door), "/s"),
        Figure("transactions a second, pgbench", median(each.per_s for each in peer), "/s"),
        Figure("door ÷ pgbench", ratio, "x", note=f"(goal: at least {GOAL_RATIO:g}x, with grouped commits)"),
        Figure("gateway's CPU for each callback", cpu_us, " µs", note=f"(goal: at most {GOAL_CPU_US} µs)"),
    )


def _seed(stack: Stack, callbacks: int) -> None:
    stack.database.execute(SEED, 1, PEER_TASKS + callbacks)
    stack.database.execute("VACUUM ANALYZE tasks")


def _door(gateway: Gateway, callbacks: Iterator[bytes], count: int) -> Round:
    requests = list(islice(callbacks, count))
    before_s = cpu_s(gateway.program.pid)
    answers = send_all(gateway.url, requests, CONNECTIONS).require(OK)
    return Round(answers.per_s, (cpu_s(gateway.program.pid) - before_s) / count)


def _callbacks(public_url: str, first: int) -> Iterator[bytes]:
    """One callback for each task from `first` on, signed as the gateway signs."""
    number = first
    while True:
        url = receive_url(public_url, _task_id(number), 1, [CALLBACK_SECRET.encode()])
        yield post(url, _body(number), {"Content-Type": "application/json"})
        number += 1


def _task_id(number: int) -> UUID:
    return UUID(f"{TASK_ID_BASE}{number:012x}")


def _peer(database: Database, script: Path) -> Round:
    return Round(pgbench_per_s(database, script, CONNECTIONS, PEER_S))


def pgbench_per_s(database: Database, script: Path, clients: int, for_s: int) -> float:
    """Transactions a second of so many clients that run the script: what pgbench says, its own connecting left out."""
    url = urlsplit(database.url)
    command = [_pgbench(), "--no-vacuum", "--protocol=prepared", f"--client={clients}", "--jobs=2"]
    command += [f"--time={for_s}", f"--file={script}", f"--host={url.hostname}", f"--port={url.port}"]
    environment = {**os.environ, "PGPASSWORD": url.password or "", "PGUSER": url.username or ""}
    done = subprocess.run(
        [*command, url.path.lstrip("/")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = next(line for line in done.stdout.splitlines() if line.startswith("tps = "))
    return float(told.split()[2])


def _quoted(text: bytes) -> str:
    """For an E'' literal: in a script of pgbench a colon would begin the name of a variable."""
    return text.decode().replace(":", "\\u003a")


def _pgbench() -> str:
    """The one that belongs to the server, or the system's."""
    packaged = home_of(POSTGRES_DIR).binaries / "pgbench"
    found = str(packaged) if packaged.exists() else which("pgbench")
    assert found, "there is no pgbench, neither beside the server's binaries nor on the PATH"
    return found


def _body(number: int) -> bytes:
    """A finished task as the image API reports it."""
    task = {
        "id": f"upstream-{number}",
        "created_at": "2026-11-01T10:00:00.000Z",
        "updated_at": "2026-11-01T10:00:30.000Z",
        "type": "imagen2",
        "status": "done",
        "progress": 100,
        "credit_cost": 980,
        "error_message": None,
        "metadata": {
            "prompt": "a lighthouse in the fog",
            "modelId": "gpt-image-1",
            "generationsCount": 1,
            "modelParameters": {},
            "result_images": _images(),
        },
    }
    return orjson.dumps(task)


def _images() -> list[dict[str, object]]:
    stem = "https://images.example/3f2a9c1e/1"
    return [
        {
            "id": "img_1",
            "imageUrl": f"{stem}.png?dl=1",
            "previewUrl": f"{stem}_preview.png",
            "mimeType": "image/png",
            "width": 1024,
            "height": 1024,
        }
    ]
