"""Whatever comes in as a body is either a request in its shape or a 4xx that names what is wrong."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import GatewayError, MalformedBody
from service.surfaces.native.shapes import QuoteFields, TaskFields
from service.surfaces.native.subscription_shapes import SubscriptionFields
from service.surfaces.native.task_request import REMEDIES
from service.web.body import parse_object, shaped
from service.web.problems import problem_response

SHAPES = (TaskFields, QuoteFields, SubscriptionFields)
NAMES = sorted({name for shape in SHAPES for name in shape.model_fields} | REMEDIES.keys())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.sampled_from(["\x00", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary() | VALUES.map(lambda value: repr(value).encode("utf-8", "replace")))
def test_bytes_of_any_kind_are_an_object_or_malformed(body: bytes) -> None:
    try:
        parsed = parse_object(body, "The body")
    except MalformedBody:
        return
    assert parsed == orjson.loads(body)


@given(st.sampled_from(SHAPES), st.dictionaries(st.sampled_from(NAMES) | st.text(), VALUES, max_size=6))
def test_values_of_any_kind_are_in_shape_or_a_problem_that_can_be_sent(
    shape: type[TaskFields | QuoteFields | SubscriptionFields], values: dict[str, object]
) -> None:
    try:
        taken = shaped(shape, values, REMEDIES)
    except GatewayError as problem:
        answer = problem_response(problem)
        named = [each["field"] for each in orjson.loads(answer.body)["errors"]]
    else:
        answer, named = None, []

    assert (answer is None and {**taken.model_dump(), **values} == taken.model_dump()) or (
        answer is not None and answer.status_code in {400, 422} and named
    )


@pytest.mark.parametrize("depth", [15, 16, 17, 900])
def test_nesting_is_taken_up_to_sixteen_levels(depth: int) -> None:
    nested = parse_object(b'{"a":' * depth + b"1" + b"}" * depth, "The body")

    try:
        shaped(TaskFields, {"prompt": "a", "model_id": "m", "metadata": nested}, REMEDIES)
        taken = True
    except GatewayError:
        taken = False

    assert taken == (depth <= 16)
