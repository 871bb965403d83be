"""Log lines are written at once outside of an event loop, and inside of one when it has run what is due."""

import asyncio
from io import BytesIO

from service.telemetry import FlushedOnceATurn
from tests.support.waiting import eventually_async


class File(BytesIO):
    """Counts how often it was flushed."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


def written(lines: FlushedOnceATurn, *texts: bytes) -> None:
    for text in texts:
        lines.write(text)
        lines.flush()


def test_without_an_event_loop_every_line_is_flushed() -> None:
    file = File()

    written(FlushedOnceATurn(file), b"one\n", b"two\n")

    assert (file.getvalue(), file.flushes) == (b"one\ntwo\n", 2)


async def test_the_lines_of_one_turn_of_the_loop_are_flushed_together() -> None:
    file, flushed = File(), asyncio.Event()

    written(FlushedOnceATurn(file), b"one\n", b"two\n")
    asyncio.get_running_loop().call_soon(flushed.set)  # after what those lines have put in line
    before = file.flushes
    await flushed.wait()

    assert (before, file.flushes, file.getvalue()) == (0, 1, b"one\ntwo\n")


async def test_a_later_line_is_flushed_too() -> None:
    file = File()
    lines = FlushedOnceATurn(file)

    async def both_flushed() -> bool:
        written(lines, b"line\n")
        return file.flushes == 2

    await eventually_async(both_flushed)


def test_a_loop_that_ended_before_it_flushed_holds_up_no_later_one() -> None:
    file = File()
    lines = FlushedOnceATurn(file)
    ended = asyncio.new_event_loop()
    ended.call_soon(ended.stop)
    ended.call_soon(written, lines, b"one\n")
    ended.run_forever()
    ended.close()

    asyncio.run(_write(lines, b"two\n"))

    assert file.flushes == 1
    assert file.getvalue() == b"one\ntwo\n"


async def _write(lines: FlushedOnceATurn, text: bytes) -> None:
    written(lines, text)
