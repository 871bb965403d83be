"""Run the sandbox with `python -m service.sandbox`; everything it reads comes from SANDBOX_* variables."""

import os
import sys

from pydantic import ValidationError

from service.sandbox.serve import run
from service.sandbox.settings import settings_from


def main() -> None:
    """Serve until SIGTERM or SIGINT; a wrong variable or mood ends with a sentence on stderr and status 2."""
    try:
        run(settings_from(os.environ))
    except ValidationError as exc:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        sys.exit(_complain(f"SANDBOX_MOODS: {wrong}"))
    except ValueError as exc:
        sys.exit(_complain(str(exc)))


def _complain(sentence: str) -> int:
    print(f"sandbox: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
