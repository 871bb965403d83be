"""The cost of a fault, on deliveries whose moments are known."""

import pytest

from tests.chaos_deliveries.throughput import back_after_s, rate_before

FAULT_AT_S = 10.0
UNTIL_S = 20.0


def steady(from_s: float, to_s: float, *, per_s: float = 100.0) -> list[float]:
    return [from_s + number / per_s for number in range(round((to_s - from_s) * per_s))]


def test_the_throughput_before_a_fault_is_not_moved_by_a_burst() -> None:
    moments = sorted([*steady(0, 10), *steady(8.1, 8.2, per_s=1000)])

    assert rate_before(moments, FAULT_AT_S) == pytest.approx(100, abs=3)


@pytest.mark.parametrize(
    ("moments", "back_s"),
    [
        pytest.param(steady(0, 20), 0.0, id="nothing is felt"),
        pytest.param([*steady(0, 10), *steady(12, 20)], 2.5, id="two seconds of silence"),
        pytest.param([*steady(0, 10), *steady(10, 12, per_s=50), *steady(12, 20)], 2.5, id="half of it for a while"),
        pytest.param([*steady(0, 10), *steady(10, 20, per_s=50)], None, id="half of it for ever"),
        pytest.param(steady(0, 10), None, id="silence for ever"),
    ],
)
def test_the_time_until_it_is_as_before_is_counted_from_the_fault(moments: list[float], back_s: float | None) -> None:
    found = back_after_s(moments, FAULT_AT_S, UNTIL_S)

    assert found == (None if back_s is None else pytest.approx(back_s, abs=0.15))
