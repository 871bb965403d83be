"""Which listed task a lost submission became: a table of cases, and the promise that nobody gets another's image."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.matching import Lost, Matches, Named, match_lost
from service.upstream.wire import ListedTask, TaskReport

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CALL_S = 120.0
A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)


def lost(task_id: UUID = A, at_s: float = 0.0, **changes: Any) -> Lost:
    """A lost submission of client alpha, made `at_s` after noon."""
    made = Lost(task_id, "alpha", 1, "seedream", "A cat", 1, {"resolution": "2K"}, (), NOON + timedelta(seconds=at_s))
    return replace(made, **changes)


def listed(upstream_id: str = "x", at_s: float | None = 1.0, **changes: Any) -> ListedTask:
    """What the image API lists for it."""
    created_at = None if at_s is None else (NOON + timedelta(seconds=at_s)).isoformat()
    report = TaskReport(upstream_id, "running", None, None)
    shown = ListedTask(report, "A cat", "seedream", 1, {"resolution": "2K"}, None, created_at, {})
    return replace(shown, **changes)


def named_by(url: str) -> Named | None:
    """A receive_url of these tests is the task's number and the attempt: `1.2`."""
    number, _, attempt = url.partition(".")
    return Named(UUID(int=int(number)), int(attempt)) if attempt else None


def matched(submissions: list[Lost], tasks: list[ListedTask]) -> Matches:
    return match_lost(submissions, tasks, named_by, CALL_S)


def pairs(matches: Matches) -> dict[UUID, str | None]:
    return {found.task_id: found.listed.report.upstream_id for found in matches.found}


FOUND: dict[str, tuple[list[Lost], list[ListedTask], dict[UUID, str]]] = {
    "the same request at the same time": ([lost()], [listed()], {A: "x"}),
    "a receive_url decides against everything else": (
        [lost(), lost(B)],
        [listed("x", prompt=None, receive_url="2.1"), listed("y", at_s=None, receive_url="1.1")],
        {A: "y", B: "x"},
    ),
    "parameters that the image API added": (
        [lost()],
        [listed(model_parameters={"resolution": "2K", "quality": "high"})],
        {A: "x"},
    ),
    "parameters that are not shown": ([lost()], [listed(model_parameters={})], {A: "x"}),
    "a number that is shown as text": (
        [lost(model_parameters={"seed": 7})],
        [listed(model_parameters={"seed": "7"})],
        {A: "x"},
    ),
    "a moment that is not shown": ([lost()], [listed(at_s=None)], {A: "x"}),
    "spaces around the prompt": ([lost(prompt=" A cat\n")], [listed()], {A: "x"}),
    "identical requests of one client pair in the order of time": (
        [lost(B, at_s=20), lost(A, at_s=10)],
        [listed("later", at_s=21), listed("sooner", at_s=11)],
        {A: "sooner", B: "later"},
    ),
    "requests that differ are told apart": (
        [lost(A, prompt="A dog"), lost(B)],
        [listed("cat"), listed("dog", prompt="A dog")],
        {A: "dog", B: "cat"},
    ),
    "one whose call is under way competes and takes nothing": (
        [lost(A, at_s=0), lost(B, at_s=2, is_searched=False)],
        [listed("first", at_s=1), listed("second", at_s=3)],
        {A: "first"},
    ),
}


@pytest.mark.parametrize(("submissions", "tasks", "expected"), FOUND.values(), ids=FOUND)
def test_a_listed_task_is_found_by(submissions: list[Lost], tasks: list[ListedTask], expected: dict[UUID, str]) -> None:
    assert pairs(matched(submissions, tasks)) == expected


