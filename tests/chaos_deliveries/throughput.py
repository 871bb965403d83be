"""How much a fault cost: the throughput before it, and how long until 95 % of that is reached again; pure."""

from bisect import bisect_left
from collections.abc import Sequence
from statistics import median

REACHED = 0.95
BIN_S = 0.1
WINDOW_S = 0.5
WINDOWS_BEFORE = 4


def rate_before(moments: Sequence[float], at_s: float) -> float:
    """Deliveries a second just before `at_s`: the median of some windows, which a burst does not move."""
    starts = (at_s - WINDOW_S * number for number in range(1, WINDOWS_BEFORE + 1))
    return median(_count(moments, start, WINDOW_S) for start in starts) / WINDOW_S


def back_after_s(moments: Sequence[float], at_s: float, until_s: float) -> float | None:
    """Seconds from `at_s` until half a second has 95 % of the throughput before it, once it has fallen below that.

    0 if it never fell, None if it did not come back before `until_s`. `moments` are those of deliveries, in order.
    """
    enough = REACHED * rate_before(moments, at_s) * WINDOW_S
    has_fallen = False
    for number in range(int((until_s - at_s - WINDOW_S) / BIN_S) + 1):
        start = at_s + BIN_S * number
        is_low = _count(moments, start, WINDOW_S) < enough
        if has_fallen and not is_low:
            return start + WINDOW_S - at_s
        has_fallen = has_fallen or is_low
    return None if has_fallen else 0.0


def _count(moments: Sequence[float], start: float, length: float) -> int:
    return bisect_left(moments, start + length) - bisect_left(moments, start)
