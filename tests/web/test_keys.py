"""API keys are looked up as hashes: what is in memory opens nothing."""

from hypothesis import given
from hypothesis import strategies as st

from service.clients.keys import Keyring

KEYRING = Keyring({"key-one-0123456789": "shop", "key-two-0123456789": "shop", "key-three-0123456789": "blog"})


def test_every_key_of_a_client_names_it() -> None:
    assert [KEYRING.client_of(f"key-{n}-0123456789") for n in ("one", "two", "three")] == ["shop", "shop", "blog"]


@given(st.text(alphabet=st.characters()))
def test_no_other_text_names_anybody(key: str) -> None:
    assert KEYRING.client_of(key) is None


def test_no_key_is_kept_in_readable_form() -> None:
    assert "key-one" not in repr(vars(KEYRING))
