"""What the house tests look at: every file that is or would be committed, and the syntax trees of the Python ones."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file of the project."""

    path: str
    text: str
    tree: ast.Module

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def imported(self) -> set[str]:
        """Top-level names of everything that is imported anywhere in the file."""
        names: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").split(".")[0])
        return names


@cache
def tracked_files() -> tuple[str, ...]:
    """Paths of all files that git tracks, or would with `git add --all`, from the project's root."""
    # The owner of the clone may be another user than the one who runs the tests.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(sorted(path for path in set(listed.split("\0")) if path and (ROOT / path).is_file()))


@cache
def sources(*folders: str) -> tuple[Source, ...]:
    """The Python files below these folders."""
    wanted = [path for path in tracked_files() if path.endswith(".py") and path.split("/")[0] in folders]
    return tuple(_read(path) for path in wanted)


@cache
def _read(path: str) -> Source:
    text = (ROOT / path).read_text()
    return Source(path, text, ast.parse(text, path))


def at(source: Source, node: ast.stmt | ast.expr | ast.arg) -> str:
    """`path:line`, which editors and terminals open."""
    return f"{source.path}:{node.lineno}"
