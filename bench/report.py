"""What a benchmark found: figures with their limits, printed as lines, and the rounds that they are medians of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

Measured = TypeVar("Measured")

ROUNDED_FROM = 100


@dataclass(frozen=True, slots=True)
class Figure:
    """One number; `at_most` and `at_least` are limits that make the run fail, `note` tells what the number stands for.

    Only ratios and limits say something about the code: any other number belongs to this machine and this minute.
    """

    what: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def is_missed(self) -> bool:
        """Whether it lies beyond a limit of its own."""
        too_much = self.at_most is not None and self.value > self.at_most
        return too_much or (self.at_least is not None and self.value < self.at_least)

    def line(self) -> str:
        """The figure as a person reads it."""
        limits = [
            f"{sign} {limit:g}{self.unit}"
            for sign, limit in (("at most", self.at_most), ("at least", self.at_least))
            if limit is not None
        ]
        verdict = f"[{'MISSED' if self.is_missed else 'ok'}: {', '.join(limits)}]" if limits else ""
        words = " ".join(part for part in (verdict, self.note) if part)
        shown = f"{self.value:.3g}" if self.value < ROUNDED_FROM else f"{self.value:.0f}"
        return f"   {self.what:<62} {shown:>6}{self.unit:<4}  {words}".rstrip()


def show(*figures: Figure) -> int:
    """Print the figures; 1 when one of them missed its limit, otherwise 0."""
    for figure in figures:
        print(figure.line(), flush=True)
    return int(any(figure.is_missed for figure in figures))


def alternate(rounds: int, measures: Mapping[str, Callable[[], Measured]]) -> dict[str, list[Measured]]:
    """Measure everything in turn, round after round, so that a slow minute of the machine hits all of it alike."""
    found: dict[str, list[Measured]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return found


def median_ratio(upper: list[float], lower: list[float]) -> float:
    """The median of the ratios within each round."""
    return median(above / below for above, below in zip(upper, lower, strict=True))