UNCLEAR: dict[str, tuple[list[Lost], list[ListedTask]]] = {
    "two candidates for one": ([lost()], [listed("x"), listed("y", at_s=2)]),
    "one candidate for two": ([lost(), lost(B)], [listed()]),
    "the same request of two clients": ([lost(), lost(B, client="beta")], [listed("x"), listed("y")]),
    "the same words about other pictures": ([lost(), lost(B, asset_hashes=("9f",))], [listed("x"), listed("y")]),
    "a listing that shows no prompt": ([lost()], [listed(prompt=None)]),
    "a listing that shows no model": ([lost()], [listed(model_id=None)]),
    "a prompt that was cut": ([lost(prompt="A cat " * 40)], [listed(prompt="A cat " * 20 + "...")]),
    "several without their moments": ([lost(), lost(B)], [listed("x", at_s=None), listed("y", at_s=None)]),
    "one that is lost, one under way, one candidate": ([lost(), lost(B, is_searched=False)], [listed()]),
}


@pytest.mark.parametrize(("submissions", "tasks"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_is_not_clear_is_neither_found_nor_absent(submissions: list[Lost], tasks: list[ListedTask]) -> None:
    assert matched(submissions, tasks) == Matches((), frozenset())


ABSENT: dict[str, list[ListedTask]] = {
    "an empty list": [],
    "another prompt": [listed(prompt="A dog")],
    "another model": [listed(model_id="imagen")],
    "another number of images": [listed(generations_count=2)],
    "another parameter": [listed(model_parameters={"resolution": "4K"})],
    "made long before": [listed(at_s=-3600)],
    "made long after": [listed(at_s=3600)],
    "a receive_url of somebody else": [listed(receive_url="somebody")],
    "a receive_url of another task of ours": [listed(receive_url="3.1")],
}


@pytest.mark.parametrize("tasks", ABSENT.values(), ids=ABSENT)
def test_a_submission_is_absent_from_a_list_that_holds_only(tasks: list[ListedTask]) -> None:
    assert matched([lost()], tasks) == Matches((), frozenset({A}))


def test_the_attempt_that_the_receive_url_names_is_kept() -> None:
    assert [found.attempt for found in matched([lost(attempt=2)], [listed(receive_url="1.1")]).found] == [1]


@dataclass(frozen=True)
class World:
    """Lost submissions, which of them the image API took, and its list of exactly those."""

    lost: list[Lost]
    listed: list[ListedTask]
    owner_of: dict[str, Lost]


@st.composite
def worlds(draw: Callable[..., Any]) -> World:
    """Few clients, prompts and moments, so that requests collide; listings that hide some of what they know."""
    world = World([], [], {})
    for number in range(draw(st.integers(1, 7))):
        prompt, client = draw(st.sampled_from(["A cat", "A dog"])), draw(st.sampled_from(["alpha", "beta"]))
        assets, at_s = draw(st.sampled_from([(), ("9f",)])), draw(st.sampled_from([0, 1, 30, 200, 400]))
        submission = lost(uuid4(), at_s, prompt=prompt, client=client, asset_hashes=assets)
        submission = replace(submission, is_searched=draw(st.booleans()))
        world.lost.append(submission)
        if draw(st.booleans()):
            shown = listed(f"u{number}", at_s + draw(st.integers(0, 100)), prompt=prompt)
            hidden = draw(st.sampled_from([{}, {"prompt": None}, {"created_at": None}, {"model_parameters": {}}]))
            world.listed.append(replace(shown, **hidden))
            world.owner_of[f"u{number}"] = submission
    return world


@given(worlds())
def test_nobody_ever_gets_the_image_of_another_request(world: World) -> None:
    matches = matched(world.lost, world.listed)

    by_id = {submission.task_id: submission for submission in world.lost}
    for found in matches.found:
        owner = world.owner_of[str(found.listed.report.upstream_id)]
        assert by_id[found.task_id].is_same_request_as(owner)
    assert len(pairs(matches)) == len(set(pairs(matches).values())) == len(matches.found)


@given(worlds())
def test_whoever_was_taken_is_never_called_absent(world: World) -> None:
    taken = {owner.task_id for owner in world.owner_of.values()}

    assert matched(world.lost, world.listed).absent & taken == set()


@given(worlds())
def test_only_searched_submissions_are_settled(world: World) -> None:
    matches = matched(world.lost, world.listed)

    under_way = {submission.task_id for submission in world.lost if not submission.is_searched}
    assert (set(pairs(matches)) | matches.absent) & under_way == set()
