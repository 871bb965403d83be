"""What is committed works on every machine: no package index is named, no path of one computer, no secret."""

import re
from pathlib import Path

import pytest

from tests.house.sources import ROOT, tracked_files

LOCKS = ("requirements.lock", "requirements-dev.lock")
INDEX_HOSTS = re.compile(r"\b(" + "|".join(["pypi" r"\.org", "python" r"hosted\.org", "npm" r"js\.(org|com)"]) + ")")
PLACES_OF_ONE_MACHINE = re.compile(r"(?<![\w./}-])/(root|work|home|Users)/")
PRIVATE_KEY = re.compile("-----BEGIN [A-Z ]*" + "PRIVATE KEY")


def texts() -> dict[str, str]:
    return {path: (ROOT / path).read_text(errors="ignore") for path in tracked_files()}


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in texts().items()
        if path != str(Path(__file__).relative_to(ROOT))
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize(
    "pattern", [INDEX_HOSTS, PLACES_OF_ONE_MACHINE, PRIVATE_KEY], ids=["package index", "path", "private key"]
)
def test_no_tracked_file_names_a(pattern: re.Pattern[str]) -> None:
    assert lines_with(pattern) == []


def test_no_tracked_file_names_the_place_of_this_clone() -> None:
    assert lines_with(re.compile(re.escape(str(ROOT)) + r"\b")) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_package_with_hashes_and_names_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())

    assert [entry for entry in entries if not re.match(r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,-]+\])?==\S+", entry)] == []
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text


def test_what_is_served_is_locked_alike_for_development() -> None:
    pins = [set(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)) for lock in LOCKS]

    assert pins[0] - pins[1] == set()


def test_no_tracked_file_is_larger_than_half_a_megabyte() -> None:
    assert [path for path in tracked_files() if (ROOT / path).stat().st_size > 512 * 1024] == []
