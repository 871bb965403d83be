"""How far a listing is read, when it proves that a task is not there, and when lost submissions are searched."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from service.tasks.listing import Listing, reaches
from service.tasks.matching import Named
from service.tasks.search import SearchTimes, name_reader
from service.upstream.receive_url import receive_url
from service.upstream.wire import TaskPage, read_task_page

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def page(*ages_s: float, total: int | None = None, unreadable: int = 0) -> TaskPage:
    """A page of tasks made so many seconds before noon, and entries that are no task."""
    moments = [(NOON - timedelta(seconds=age_s)).isoformat() for age_s in ages_s]
    entries: list[object] = [{"id": f"t{at}", "status": "doing", "created_at": at} for at in moments]
    read = read_task_page({"data": entries + [None] * unreadable, "total": total})
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("pages", "reached"),
    [
        ([page()], True),
        ([page(1, 2, total=2)], True),
        ([page(1, 2, total=3)], False),
        ([page(1, 2)], False),
        ([page(1, 2), page()], True),
        ([page(1, 700)], True),
        ([page(700, 1)], False),
        ([page(700, 1), page(800)], False),
        ([page(700)], False),
    ],
    ids=[
        "an empty list",
        "as many as there are",
        "fewer than there are",
        "a short page without a total",
        "an empty page at the end",
        "newest first, and back far enough",
        "in some other order",
        "in some other order over two pages",
        "one entry, which shows no order",
    ],
)
def test_a_listing_is_read_until(pages: list[TaskPage], reached: bool) -> None:
    assert reaches(pages, NOON - timedelta(seconds=600)) is reached


@pytest.mark.parametrize(
    ("pages", "complete"),
    [
        ([page(1, 2, total=2)], True),
        ([page()], True),
        ([page(1, total=2, unreadable=1)], False),
        ([page(1, 2, total=4), page(3, total=3)], False),
        ([page(1, total=5), page(total=5)], False),
    ],
    ids=[
        "everything",
        "an empty list",
        "an entry that cannot be read",
        "a list that shrank between two pages",
        "an end before the total",
    ],
)
def test_a_listing_proves_absence_only_when_it_is_complete(pages: list[TaskPage], complete: bool) -> None:
    assert Listing.of(pages, is_whole=True).is_complete is complete


def test_a_listing_that_was_broken_off_proves_nothing() -> None:
    assert not Listing.of([page(1, 2)], is_whole=False).is_complete


def test_lost_submissions_are_searched_at_5_20_and_60_seconds_and_then_more_seldom() -> None:
    times, ages_s = SearchTimes(5, 600, 3600), [0.0]

    while ages_s[-1] < 3600:
        ages_s.append(ages_s[-1] + times.next_in_s(ages_s[-1]))

    assert ages_s == [0, 5, 20, 60, 120, 240, 480, 960, 1560, 2160, 2760, 3360, 3600]


def test_an_absent_submission_is_looked_for_again_before_it_is_given_up() -> None:
    times = SearchTimes(5, 600, 3600)

    assert [times.confirm_in_s(age_s) for age_s in (5, 20, 150)] == [15, 40, 15]


def test_a_receive_url_names_task_and_attempt_whatever_host_it_was_made_for() -> None:
    task_id, secrets = uuid4(), (b"new-secret-0123456789", b"old-secret-0123456789")

    url = receive_url("https://elsewhere.example/below/a/path", task_id, 3, secrets[1:])

    assert name_reader(secrets)(url) == Named(task_id, 3)


@pytest.mark.parametrize(
    "url",
    [
        "http://[broken/callbacks/x/1.y",
        "https://x.example/callbacks/not-an-id/1.abc",
        "https://x.example",
        f"https://x.example/callbacks/{uuid4()}/1.{'a' * 32}",
    ],
    ids=["an address that cannot be read", "no id", "no path", "a token that we did not make"],
)
def test_a_receive_url_of_somebody_else_names_nobody(url: str) -> None:
    assert name_reader((b"new-secret-0123456789",))(url) is None
