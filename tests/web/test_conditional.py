"""`If-None-Match` as clients really send it, and cursors that nobody but us has made."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.surfaces.native.cursor import read_cursor, write_cursor
from service.web.etag import is_held


@pytest.mark.parametrize("header", ['"7"', 'W/"7"', '"3", "7"', '"3",W/"7" , "9"', "*"])
def test_a_header_that_names_the_tag_holds_it(header: str) -> None:
    assert is_held(header, '"7"')


@pytest.mark.parametrize("header", [None, "", '"8"', "7", '"77"', '"3", "17"'])
def test_any_other_header_does_not_hold_it(header: str | None) -> None:
    assert not is_held(header, '"7"')


@given(st.text())
def test_no_header_breaks_the_comparison(header: str) -> None:
    assert is_held(header, '"7"') in {True, False}


@given(st.uuids())
def test_a_cursor_comes_back_as_it_was_written(last: UUID) -> None:
    assert read_cursor(write_cursor(last)) == last


@given(st.text())
def test_a_cursor_that_we_did_not_write_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_cursor(f"{text}!")

    assert [each.field for each in raised.value.fields] == ["cursor"]


@pytest.mark.parametrize("cursor", ["AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAAA==", "AAAA"])
def test_a_cursor_has_one_spelling(cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        read_cursor(cursor)
