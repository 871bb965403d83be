"""What a client may send as a form, and the sentence it reads when it sends something else."""

import hashlib

import pytest

from service.errors import BodyTooLarge, InvalidRequest, MalformedBody, UnknownField
from service.uploads.multipart import FormLimits, read_form
from tests.uploads.forms import (
    BOUNDARY,
    CONTENT_TYPE,
    LIMITS,
    body_of,
    chunks,
    file_part,
    image,
    part,
    read,
    spool_file,
    text_part,
)

pytestmark = pytest.mark.anyio


async def test_texts_and_files_come_out_in_the_order_in_which_they_were_sent() -> None:
    body = body_of(text_part("prompt", "ein Fuchs ü"), file_part(image()), text_part("n", "1"), file_part(image("GIF")))

    form = await read(body)

    assert form.fields == [("prompt", "ein Fuchs ü"), ("n", "1")]
    assert [asset.content_type for asset in form.assets] == ["image/png", "image/gif"]


async def test_a_file_can_be_read_back_byte_for_byte_with_its_hash() -> None:
    contents = [image("PNG", 200, 100) + bytes(100_000), image("JPEG") + bytes(150_000)]

    with spool_file() as spool:
        form = await read_form(CONTENT_TYPE, chunks([body_of(*map(file_part, contents))]), spool, LIMITS)
        back = [b"".join([piece async for piece in spool.slices(asset)]) for asset in form.assets]

    assert back == contents
    assert [asset.sha256 for asset in form.assets] == [hashlib.sha256(each).hexdigest() for each in contents]
    assert [asset.size_bytes for asset in form.assets] == [len(each) for each in contents]


async def test_a_file_is_what_its_bytes_are_whatever_it_calls_itself() -> None:
    disposition = 'form-data; name="assets"; filename="photo.png"'

    form = await read(body_of(part(disposition, image("WEBP"), "Content-Type: image/png\r\n")))

    assert form.assets[0].content_type == "image/webp"


async def test_an_assets_part_without_file_name_or_content_type_is_a_file_all_the_same() -> None:
    form = await read(body_of(part('form-data; name="assets"', image())))

    assert form.assets[0].filename == ""
    assert form.fields == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('filename="C:\\\\photos\\\\cat.png"', "cat.png"),
        ('filename="../../etc/cat.png"', "cat.png"),
        ("filename*=UTF-8''f%C3%BCchse.png", "füchse.png"),
        ('filename="fü.png"', "fü.png"),
        ('filename=""', ""),
    ],
    ids=["a Windows path", "a path", "the extended form", "raw UTF-8", "an empty name"],
)
async def test_a_file_name_is_kept_without_its_path(sent: str, kept: str) -> None:
    form = await read(body_of(part(f'form-data; name="assets"; {sent}', image())))

    assert form.assets[0].filename == kept


@pytest.mark.parametrize("name", ["reference_images", "image", "images", "files", "image_urls", "anything"])
async def test_a_file_under_another_name_is_refused_with_the_right_one(name: str) -> None:
    with pytest.raises(UnknownField, match=f"`{name}`.*did you mean `assets`"):
        await read(body_of(file_part(image(), name=name)))


@pytest.mark.parametrize("name", ["image_urls", "reference_images"])
async def test_links_under_a_misnomer_of_the_file_field_are_refused_too(name: str) -> None:
    with pytest.raises(UnknownField, match="did you mean `assets`"):
        await read(body_of(text_part(name, "https://example.com/a.png")))


async def test_a_misnamed_file_is_refused_before_the_rest_of_the_body_is_read() -> None:
    start = file_part(image(), name="images")
    taken = 0

    async def endless():
        nonlocal taken
        yield start
        while True:
            taken += 65_536
            yield bytes(65_536)

    with spool_file() as spool, pytest.raises(UnknownField):
        await read_form(CONTENT_TYPE, endless(), spool, LIMITS)

    assert taken <= 200_000


async def test_another_endpoint_may_name_its_file_fields() -> None:
    limits = FormLimits(200_000, 3, 5_000, frozenset({"image", "mask"}))

    form = await read(body_of(file_part(image(), name="image"), file_part(image(), name="mask")), limits)

    assert [asset.field for asset in form.assets] == ["image", "mask"]


