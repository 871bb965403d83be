"""How the tests are written: real parts, no patching, no sleeping."""

import ast

import pytest

from tests.house.sources import Source, at, sources

WAITING = "tests/support/waiting.py"


def calls_of(source: Source, name: str) -> list[str]:
    calls = [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
    return [at(source, call) for call in calls if ast.unparse(call.func).split(".")[-1] == name]


def test_tests_wait_for_conditions_and_never_sleep() -> None:
    sleeping = [place for each in sources("tests") if each.path != WAITING for place in calls_of(each, "sleep")]

    assert sleeping == []


def test_no_test_patches_what_it_tests() -> None:
    mocking = [each.path for each in sources("tests") if {"unittest", "mock"} & each.imported()]
    patching = [
        place
        for each in sources("tests")
        for name in ("setattr", "delattr", "setitem", "delitem")
        for place in calls_of(each, name)
    ]

    assert mocking + patching == []


@pytest.mark.parametrize("mark", ["skip", "xfail"])
def test_no_test_is_put_off(mark: str) -> None:
    put_off = [
        at(source, function)
        for source in sources("tests")
        for function in source.functions()
        for decorator in function.decorator_list
        if ast.unparse(decorator).split("(")[0] == f"pytest.mark.{mark}"
    ]

    assert put_off == []


def test_test_names_are_promises() -> None:
    names = [
        f"{at(source, function)} {function.name}"
        for source in sources("tests")
        if source.path.split("/")[-1].startswith("test_")
        for function in source.functions()
        if function.name.startswith("test_") and function.name.count("_") < 3
    ]

    assert names == []
