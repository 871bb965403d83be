"""The command line: `python -m service COMMAND`; every setting comes from the environment."""

import argparse
import importlib
import os
import sys
from collections.abc import Mapping
from typing import NamedTuple


class Command(NamedTuple):
    """A module with a `main(name)` that is imported only when asked for, and what it does in a line."""

    module: str
    does: str


# The server must start without alembic (a second), and the sandbox shares nothing with it.
COMMANDS: Mapping[str, Command] = {
    "all": Command("service.commands.serve", "serve the API and run the loops, in one process"),
    "api": Command("service.commands.serve", "serve the API and the upstream's callbacks"),
    "worker": Command("service.commands.serve", "run the loops: notify subscribers, heal tasks"),
    "migrate": Command("service.commands.migrate", "bring the database's schema up to date; safe from several pods"),
    "reencrypt": Command("service.commands.reencrypt", "encrypt stored secrets with the first encryption key"),
    "sandbox": Command("service.commands.sandbox", "run a stand-in for the image API, to develop against"),
    "demo": Command("service.commands.demo", "run everything on this machine and send one image through it"),
    "settings-table": Command("service.commands.settings_table", "print all settings as the README's table"),
}


def main() -> None:
    """Run one command; it ends the process with its own status."""
    parser = argparse.ArgumentParser("python -m service", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.epilog = "\n".join(f"  {name:15} {command.does}" for name, command in COMMANDS.items())
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the words below")
    parser.add_argument("--hold-dispatch", action="store_true", help="send no queued task (after a restore)")
    known, rest = parser.parse_known_args()
    if known.hold_dispatch:
        os.environ["GATEWAY_DISPATCH"] = "false"
    if rest and known.command != "demo":  # the demo reads options of its own
        parser.error(f"{known.command} takes no arguments: settings come from the environment")
    sys.exit(importlib.import_module(COMMANDS[known.command].module).main(known.command))


if __name__ == "__main__":
    main()
