"""The newcomer's commands: make explains itself, and the virtual environment is made, repaired or refused in words."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.postgres import ROOT

TOO_OLD = "#!/bin/sh\nexit 1\n"
WITHOUT_VENV = '#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexit 0\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A project with nothing to install."""
    (tmp_path / "dev").mkdir()
    shutil.copy(ROOT / "dev" / "venv", tmp_path / "dev")
    (tmp_path / "requirements-dev.lock").write_text("# nothing\n")
    return tmp_path


def make_venv(clone: Path, python: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHON": python}
    return subprocess.run(["dev/venv"], cwd=clone, env=environment, capture_output=True, text=True, check=False)


def interpreter(clone: Path, script: str) -> str:
    path = clone / "python-under-test"
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


def base_python() -> str:
    return str(Path(sys.base_prefix) / "bin" / "python3")


def test_make_alone_explains_every_target() -> None:
    targets = re.search(r"^\.PHONY: (.+) venv$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    said = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert targets is not None
    assert re.findall(r"^  make (\S+)", said, re.MULTILINE) == targets[1].split()


def test_a_python_that_is_too_old_is_refused_with_what_to_install(clone: Path) -> None:
    done = make_venv(clone, interpreter(clone, TOO_OLD))

    assert done.returncode != 0
    assert "No Python 3.11 or newer was found" in done.stderr


def test_a_python_without_venv_is_refused_with_the_name_of_the_debian_package(clone: Path) -> None:
    done = make_venv(clone, interpreter(clone, WITHOUT_VENV))

    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stderr


def test_a_half_made_environment_is_repaired_and_a_whole_one_left_alone(clone: Path) -> None:
    (clone / ".venv").mkdir()

    repaired = make_venv(clone, base_python())
    left_alone = make_venv(clone, base_python())

    assert repaired.returncode == 0, repaired.stderr
    assert repaired.stdout.startswith("Making .venv")
    assert left_alone.stdout == ""
    assert subprocess.run([clone / ".venv" / "bin" / "python", "-c", "import dev"], cwd="/", check=True).returncode == 0
