"""Reads the settings for a command, or says in a line for each what is wrong with them."""

import sys

from pydantic import ValidationError

from service.settings import Settings, read_settings

EXIT_MISCONFIGURED = 2


def settings_or_exit() -> Settings:
    """The settings; exits with status 2 and one line per wrong setting, never showing a value."""
    try:
        settings = read_settings()
    except ValidationError as exc:
        for error in exc.errors():
            name = "_".join(["GATEWAY", *(str(part).upper() for part in error["loc"])])
            print(f"{name}: {error['msg']}", file=sys.stderr)
        sys.exit(EXIT_MISCONFIGURED)
    if not settings.database_url.get_secret_value():
        print("GATEWAY_DATABASE_URL: is not set; `make run` brings a database of its own", file=sys.stderr)
        sys.exit(EXIT_MISCONFIGURED)
    return settings
