"""The one seeded generator behind everything that the sandbox leaves to chance."""

import random
from typing import Literal, assert_never

from service.sandbox.knobs import BusyForm, Chance
from service.sandbox.moods import Moods

_BUSY_FORMS: tuple[Literal["503", "429", "200"], ...] = ("503", "429", "200")


class Dice:
    """Draws from a generator that a seed makes repeatable; a rate of 0 or 1 and a countdown draw nothing."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def seed(self, seed: int) -> None:
        """Start the sequence of this seed from its beginning."""
        self._random.seed(seed)

    def falls(self, chance: Chance) -> bool:
        """Whether it happens this time; uses up one of `next` if there is one."""
        if chance.next > 0:
            chance.next -= 1
            return True
        if chance.rate in (0.0, 1.0):
            return chance.rate == 1.0
        return self._random.random() < chance.rate

    def busy_form(self, form: BusyForm) -> Literal["503", "429", "200"]:
        """The form itself, or one of the three when it is mixed."""
        return self._random.choice(_BUSY_FORMS) if form == "mixed" else form

    def duration_s(self, moods: Moods) -> float:
        """How many seconds the next task takes."""
        shortest, longest = moods.duration_s, max(moods.duration_s, moods.duration_max_s)
        match moods.duration_form:
            case "fixed":
                return shortest
            case "range":
                return self._random.uniform(shortest, longest)
            case "heavy_tail":
                return min(longest, shortest * self._random.paretovariate(moods.duration_tail))
        assert_never(moods.duration_form)
