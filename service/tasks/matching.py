"""Which listed tasks of the image API are submissions that we lost sight of: pure, and silent where it is not sure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from service.upstream.reading import text
from service.upstream.wire import ListedTask

# How far the image API's clock and ours may lie apart.
CLOCKS_APART = timedelta(seconds=60)
# A listing may cut a prompt; shorter than this a common beginning means nothing.
CUT_PROMPT_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Lost:
    """A submission without an upstream id. Only a searched one is settled; another still has its call under way."""

    task_id: UUID
    client: str
    attempt: int
    model_id: str
    prompt: str
    generations_count: int
    model_parameters: Mapping[str, object]
    asset_hashes: tuple[str, ...]
    submitted_at: datetime
    is_searched: bool = True

    def is_same_request_as(self, other: "Lost") -> bool:
        """Whether it makes no difference to the client which of the two a result belongs to."""
        return self._request() == other._request()

    def _request(self) -> tuple[object, ...]:
        parameters = sorted((name, str(value)) for name, value in self.model_parameters.items())
        return (self.client, self.model_id, self.prompt, self.generations_count, parameters, self.asset_hashes)


class Named(NamedTuple):
    """Whose receive_url a listed task shows: our task and attempt."""

    task_id: UUID
    attempt: int


@dataclass(frozen=True, slots=True)
class Found:
    """A lost submission and the listed task that it became."""

    task_id: UUID
    attempt: int
    listed: ListedTask


@dataclass(frozen=True, slots=True)
class Matches:
    """What a listing says: who was found, and of whom it holds nothing that might be theirs."""

    found: tuple[Found, ...]
    absent: frozenset[UUID]


NameReader = Callable[[str], Named | None]


def match_lost(lost: Sequence[Lost], listed: Sequence[ListedTask], named_by: NameReader, call_s: float) -> Matches:
    """Settle what can be settled. `listed` holds no task whose id is already ours; a call takes at most `call_s`.

    A receive_url decides alone. Without one, request and time must agree, and as many identical requests of one
    client as there are candidates pair in the order of time. Anything less clear is neither found nor absent.
    """
    by_name = {task.task_id: task for task in lost}
    found = dict[UUID, Found]()
    for each in listed:
        named = named_by(each.receive_url) if each.receive_url else None
        if named is not None and named.task_id in by_name:
            found.setdefault(named.task_id, Found(named.task_id, named.attempt, each))
    # Whoever shows a receive_url is spoken for: by us, or by somebody who is not us.
    rest = [task for task in lost if task.task_id not in found]
    groups = list(_groups(rest, [each for each in listed if each.receive_url is None], call_s))
    for group in groups:
        found |= {pair.task_id: pair for pair in _pairs(group, call_s)}
    searched = {task.task_id for task in lost if task.is_searched}
    alone = {task.task_id for group in groups if not group.listed for task in group.lost}
    return Matches(tuple(pair for pair in found.values() if pair.task_id in searched), frozenset(alone & searched))


@dataclass(frozen=True, slots=True)
class _Group:
    """Submissions and listed tasks that might belong together, and to nobody outside."""

    lost: list[Lost]
    listed: list[ListedTask]


def _groups(lost: Sequence[Lost], listed: Sequence[ListedTask], call_s: float) -> Iterator[_Group]:
    """The connected parts of who might be whom; a submission that nothing might be stands alone."""
    candidates = [(task, [place for place, each in enumerate(listed) if _may_be(task, each, call_s)]) for task in lost]
    owners: dict[int, list[int]] = {}
    for index, (_, places) in enumerate(candidates):
        for place in places:
            owners.setdefault(place, []).append(index)
    left = set(range(len(candidates)))
    while left:
        members, frontier, places_seen = set[int](), [left.pop()], set[int]()
        while frontier:
            index = frontier.pop()
            members.add(index)
            fresh = set(candidates[index][1]) - places_seen
            places_seen |= fresh
            reached = {owner for place in fresh for owner in owners[place]} & left
            left -= reached
            frontier += reached
        yield _Group([candidates[index][0] for index in members], [listed[place] for place in places_seen])


def _pairs(group: _Group, call_s: float) -> list[Found]:
    """Everybody in the group with their listed task, or nobody."""
    first = group.lost[0]
    times = [moment(each.created_at) for each in group.listed]
    is_even = len(group.lost) == len(group.listed) and all(task.is_same_request_as(first) for task in group.lost)
    if not is_even or (None in times and len(times) > 1):
        return []
    by_time = sorted(zip(times, group.listed, strict=True), key=lambda pair: pair[0] or first.submitted_at)
    in_order = sorted(group.lost, key=lambda task: task.submitted_at)
    pairs = [(task, each) for task, (_, each) in zip(in_order, by_time, strict=True)]
    if not all(_agrees(task, each) and _may_be(task, each, call_s) for task, each in pairs):
        return []
    return [Found(task.task_id, task.attempt, each) for task, each in pairs]


def moment(written: str | None) -> datetime | None:
    """A moment as the image API writes it, aware and UTC where it names no zone; None when it cannot be read."""
    try:
        read = datetime.fromisoformat(written or "")
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _may_be(task: Lost, each: ListedTask, call_s: float) -> bool:
    """Whether nothing that the listing shows speaks against it; what it does not show speaks for nobody."""
    created_at = moment(each.created_at)
    latest = task.submitted_at + timedelta(seconds=call_s) + CLOCKS_APART
    if created_at is not None and not task.submitted_at - CLOCKS_APART <= created_at <= latest:
        return False
    if each.model_id is not None and each.model_id != task.model_id:
        return False
    if each.generations_count not in (None, task.generations_count):
        return False
    return _prompts_may_agree(task.prompt, each.prompt) and not _parameters_differ(task, each)


def _agrees(task: Lost, each: ListedTask) -> bool:
    """Whether model and prompt are shown and the same; `_may_be` has seen to the rest."""
    return each.model_id == task.model_id and each.prompt is not None and each.prompt == text(task.prompt)


def _prompts_may_agree(ours: str, shown: str | None) -> bool:
    sent = text(ours)
    if shown is None or sent is None or shown == sent:
        return True
    beginning = shown.removesuffix("...").removesuffix("…").rstrip()
    return len(beginning) >= CUT_PROMPT_LENGTH and sent.startswith(beginning)


def _parameters_differ(task: Lost, each: ListedTask) -> bool:
    """Whether a parameter that both name has two values; the image API may add its defaults, or show none at all."""
    common = task.model_parameters.keys() & each.model_parameters.keys()
    return any(str(task.model_parameters[name]) != str(each.model_parameters[name]) for name in common)
