"""Reads the settings for a command, or says in a line for each what is wrong with them."""

import sys

from pydantic import ValidationError

from service.settings import Settings, read_settings

EXIT_MISCONFIGURED = 2
MAKE_A_KEY = "make one with `openssl rand -hex 32` and keep it: without it the signing secrets in the database are lost"


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


def settings_with_keys_or_exit() -> Settings:
    """The same for commands that store or read signing secrets, which takes a key to encrypt them with."""
    settings = settings_or_exit()
    if not settings.encryption_keys:
        print(f"GATEWAY_ENCRYPTION_KEYS: is not set; {MAKE_A_KEY}", file=sys.stderr)
        sys.exit(EXIT_MISCONFIGURED)
    return settings
