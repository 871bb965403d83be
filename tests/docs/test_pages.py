"""What the pages in docs/ tell people to run does run: every python, js and sh block, as it stands there.

The blocks of one language on a page are one program, in their order. It finds the gateway's address in GATEWAY and a
key in KEY, and a picture `photo.png` in its folder. A block that is not to be run says `text`, `json` or `console`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from tests.journeys.native_orders import picture
from tests.support.gateway import ALPHA_KEY, Gateway
from tests.support.postgres import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = {"text", "json", "console"}
NODE_PACKAGES = ("openai@6",)
RUN_AT_MOST_S = 60


def programs(language: str) -> list[ParameterSet]:
    """The program in this language of each page that has one."""
    joined = {page.stem: "\n".join(text for named, text in blocks(page) if named == language) for page in PAGES}
    return [pytest.param(program, id=name) for name, program in joined.items() if program]


def blocks(page: Path) -> list[tuple[str, str]]:
    """The language and the text of each block."""
    return BLOCK.findall(page.read_text())


def run(command: list[str], folder: Path, gateway: Gateway) -> None:
    """Run it beside a picture; whatever it prints is shown when it fails."""
    (folder / "photo.png").write_bytes(picture())
    environment = {**os.environ, "GATEWAY": gateway.url, "KEY": ALPHA_KEY}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=RUN_AT_MOST_S, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def written(folder: Path, name: str, program: str) -> str:
    """The program in a file; its path."""
    (folder / name).write_text(program)
    return str(folder / name)


@pytest.mark.parametrize("program", programs("python"))
def test_the_python_of_each_page_runs_as_it_stands(gateway: Gateway, tmp_path: Path, program: str) -> None:
    run([sys.executable, written(tmp_path, "page.py", program)], tmp_path, gateway)


@pytest.mark.sdk
@pytest.mark.parametrize("program", programs("sh"))
def test_the_shell_of_each_page_runs_as_it_stands(gateway: Gateway, tmp_path: Path, program: str) -> None:
    run(["sh", "-eu", written(tmp_path, "page.sh", program)], tmp_path, gateway)


@pytest.mark.sdk
@pytest.mark.parametrize("program", programs("js"))
def test_the_javascript_of_each_page_runs_as_it_stands(gateway: Gateway, node_folder: Path, program: str) -> None:
    run(["node", written(node_folder, "page.mjs", program)], node_folder, gateway)


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Node finds the packages that the pages import."""
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *NODE_PACKAGES]
    subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_in_which_language_it_is(page: Path) -> None:
    fences = re.findall(r"^```", page.read_text(), re.MULTILINE)

    assert {named for named, _ in blocks(page)} <= {"python", "js", "sh", *NOT_RUN}
    assert len(fences) == 2 * len(blocks(page))
