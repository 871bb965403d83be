"""Pure: how long an OpenAI request may be kept waiting, read from what its client library says about itself."""

from collections.abc import Mapping
from math import isfinite

# The Python library names the longest silence that it bears, the Node library the longest wait for an answer's head.
TIMEOUT_HEADERS = ("x-stainless-read-timeout", "x-stainless-timeout")
RETRY_COUNT_HEADER = "x-stainless-retry-count"
# The answer has to be on its way before the client gives up: a tenth of its time, within these bounds.
MARGIN_SHARE = 0.1
MIN_MARGIN_S = 0.25
MAX_MARGIN_S = 10.0


def wait_s(headers: Mapping[str, str], cap_s: float) -> float:
    """Seconds from the request's arrival until it must be answered; never above `cap_s`, 0 when there is no time."""
    told_s = next((told for name in TIMEOUT_HEADERS if (told := _seconds(headers.get(name))) is not None), None)
    if told_s is None:
        return cap_s
    margin_s = min(max(told_s * MARGIN_SHARE, MIN_MARGIN_S), MAX_MARGIN_S)
    return max(0.0, min(told_s - margin_s, cap_s))


def is_retry(headers: Mapping[str, str]) -> bool:
    """Whether the library says that it sends this request again."""
    count = headers.get(RETRY_COUNT_HEADER, "")
    return count.isdecimal() and count.isascii() and count.strip("0") != ""


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if isfinite(seconds) and seconds > 0 else None
