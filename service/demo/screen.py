"""What a person reads while the demo runs: one line per step, with how long it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LABEL_WIDTH = 15
TEXT_WIDTH = 84


class Line:
    """The line of a step that is under way; put its outcome into `text`."""

    def __init__(self) -> None:
        self.text = ""


@contextmanager
def step(label: str) -> Iterator[Line]:
    """Time what happens inside and print it with `line.text`; a step that fails prints nothing."""
    line, began_s = Line(), time.perf_counter()
    yield line
    print_line(label, line.text, duration(time.perf_counter() - began_s))


def print_line(label: str, text: str, took: str = "") -> None:
    """One line in columns, at once, for it may be read through a pipe."""
    print(f"  {label:{LABEL_WIDTH}} {text:{TEXT_WIDTH}} {took:>8}".rstrip(), flush=True)


def heading(text: str) -> None:
    """An empty line and a title, bold on a terminal."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def duration(seconds: float) -> str:
    """`12 ms` or `2.05 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def shown(path: Path) -> str:
    """The path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
