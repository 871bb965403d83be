"""A signed image URL opens one picture until it expires; whatever is changed about it, it opens nothing."""

import base64
import hashlib
import hmac
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pictures.signature import ImagePlace, is_signed, signed_url
from service.upstream.receive_url import sign

PUBLIC_URL = "https://gateway.example"
PLACE = ImagePlace(UUID("01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f"), 1)
PREVIEW = replace(PLACE, is_preview=True)
EXPIRES_AT_S = 1_795_000_000
SECRET, OTHER_SECRET = b"the secret that signs now", b"another secret, long enough"


def signature_of(place: ImagePlace, secret: bytes = SECRET, expires_at_s: int = EXPIRES_AT_S) -> str:
    query = urlsplit(signed_url(PUBLIC_URL, place, expires_at_s, (secret,))).query
    return parse_qs(query)["signature"][0]


def made_with_the_bare_secret() -> str:
    """What somebody could make who has got the secret to sign this text for another purpose."""
    signed = hmac.digest(SECRET, f"{PLACE.path}\n{EXPIRES_AT_S}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(signed[:24]).decode()


@pytest.mark.parametrize(
    ("place", "path"),
    [
        (PLACE, "/api/v1/tasks/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f/images/1"),
        (PREVIEW, "/api/v1/tasks/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f/images/1/preview"),
    ],
    ids=["image", "preview"],
)
def test_a_signed_url_leads_to_the_pictures_own_path(place: ImagePlace, path: str) -> None:
    url = urlsplit(signed_url(PUBLIC_URL, place, EXPIRES_AT_S, (SECRET,)))

    assert f"{url.scheme}://{url.netloc}{url.path}" == PUBLIC_URL + path
    assert parse_qs(url.query)["expires"] == [str(EXPIRES_AT_S)]


@pytest.mark.parametrize("place", [PLACE, PREVIEW], ids=["image", "preview"])
def test_a_signature_is_good_for_what_was_signed(place: ImagePlace) -> None:
    assert is_signed(place, EXPIRES_AT_S, signature_of(place), (SECRET,))


def test_a_signature_outlives_the_rotation_of_its_secret() -> None:
    assert is_signed(PLACE, EXPIRES_AT_S, signature_of(PLACE), (OTHER_SECRET, SECRET))


@pytest.mark.parametrize(
    ("place", "expires_at_s", "signature", "secrets"),
    [
        (replace(PLACE, number=2), EXPIRES_AT_S, signature_of(PLACE), (SECRET,)),
        (replace(PLACE, task_id=UUID(int=7)), EXPIRES_AT_S, signature_of(PLACE), (SECRET,)),
        (PREVIEW, EXPIRES_AT_S, signature_of(PLACE), (SECRET,)),
        (PLACE, EXPIRES_AT_S, signature_of(PREVIEW), (SECRET,)),
        (PLACE, EXPIRES_AT_S + 1, signature_of(PLACE), (SECRET,)),
        (PLACE, EXPIRES_AT_S, signature_of(PLACE)[:-1], (SECRET,)),
        (PLACE, EXPIRES_AT_S, signature_of(PLACE) + "=", (SECRET,)),
        (PLACE, EXPIRES_AT_S, signature_of(PLACE).swapcase(), (SECRET,)),
        (PLACE, EXPIRES_AT_S, "", (SECRET,)),
        (PLACE, EXPIRES_AT_S, "\udcff é", (SECRET,)),
        (PLACE, EXPIRES_AT_S, signature_of(PLACE), (OTHER_SECRET,)),
        (PLACE, EXPIRES_AT_S, signature_of(PLACE), ()),
        (PLACE, EXPIRES_AT_S, made_with_the_bare_secret(), (SECRET,)),
        (PLACE, EXPIRES_AT_S, sign((SECRET,), PLACE.task_id, 1).partition(".")[2], (SECRET,)),
    ],
    ids=[
        "another number",
        "another task",
        "the image's for the preview",
        "the preview's for the image",
        "a later end",
        "cut",
        "longer",
        "other case",
        "empty",
        "no ASCII",
        "another secret",
        "no secret",
        "the secret without its label",
        "a callback's token",
    ],
)
def test_a_signature_is_good_for_nothing_else(
    place: ImagePlace, expires_at_s: int, signature: str, secrets: tuple[bytes, ...]
) -> None:
    assert not is_signed(place, expires_at_s, signature, secrets)


@given(st.text(max_size=60))
def test_no_text_passes_for_a_signature(text: str) -> None:
    assert is_signed(PLACE, EXPIRES_AT_S, text, (SECRET,)) == (text == signature_of(PLACE))
