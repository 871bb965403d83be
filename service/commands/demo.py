"""`demo`: runs everything on this machine and sends one image through it."""

from service.demo import __main__ as demo


def main(_: str) -> int:
    """Run until Ctrl-C."""
    return demo.main()
