"""When a read that met a busy image API is tried again, within a budget that its caller still waits for."""

FIRST_WAIT_S = 0.25
MAX_WAIT_S = 3.0


def next_wait_s(attempt: int, left_s: float, retry_after_s: float | None, spread: float) -> float | None:
    """Seconds to wait after failed attempt n (from 1), or None when the budget's rest (`left_s`) is too short.

    0.25, 0.5, 1, 2, 3, 3 … s, each scaled by 0.5 to 1 (`spread` from 0 to 1 is the dice), so that many callers do not
    come back as one. `retry_after_s` is a floor: a wait that the API asks for and the budget does not hold ends the
    attempts at once, so that the client hears it instead of waiting in vain.
    """
    wait_s = min(FIRST_WAIT_S * 2.0 ** min(attempt - 1, 10), MAX_WAIT_S) * (0.5 + spread / 2)
    wait_s = max(wait_s, retry_after_s or 0.0)
    return wait_s if wait_s <= left_s else None
