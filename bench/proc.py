"""What Linux knows about a process: CPU time spent, memory held, highest memory since a moment of our choice."""

import os
from pathlib import Path

KIB = 1024
RESET_PEAK = "5"  # proc(5): makes VmHWM the present VmRSS


def cpu_s(pid: int) -> float:
    """Seconds of CPU that the process has spent so far, in all its threads; counted in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory that the process holds now; what it wrote to files is not in it."""
    return _status_bytes(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """The most that it held since `reset_peak`."""
    return _status_bytes(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    """Forget the former peak."""
    Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)


def filesystem_of(path: Path) -> str:
    """The type of the file system that holds the path, such as ext4; `tmpfs` is memory, not a disk."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [(len(place), kind) for place, kind in mounts if path.resolve().is_relative_to(place)]
    return max(holding)[1] if holding else "unknown"


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * KIB
    raise LookupError(f"{name} of process {pid}")
