"""When a listing of the image API reaches back far enough, and when it may be trusted to have left nobody out: pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Self

from service.tasks.matching import moment
from service.upstream.wire import ListedTask, TaskPage


@dataclass(frozen=True, slots=True)
class Listing:
    """The listed tasks that have an id. A task that a complete listing does not hold is not there."""

    tasks: Sequence[ListedTask]
    is_complete: bool

    @classmethod
    def of(cls, pages: Sequence[TaskPage], *, is_whole: bool) -> Self:
        """The pages as one; an entry that could not be read, or a list that shrank meanwhile, may hide a task."""
        entries = sum(page.entry_count for page in pages)
        tasks = [task for page in pages for task in page.tasks if task.report.upstream_id is not None]
        totals = [page.total for page in pages if page.total is not None]
        shrank = any(later < earlier for earlier, later in pairwise(totals))
        cut = pages[-1].entry_count == 0 and bool(totals) and entries < totals[-1]
        return cls(tasks, is_whole and len(tasks) == entries and not shrank and not cut)


def reaches(pages: Sequence[TaskPage], since: datetime) -> bool:
    """Whether the next page can hold nothing that was made at `since` or later.

    A short page is no end, since an upstream may give fewer than asked for; the total is, and so is an empty page.
    That the newest come first is believed only as far as it was seen.
    """
    last = pages[-1]
    if last.entry_count == 0 or (last.total is not None and sum(page.entry_count for page in pages) >= last.total):
        return True
    times = [moment(task.created_at) for page in pages for task in page.tasks]
    known = [each for each in times if each is not None]
    newest_first = len(known) == len(times) and all(earlier >= later for earlier, later in pairwise(known))
    # Beside a longer listing a single entry says nothing about the order.
    return newest_first and len(known) > 1 and known[-1] < since and known[0] > known[-1]
