"""Reading a URL strictly, whatever text it is: one spelling, and one that every parser reads alike."""

from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from service.subscribers.target_url import TargetUrl, UnreadableUrl, host_of, read_target_url
from tests.subscribers.hostile_urls import HOSTILE_URLS

LIKELY = st.text(alphabet="htp:/@.[]%\\#?&-_ \t0127axé。1①", max_size=40)
TEXTS = st.one_of(
    st.text(max_size=60),
    LIKELY,
    LIKELY.map("http://{}".format),
    st.sampled_from(HOSTILE_URLS),
    st.builds("http://{}{}".format, st.sampled_from(["10.0.0.7", "[fd12::7]", "a.example"]), LIKELY),
)


def readable(text: str) -> TargetUrl | None:
    try:
        return read_target_url(text)
    except UnreadableUrl:
        return None


@given(text=TEXTS)
def test_what_was_read_reads_the_same_again_and_to_the_parser_that_calls_it(text: str) -> None:
    target = readable(text)

    if target is not None:
        assert readable(target.url) == target
        assert URL(target.url).raw_host == target.host


@given(text=TEXTS)
def test_a_log_line_gets_a_host_out_of_any_text_and_no_more(text: str) -> None:
    shown = host_of(text)

    assert not set("/?#") & set(shown)
