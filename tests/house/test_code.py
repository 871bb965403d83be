"""How the code is written: what is easy to forget and expensive to find out later."""

import ast
import subprocess
import sys

import pytest

from tests.house.sources import ROOT, Source, at, sources

EMPTY_NAMES = {"data", "info", "manager", "helper", "helpers", "util", "utils", "process", "handle"}
EMPTY_FILE_NAMES = {"service.py", "util.py", "utils.py", "helper.py", "helpers.py", "common.py", "misc.py"}
DEVELOPMENT_ONLY = ("service/sandbox/", "service/demo/")


def gateway_sources() -> list[Source]:
    return [source for source in sources("service") if not source.path.startswith(DEVELOPMENT_ONLY)]


def with_text(text: str, *, except_in: str = "") -> list[str]:
    return [each.path for each in sources("service") if text in each.text and each.path != except_in]


def names_given_by(node: ast.AST) -> list[str]:
    """The names that a node introduces; fields of a class are left out, for the wire may dictate them."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name.lower()]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.Assign | ast.For | ast.NamedExpr):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return []


def test_every_file_starts_with_a_sentence_for_newcomers() -> None:
    first_lines = {
        each.path: (ast.get_docstring(each.tree) or "").split("\n\n")[0]
        for each in sources("service", "tests", "bench", "migrations")
    }

    assert [path for path, sentence in first_lines.items() if not sentence.endswith((".", "?", "!", ":"))] == []


def test_imports_stand_at_the_top_of_the_file() -> None:
    hidden = [
        at(source, node)
        for source in sources("service", "tests", "bench")
        for function in source.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]

    assert hidden == []


def test_no_function_reaches_for_a_global() -> None:
    reaching = [
        at(source, node)
        for source in sources("service", "tests", "bench")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Global)
    ]

    assert reaching == []


def test_only_the_engine_commits() -> None:
    assert with_text(".commit(", except_in="service/db/engine.py") == []


@pytest.mark.parametrize(
    "banned",
    ["BaseHTTPMiddleware", ".middleware(", "type: ignore", "BackgroundTasks", "UploadFile"],
    ids=["base class middleware", "decorated middleware", "unchecked types", "lost work", "uploads read into memory"],
)
def test_nothing_in_the_service_uses(banned: str) -> None:
    assert with_text(banned) == []


def test_names_say_what_a_thing_is() -> None:
    empty = [
        f"{at(source, node)} {name}"  # type: ignore[arg-type]
        for source in sources("service")
        for node in ast.walk(source.tree)
        for name in names_given_by(node)
        if name in EMPTY_NAMES
    ]

    assert empty == []


def test_no_file_is_named_like_a_drawer() -> None:
    assert [each.path for each in sources("service", "tests") if each.path.split("/")[-1] in EMPTY_FILE_NAMES] == []


def test_one_module_of_the_upstream_adapter_knows_httpx() -> None:
    knowing = [each.path for each in gateway_sources() if "httpx" in each.imported()]

    assert len(knowing) == 1, knowing
    assert knowing[0].startswith("service/upstream/")


def test_the_server_does_not_load_alembic() -> None:
    command = [sys.executable, "-c", "import sys, service.app; print('alembic' in sys.modules)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stdout.strip() == "False", done.stderr
