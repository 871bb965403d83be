"""When a listening connection is tested and when its silence counts, on a clock of our own."""

from hypothesis import given
from hypothesis import strategies as st

from service.db.probe import Probe

MOMENTS = st.floats(0, 1e9)


@given(now_s=MOMENTS, passed_s=st.floats(0, 100))
def test_a_probe_is_overdue_exactly_when_its_time_has_passed(now_s: float, passed_s: float) -> None:
    probe = Probe(every_s=10.0, within_s=3.0)
    probe.send(now_s)

    later_s = now_s + passed_s

    assert probe.is_overdue(later_s) == (later_s >= now_s + 3.0)
    assert not probe.is_due(later_s)


@given(now_s=MOMENTS)
def test_the_next_probe_follows_the_last_one_that_was_heard(now_s: float) -> None:
    probe = Probe(every_s=10.0, within_s=3.0)
    probe.send(now_s)
    probe.hear(now_s)

    assert not probe.is_under_way
    assert not probe.is_due(now_s + 9.0)
    assert probe.is_due(now_s + 10.0)


@given(now_s=MOMENTS, passed_s=st.floats(0, 100))
def test_it_rests_until_there_is_something_to_do(now_s: float, passed_s: float) -> None:
    probe = Probe(every_s=10.0, within_s=3.0)
    probe.send(now_s)

    rested_s = now_s + passed_s + probe.rest_s(now_s + passed_s)

    assert probe.rest_s(now_s + passed_s) <= 3.001
    assert rested_s >= now_s + 2.99
