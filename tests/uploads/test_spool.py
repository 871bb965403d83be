"""Uploads in flight take a bounded part of the disk, and give it back whatever happens."""

from pathlib import Path

import pytest

from service.errors import Unavailable
from service.uploads.spool import Asset, Spool, SpoolFile

pytestmark = pytest.mark.anyio


def asset_of(size_bytes: int, offset: int = 0) -> Asset:
    return Asset("a.png", "image/png", size_bytes, "", offset)


def test_a_full_spool_turns_uploads_away_for_a_while() -> None:
    spool = Spool(None, 1_000)

    with spool.open() as first, spool.open() as second:
        first.write(bytes(900))
        with pytest.raises(Unavailable) as problem:
            second.write(bytes(101))

    assert problem.value.retry_after_s
    assert spool.bytes_in_flight == 0


def test_room_is_given_back_once_however_often_a_file_is_closed() -> None:
    spool = Spool(None, 1_000)
    kept, dropped = spool.open(), spool.open()
    kept.write(bytes(300))
    dropped.write(bytes(400))

    dropped.close()
    dropped.close()

    assert spool.bytes_in_flight == 300
    kept.close()
    assert spool.bytes_in_flight == 0


def test_no_file_can_be_found_in_the_folder(tmp_path: Path) -> None:
    with Spool(tmp_path, 1_000).open() as file:
        file.write(b"private")

        assert list(tmp_path.iterdir()) == []


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_request_without_files_opens_none() -> None:
    before = open_descriptors()

    with Spool(None, 1_000).open():
        assert open_descriptors() == before


def test_a_folder_that_cannot_be_written_to_is_a_lack_of_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "gone", 1_000)

    with spool.open() as file, pytest.raises(Unavailable, match="no room"):
        file.write(b"x")

    assert spool.bytes_in_flight == 0


async def slices_of(file: SpoolFile, asset: Asset) -> list[bytes]:
    return [piece async for piece in file.slices(asset)]


async def test_slices_are_small_and_those_of_the_asset_alone() -> None:
    with Spool(None, 10_000_000).open() as file:
        file.write(b"before")
        file.write(b"a" * 1_000_000)
        file.write(b"after")

        pieces = await slices_of(file, asset_of(1_000_000, offset=6))

    assert b"".join(pieces) == b"a" * 1_000_000
    assert max(map(len, pieces)) <= 64 * 1024


@pytest.mark.parametrize("size_bytes", [11, 10_000], ids=["one byte short", "far too short"])
async def test_a_file_shorter_than_its_asset_is_an_error_and_not_an_image(size_bytes: int) -> None:
    with Spool(None, 1_000).open() as file:
        file.write(bytes(10))

        with pytest.raises(OSError, match="shorter"):
            await slices_of(file, asset_of(size_bytes))


async def test_a_closed_file_is_neither_read_nor_written() -> None:
    file = Spool(None, 1_000).open()
    file.write(bytes(10))
    file.close()

    with pytest.raises(OSError, match="closed"):
        await slices_of(file, asset_of(10))
    with pytest.raises(OSError, match="closed"):
        file.write(b"x")
