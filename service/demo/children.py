"""Child processes of development and tests: bound to our life, on ports that nobody has."""

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # looked up here: between fork and exec is no place for it


def dies_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` that makes Linux send the signal when the starting thread is gone; elsewhere it does nothing."""
    parent_pid = os.getpid()

    def bind() -> None:
        if sys.platform == "linux":
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent_pid:  # it died before the line above
                os._exit(1)

    return bind


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
