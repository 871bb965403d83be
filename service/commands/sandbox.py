"""`sandbox`: runs the stand-in for the image API."""

from service.sandbox import __main__ as sandbox


def main(_: str) -> int:
    """Serve until a signal ends it."""
    sandbox.main()
    return 0
