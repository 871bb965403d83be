"""What is left to chance: how long tasks take and how often things happen, repeatable by seed."""

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.sandbox.dice import Dice
from service.sandbox.knobs import Chance
from service.sandbox.moods import Moods


def durations_s(moods: Moods, seed: int = 1) -> list[float]:
    dice = Dice(seed)
    return [dice.duration_s(moods) for _ in range(2000)]


def test_a_fixed_duration_never_varies() -> None:
    assert set(durations_s(Moods(duration_s=3))) == {3}


def test_a_range_is_filled_evenly() -> None:
    drawn = durations_s(Moods(duration_form="range", duration_s=10, duration_max_s=20))

    assert (min(drawn) >= 10, max(drawn) <= 20) == (True, True)
    assert 14 < median(drawn) < 16


def test_a_heavy_tail_is_mostly_short_and_sometimes_hours() -> None:
    drawn = durations_s(Moods(duration_form="heavy_tail", duration_s=20, duration_max_s=12_000))

    assert min(drawn) >= 20
    assert median(drawn) < 60
    assert 3600 < max(drawn) <= 12_000


@given(st.integers(), st.sampled_from(["range", "heavy_tail"]))
def test_a_seed_repeats_its_durations(seed: int, form: str) -> None:
    moods = Moods.model_validate({"duration_form": form})

    assert durations_s(moods, seed)[:20] == durations_s(moods, seed)[:20]


@given(st.integers(0, 50), st.sampled_from([0.0, 1.0]))
def test_a_countdown_comes_before_the_rate(count: int, rate: float) -> None:
    dice, chance = Dice(1), Chance(rate=rate, next=count)

    fell = [dice.falls(chance) for _ in range(count + 5)]

    assert fell == [True] * count + [rate == 1.0] * 5
    assert chance.next == 0


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.95])
def test_a_rate_is_kept_over_many_throws(rate: float) -> None:
    dice, chance = Dice(1), Chance(rate=rate)

    share = sum(dice.falls(chance) for _ in range(10_000)) / 10_000

    assert abs(share - rate) < 0.02
