"""`settings-table`: prints the table of all settings that README holds."""

from service.settings import settings_table


def main(_: str) -> int:
    """Print it; exit status 0."""
    print(settings_table())
    return 0
