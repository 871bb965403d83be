"""Nothing is longer than a reader can hold: files, functions, parameter lists."""

from statistics import median

from tests.house.sources import Function, at, sources

MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 40
MAX_MEDIAN_FUNCTION_LINES = 10
MAX_PARAMETERS = 5


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters_of(function: Function) -> int:
    arguments = function.args
    named = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in named if name not in {"self", "cls"}])


def test_no_file_is_longer_than_250_lines() -> None:
    lengths = {each.path: len(each.text.splitlines()) for each in sources("service", "tests", "bench", "migrations")}

    assert {path: length for path, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_40_lines() -> None:
    too_long = [
        f"{at(source, function)} {function.name}: {lines_of(function)} lines"
        for source in sources("service", "tests", "bench")
        for function in source.functions()
        if lines_of(function) > MAX_FUNCTION_LINES
    ]

    assert too_long == []


def test_half_of_the_functions_have_10_lines_or_fewer() -> None:
    lengths = [lines_of(function) for source in sources("service") for function in source.functions()]

    assert median(lengths) <= MAX_MEDIAN_FUNCTION_LINES


def test_no_function_takes_more_than_5_parameters() -> None:
    too_many = [
        f"{at(source, function)} {function.name}: {parameters_of(function)} parameters"
        for source in sources("service", "bench")
        for function in source.functions()
        if parameters_of(function) > MAX_PARAMETERS
    ]

    assert too_many == []


def test_no_function_takes_whatever_keywords_come() -> None:
    swallowing = [
        f"{at(source, function)} {function.name}"
        for source in sources("service")
        for function in source.functions()
        if function.args.kwarg is not None
    ]

    assert swallowing == []
