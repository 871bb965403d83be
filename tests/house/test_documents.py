"""What the documents promise about the code is true, because it is compared with the code."""

import re
import subprocess
import sys

from pydantic.fields import FieldInfo

from service.settings import Settings
from tests.house.sources import ROOT, tracked_files

MAX_ARCHITECTURE_LINES = 150
UNITS_OF_WHOLE_NUMBERS = re.compile(r"^port$|_bytes$|_s$|_days$|max_|_size$")


def lacks_a_unit(name: str, field: FieldInfo) -> bool:
    kind = str(field.annotation)
    if "float" in kind:
        return not name.endswith("_s")
    return "int" in kind and not UNITS_OF_WHOLE_NUMBERS.search(name)


def test_the_readme_holds_the_table_of_all_settings() -> None:
    command = [sys.executable, "-m", "service", "settings-table"]
    table = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert table.returncode == 0, table.stderr

    readme = (ROOT / "README.md").read_text()
    between = re.search(r"<!-- settings -->\n(.*?)<!-- /settings -->", readme, re.DOTALL)

    assert between is not None, "README.md has no <!-- settings --> … <!-- /settings -->"
    assert between[1].strip() == table.stdout.strip(), "copy the output of `python -m service settings-table`"


def test_every_setting_says_what_it_does() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_number_among_the_settings_has_its_unit_in_its_name() -> None:
    assert [name for name, field in Settings.model_fields.items() if lacks_a_unit(name, field)] == []


def test_the_architecture_is_a_page_and_not_a_book() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= MAX_ARCHITECTURE_LINES


def test_users_find_what_changed() -> None:
    assert "## " in (ROOT / "CHANGELOG.md").read_text()


def test_decisions_are_numbered_without_a_gap() -> None:
    names = [path.removeprefix("docs/decisions/") for path in tracked_files() if path.startswith("docs/decisions/")]
    numbered = [name for name in names if name != "README.md"]

    assert [name for name in numbered if not re.fullmatch(r"\d{4}-[a-z0-9]+(-[a-z0-9]+)*\.md", name)] == []
    assert [int(name[:4]) for name in numbered] == list(range(1, len(numbered) + 1))
    assert numbered, "docs/decisions/ holds no record"


def test_every_link_inside_the_project_leads_somewhere() -> None:
    broken = [
        f"{path}: {target}"
        for path in tracked_files()
        if path.endswith(".md")
        for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", (ROOT / path).read_text())
        if not (ROOT / path).parent.joinpath(target).exists()
    ]

    assert broken == []
