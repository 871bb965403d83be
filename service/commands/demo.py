"""`demo`: runs everything on this machine and sends one image through it."""

from service.demo.__main__ import main as run_demo


def main(_: str) -> int:
    """Run until Ctrl-C; the demo's own exit status."""
    return run_demo()