ONE_TEXT = text_part("prompt", "a fox")
HEADER_FLOOD = "".join(f"X-{number}: b\r\n" for number in range(50))
MALFORMED = {
    "cut within a part": (body_of(ONE_TEXT)[:60], "cut"),
    "cut before the closing boundary": (ONE_TEXT, "cut"),
    "empty": (b"", "cut"),
    "another boundary": (body_of(ONE_TEXT).replace(BOUNDARY.encode(), b"border"), "malformed"),
    "a header without a name": (body_of(b"--frontier\r\n: x\r\n\r\nx\r\n"), "malformed"),
    "a flood of headers": (body_of(part('form-data; name="a"', b"x", HEADER_FLOOD)), "malformed"),
    "a header without end": (body_of(part('form-data; name="a"', b"x", f"X-A: {'b' * 9000}\r\n")), "malformed"),
    "a part without name": (body_of(part("form-data", b"x")), "name="),
    "a part that is an attachment": (body_of(part('attachment; name="a"', b"x")), "form-data"),
    "a nested multipart": (
        body_of(part('form-data; name="a"', b"x", "Content-Type: multipart/mixed; boundary=b\r\n")),
        "nested",
    ),
    "base64": (body_of(part('form-data; name="a"', b"x", "Content-Transfer-Encoding: base64\r\n")), "as they are"),
    "the same header twice": (body_of(part('form-data; name="a"', b"x", "Content-Disposition: x\r\n")), "twice"),
    "text that is not UTF-8": (body_of(part('form-data; name="prompt"', b"\xff\xfe")), "`prompt` is not UTF-8"),
    "text with NUL": (body_of(text_part("prompt", "a\x00b")), "NUL"),
    "a name that is not UTF-8": (body_of(text_part("X", "x").replace(b"X", b"\xff")), "not UTF-8"),
    "too many parts": (body_of(*[text_part("a", "")] * 101), "more than 100 fields"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "sentence"), MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_body_is_told_what_is_wrong_with_it(body: bytes, sentence: str) -> None:
    with pytest.raises(MalformedBody, match=sentence):
        await read(body)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 300}",
        "",
        "text/x",
    ],
    ids=["no boundary", "an empty one", "an endless one", "no type", "another type"],
)
async def test_a_content_type_without_usable_boundary_is_malformed(content_type: str) -> None:
    with pytest.raises(MalformedBody):
        await read(body_of(ONE_TEXT), content_type=content_type)


TOO_LARGE = {
    "a file": (body_of(file_part(image()), file_part(image()), file_part(bytes(200_001))), r"assets\[2\]"),
    "one file too many": (body_of(*[file_part(image())] * 4), "at most 3 files"),
    "the texts together": (body_of(text_part("a", "x" * 3_000), text_part("b", "x" * 3_000)), "text fields"),
    "padding behind the form": (body_of(ONE_TEXT) + bytes(5_000_000), "larger than all"),
    "padding before the form": (b"\r\n" * 2_500_000, "larger than all"),
}


@pytest.mark.parametrize(("body", "sentence"), TOO_LARGE.values(), ids=TOO_LARGE)
async def test_what_is_too_large_is_named(body: bytes, sentence: str) -> None:
    with pytest.raises(BodyTooLarge, match=sentence):
        await read(body)


NO_IMAGE = {
    "empty": (b"", "empty"),
    "text": (b"hello there", "not an image"),
    "a web page": (b"<html><title>404</title></html>", "not an image"),
    "only a signature": (image()[:8], "damaged"),
    "a header that is cut": (image()[:20], "damaged"),
    "a decompression bomb": (image()[:16] + b"\x00\x01\x00\x00" * 2 + image()[24:], "too many"),
}


@pytest.mark.parametrize(("content", "sentence"), NO_IMAGE.values(), ids=NO_IMAGE)
async def test_a_file_that_is_no_usable_image_is_named(content: bytes, sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence) as refusal:
        await read(body_of(file_part(image()), file_part(content)))

    assert refusal.value.fields[0].field == "assets[1]"
