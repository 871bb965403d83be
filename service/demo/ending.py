"""The two ways in which a run ends early: something failed, which is told in a sentence, or a signal asked for it."""

import signal
from types import FrameType


class DemoFailed(Exception):
    """The run cannot go on; the message says what failed and what the reader can do."""


class Stopped(BaseException):
    """A signal asked for the end. Like KeyboardInterrupt it is no Exception, so that nothing swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_status = 128 + signal_number


def stop_on_signals() -> None:
    """Make Ctrl-C, SIGTERM and a closed terminal raise Stopped wherever the main thread is, every time they come.

    A signal that whoever started us wants ignored, as nohup does, stays ignored.
    """
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _raise_stopped)


def _raise_stopped(signal_number: int, _: FrameType | None) -> None:
    raise Stopped(signal_number)
