"""A receive_url belongs to one attempt at one task, and nobody makes one without a secret."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.upstream.receive_url import MAX_ATTEMPT, receive_url, sign, verify

TASK, OTHER_TASK = UUID(int=1), UUID(int=2)
OLD, NEW = b"an old secret of 16+", b"a new secret of 16+"
ATTEMPTS = st.integers(1, MAX_ATTEMPT)


@given(task_id=st.uuids(), attempt=ATTEMPTS, secret=st.binary(min_size=1, max_size=80))
def test_a_token_names_its_attempt(task_id: UUID, attempt: int, secret: bytes) -> None:
    assert verify([secret], task_id, sign([secret], task_id, attempt)) == attempt


def test_the_address_ends_in_task_and_token() -> None:
    url = receive_url("https://gateway.example/", TASK, 3, [NEW])

    assert url == f"https://gateway.example/callbacks/{TASK}/{sign([NEW], TASK, 3)}"


def test_the_first_secret_signs_and_an_old_one_still_verifies() -> None:
    before, after = sign([OLD], TASK, 1), sign([NEW, OLD], TASK, 1)

    assert verify([NEW, OLD], TASK, before) == 1
    assert verify([NEW], TASK, after) == 1


def test_a_token_opens_neither_another_task_nor_another_attempt_nor_another_gateway() -> None:
    token = sign([NEW], TASK, 1)

    assert verify([NEW], OTHER_TASK, token) is None
    assert verify([NEW], TASK, token.replace("1.", "2.", 1)) is None
    assert verify([OLD], TASK, token) is None
    assert verify([], TASK, token) is None


@given(position=st.integers(0, 200), change=st.characters())
def test_a_changed_token_is_none_at_all(position: int, change: str) -> None:
    token = sign([NEW], TASK, 12)
    position %= len(token)
    changed = token[:position] + change + token[position + 1 :]

    assert verify([NEW], TASK, changed) == (12 if changed == token else None)


@given(st.text(max_size=300))
def test_no_text_breaks_the_verification(token: str) -> None:
    assert verify([NEW, OLD], TASK, token) is None


@pytest.mark.parametrize("attempt", [0, -1, MAX_ATTEMPT + 1])
def test_an_attempt_that_could_not_be_verified_is_not_signed(attempt: int) -> None:
    with pytest.raises(ValueError, match="attempt"):
        sign([NEW], TASK, attempt)


def test_a_token_fits_any_url_column() -> None:
    assert len(sign([NEW], TASK, MAX_ATTEMPT)) <= 40
