"""The API's pages are served whole: nothing on them comes from another host."""

import re

import pytest

from tests.support.gateway import Gateway


def test_the_page_names_no_other_host(gateway: Gateway) -> None:
    page = gateway.anonymous.get("/docs")

    assert page.status_code == 200
    assert re.findall(r"""(?:src|href|url)\s*[=:]\s*["'](?:https?:)?//""", page.text) == []


@pytest.mark.parametrize("file", ["swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"])
def test_the_files_of_the_page_are_there(file: str, gateway: Gateway) -> None:
    assert file in gateway.anonymous.get("/docs").text
    assert gateway.anonymous.get(f"/docs/files/{file}").status_code == 200
