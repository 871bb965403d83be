"""An OpenAI request is answered before its client gives up, and a repetition is known for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.surfaces.openai.patience import is_retry, wait_s

CAP_S = 240.0


@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        pytest.param({}, CAP_S, id="no library: the gateway's cap"),
        pytest.param({"x-stainless-read-timeout": "600.0"}, CAP_S, id="Python's default is longer than the cap"),
        pytest.param({"x-stainless-timeout": "600"}, CAP_S, id="so is Node's"),
        pytest.param({"x-stainless-read-timeout": "60"}, 54.0, id="a tenth is left for the answer"),
        pytest.param({"x-stainless-timeout": "200"}, 190.0, id="but never more than 10 s"),
        pytest.param({"x-stainless-read-timeout": "1"}, 0.75, id="and never less than a quarter of a second"),
        pytest.param({"x-stainless-read-timeout": "0.1"}, 0.0, id="no time at all"),
        pytest.param({"x-stainless-read-timeout": "soon"}, CAP_S, id="no number"),
        pytest.param({"x-stainless-read-timeout": "nan"}, CAP_S, id="not a number"),
        pytest.param({"x-stainless-read-timeout": "inf"}, CAP_S, id="for ever"),
        pytest.param({"x-stainless-read-timeout": "-5"}, CAP_S, id="less than nothing"),
    ],
)
def test_the_wait_ends_before_the_client_gives_up(headers: dict[str, str], expected_s: float) -> None:
    assert wait_s(headers, CAP_S) == pytest.approx(expected_s)


@given(st.floats(0.001, 1e9), st.floats(0.1, 1e6))
def test_the_wait_is_shorter_than_the_clients_and_than_the_cap(told_s: float, cap_s: float) -> None:
    waited_s = wait_s({"x-stainless-read-timeout": str(told_s)}, cap_s)

    assert 0 <= waited_s <= cap_s
    assert waited_s < told_s


@given(st.text())
def test_no_header_breaks_the_reading(text: str) -> None:
    assert wait_s({"x-stainless-timeout": text}, CAP_S) >= 0
    assert is_retry({"x-stainless-retry-count": text}) in {True, False}


@pytest.mark.parametrize(
    ("count", "expected"),
    [("0", False), ("00", False), ("1", True), ("2", True), ("", False), ("-1", False), ("²", False)],
)
def test_a_repetition_says_so(count: str, expected: bool) -> None:
    assert is_retry({"x-stainless-retry-count": count}) is expected
